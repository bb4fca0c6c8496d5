//! Raw values of the board, as calibration needs them.

use coldbench_sensor::stability::{Criterion, Settling, Stability};
use tokio::time::{Duration, Instant, Interval, MissedTickBehavior, interval, sleep};

use super::{ask, calibrate};
use crate::{
    commission::{
        events::{Sensed, SensedProbe, Steadiness, Unit},
        plan::StepName,
        run::Run,
        step::{Halt, halt},
    },
    domain::{
        ProbeRom, RawSensors,
        calibration::{References, TemperaturePoint, fit_freezer},
    },
    ports::{
        board::Board,
        operator::{Question, Reply},
    },
};

/// Samples that are averaged where no steadiness is asked for.
const SAMPLES: u32 = 3;
/// How often a probe is looked at while it settles.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// A bath that is not steady by then never will be.
const SETTLE_LIMIT: Duration = Duration::from_secs(45 * 60);

/// Something that is calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Temperature of a probe, °C.
    Probe(ProbeRom),
    /// Supply voltage, V.
    Supply,
}

impl Quantity {
    /// Its raw value. A fault of the sensor is no value.
    fn raw(self, sensors: &RawSensors) -> Result<f32, Halt> {
        match self {
            Quantity::Probe(rom) => match sensors.probes.iter().find(|probe| probe.rom == rom) {
                Some(probe) => probe.celsius.or_else(|fault| no_value(&format!("The probe {rom}"), &fault.to_string())),
                None => no_value(&format!("The probe {rom}"), "it is not on the bus"),
            },
            Quantity::Supply => match sensors.supply_volts {
                Some(volts) => Ok(volts),
                None => no_value("The supply's converter", "it does not answer"),
            },
        }
    }
}

fn no_value<T>(sensor: &str, why: &str) -> Result<T, Halt> {
    halt(
        "calibration.sensor",
        format!("{sensor} gives no value: {why}"),
        "Check its wiring or replace it, then resume the job",
    )
}

/// The mean of a few samples, a second apart.
pub async fn mean(board: &dyn Board, quantity: Quantity) -> Result<f32, Halt> {
    let mut sum = 0.0;
    for number in 0..SAMPLES {
        if number > 0 {
            sleep(SAMPLE_EVERY).await;
        }
        sum += quantity.raw(&ask::sensors(board).await?)?;
    }
    Ok(sum / SAMPLES as f32)
}

/// Tells what the sensors say until there is an answer. A board that is silent meanwhile shows at the next request.
pub async fn watched(run: &Run, answer: impl Future<Output = Reply>) -> Reply {
    tokio::pin!(answer);
    let mut tick = ticks();
    loop {
        tokio::select! {
            reply = &mut answer => return reply,
            _ = tick.tick() => {
                let Ok(board) = run.board().await else { continue };
                if let Ok(sensors) = ask::sensors(&*board).await {
                    run.teller.sensed(StepName::Calibrate, sensed(&sensors, None));
                }
            }
        }
    }
}

fn ticks() -> Interval {
    let mut tick = interval(SAMPLE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

fn sensed(sensors: &RawSensors, steadiness: Option<Steadiness>) -> Sensed {
    let probes = sensors.probes.iter().map(|probe| SensedProbe {
        rom: probe.rom.to_string(),
        celsius: probe.celsius.ok().map(f64::from),
        fault: probe.celsius.err().map(|fault| fault.to_string()),
    });
    Sensed {
        probes: probes.collect(),
        supply_volts: sensors.supply_volts.map(f64::from),
        door_high: sensors.door_high,
        door_raw_edges: sensors.door_raw_edges,
        door_edges: sensors.door_edges,
        steadiness,
    }
}

/// A probe, watched until it is steady.
pub struct Watch<'run> {
    run: &'run Run,
    rom: ProbeRom,
    stability: Stability,
    began: Instant,
}

impl<'run> Watch<'run> {
    pub fn new(run: &'run Run, rom: ProbeRom) -> Self {
        let held_to = &run.kit.site.tolerances;
        let criterion = Criterion {
            window_millis: u64::from(held_to.stability_secs) * 1000,
            peak_to_peak_kelvin: held_to.stability_celsius as f32,
        };
        Watch { run, rom, stability: Stability::new(criterion), began: Instant::now() }
    }

    /// Waits until the probe is steady, and gives its mean.
    async fn settled(&mut self) -> Result<f32, Halt> {
        let until = Instant::now() + SETTLE_LIMIT;
        let mut tick = ticks();
        while Instant::now() < until {
            tick.tick().await;
            if let Settling::Settled(mean) = self.sample().await? {
                return Ok(mean);
            }
        }
        halt(
            "calibration.unsteady",
            format!("The probe {} does not become steady", self.rom),
            "Stir the bath, leave probe and bath alone, then resume the job",
        )
    }

    /// Asks for the temperature points while the probe is watched on. An answer counts only if the probe was steady when
    /// it was given, and if a correction can be made of it; else the question comes again with the reason.
    pub async fn references(&mut self, taken: &mut References) -> Result<(), Halt> {
        let mut refused = None;
        while let Some(point) = calibrate::next_point(taken.freezer.len()) {
            let operator = &self.run.bench.operator;
            let raw = if operator.sees_sensors() { self.now().await? } else { self.settled().await? };
            let question = Question::FreezerReference {
                point,
                raw_celsius: raw.into(),
                taken: taken.freezer.clone(),
                refused: refused.take(),
            };
            match (self.answer(question).await?, self.stability.settling()) {
                (Reply::Number(reference_celsius), Settling::Settled(raw)) => {
                    taken.freezer.push(TemperaturePoint { reference_celsius, raw_celsius: Some(raw.into()) });
                    if let Err(error) = fit_freezer(&taken.freezer) {
                        taken.freezer.pop();
                        refused = Some(error.to_string());
                    }
                }
                (Reply::Number(_), _) => refused = Some("the probe was not steady at that moment".to_owned()),
                (Reply::Back, _) => drop(taken.freezer.pop()),
                (Reply::Skip, _) => return Ok(()),
                (Reply::Declined | Reply::Text(_) | Reply::Yes, _) => return Err(Halt::Cancelled),
            }
            calibrate::keep(self.run, taken)?;
        }
        Ok(())
    }

    /// Asks, and watches the probe until there is an answer.
    async fn answer(&mut self, question: Question) -> Result<Reply, Halt> {
        let asked = calibrate::asked(self.run, question).await;
        let answer = self.run.bench.operator.ask(asked);
        tokio::pin!(answer);
        let mut tick = ticks();
        loop {
            tokio::select! {
                reply = &mut answer => return Ok(reply),
                _ = tick.tick() => self.sample().await?,
            };
        }
    }

    /// What the probe says now.
    async fn now(&self) -> Result<f32, Halt> {
        Quantity::Probe(self.rom).raw(&ask::sensors(&*self.run.board().await?).await?)
    }

    async fn sample(&mut self) -> Result<Settling, Halt> {
        let sensors = ask::sensors(&*self.run.board().await?).await?;
        let celsius = Quantity::Probe(self.rom).raw(&sensors).ok();
        self.stability.sample(celsius, self.began.elapsed().as_millis() as u64);
        let settling = self.stability.settling();
        self.tell(&sensors, celsius, settling);
        Ok(settling)
    }

    fn tell(&self, sensors: &RawSensors, celsius: Option<f32>, settling: Settling) {
        let window_secs = u64::from(self.run.kit.site.tolerances.stability_secs);
        let (done, words) = match settling {
            Settling::Filling(millis) => (millis / 1000, "settling".to_owned()),
            Settling::Moving(kelvin) => (window_secs, format!("moves by {kelvin:.2} °C")),
            Settling::Drifting(kelvin) => (window_secs, format!("drifts by {kelvin:+.2} °C")),
            Settling::Settled(_) => (window_secs, "steady".to_owned()),
        };
        let steadiness = Steadiness {
            probe: self.rom.to_string(),
            watched_secs: done,
            needed_secs: window_secs,
            band_celsius: self.run.kit.site.tolerances.stability_celsius,
            is_steady: matches!(settling, Settling::Settled(_)),
            words: words.clone(),
        };
        self.run.teller.sensed(StepName::Calibrate, sensed(sensors, Some(steadiness)));
        let now = celsius.map_or("no value".to_owned(), |celsius| format!("{celsius:.2} °C"));
        let count = (done, window_secs, Unit::Seconds);
        self.run.teller.progress(StepName::Calibrate, count, format!("{now}, {words}"));
    }
}
