//! prove: the same readings over USB, over MQTT and in the shadow; and a wish that goes desired → delta → reported.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::{
    sync::broadcast::{
        Receiver,
        error::{RecvError, TryRecvError},
    },
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    ask,
    preflight::{Cleared, Preflight},
    relay::{BrokerWay, Relay},
};
use crate::{
    commission::{
        events::Unit,
        order::RelayChoice,
        plan::StepName,
        run::Run,
        step::{Halt, Outcome, Step, halt},
    },
    domain::{Network, Problem, Reading, ThingName, shadow::Shadow},
    ports::{
        board::{Board, BoardError, Stamped},
        broker::{BrokerError, Observation},
    },
};

/// For connecting and for the cloud's delays, besides the readings themselves.
const CONNECT_RESERVE: Duration = Duration::from_secs(60);
/// How long a wish may take to come back.
const WISH_LIMIT: Duration = Duration::from_secs(60);
/// How often the shadow is looked at.
const SHADOW_EVERY: Duration = Duration::from_secs(1);
/// Most readings kept for comparing. The deadline comes first unless the interval is a second.
const MOST_KEPT: usize = 512;
/// How a line of the board's log begins that says why there is no connection to the broker.
const NETWORK_TROUBLE: &str = "network: ";
/// Failures whose cause may lie on the board's way to its broker.
const OF_THE_NETWORK: [&str; 3] = ["prove.no-mqtt", "prove.no-shadow", "prove.no-delta"];
const ADVICE_RELAY: &str = "Give the site profile a network, or let the board use this computer";
const ADVICE_NETWORK: &str = "Check the board's network in the site profile and the policy, then resume the job";

/// The step.
pub struct Prove;

/// What was proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Readings whose bytes were the same over USB and MQTT.
    pub samples: u32,
    /// Longest delay of a reading over MQTT behind USB, seconds.
    pub slowest_secs: f64,
    /// The last reading that agreed.
    pub last: Reading,
    /// How long a wish took from the cloud to the board and back, seconds.
    pub wish_secs: f64,
    /// Which way the board reached its broker. Records of earlier versions know one only.
    #[serde(default)]
    pub way: BrokerWay,
    /// When it was proven, UTC.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl Step for Prove {
    type Output = Proof;
    const NAME: StepName = StepName::Prove;

    fn limit(run: &Run) -> Duration {
        readings_limit(run) + 2 * WISH_LIMIT + Duration::from_secs(60)
    }

    fn intent(run: &Run) -> Value {
        json!({ "samples": run.kit.site.prove_samples, "interval_secs": run.kit.site.interval_secs, "relay": run.order.relay })
    }

    async fn check(run: &Run) -> Result<Option<Outcome<Proof>>, Halt> {
        let earlier = run.earlier::<Prove>()?;
        Ok(earlier.map(|proof| Outcome::skipped(proof, "Proven in an earlier run of this job")))
    }

    async fn run(run: &Run) -> Result<Outcome<Proof>, Halt> {
        let cleared = run.output::<Preflight>()?;
        let board = run.board().await?;
        let mut relay = Relay::new(run, &*board, &cleared.endpoint);
        let log = board.log();
        let proven = prove(run, &*board, &cleared, &mut relay).await;
        let stands_in = relay.stands_in();
        relay.withdraw().await;
        let proof = proven.map_err(|halt| with_the_boards_word(halt, log))?;
        let by_way = match proof.way {
            BrokerWay::OwnNetwork => "",
            BrokerWay::ThisComputer => ", through this computer",
        };
        let message = format!(
            "{} readings agree over USB, MQTT and shadow{by_way}; a wish came back in {:.1} s",
            proof.samples, proof.wish_secs
        );
        Ok(match stands_in {
            true => Outcome::warning(proof, format!("{message}. The board was not seen over its own network")),
            false => Outcome::done(proof, message),
        })
    }
}

async fn prove(run: &Run, board: &dyn Board, cleared: &Cleared, relay: &mut Relay<'_>) -> Result<Proof, Halt> {
    // Both listen before the clock is set: without a clock nothing goes over MQTT.
    let usb = board.readings();
    let mqtt = run.bench.broker.observe(std::slice::from_ref(&cleared.readings_topic)).await?;
    ask::set_clock(board, unix_millis()).await?;
    let wanted = run.kit.site.settings();
    if ask::settings(board).await? != wanted {
        ask::set_settings(board, wanted).await?;
    }
    let (comparison, last) = compare(run, &cleared.thing, (usb, mqtt), relay).await?;
    let wish_secs = wish(run, &cleared.thing).await?;
    Ok(Proof {
        samples: comparison.agreed.len() as u32,
        slowest_secs: comparison.slowest_secs,
        last,
        wish_secs,
        way: relay.way(),
        at: OffsetDateTime::now_utc(),
    })
}

/// The board itself knows best why it does not reach its broker: the last that it logged of it since it was listened to.
fn with_the_boards_word(halt: Halt, mut log: Receiver<String>) -> Halt {
    let mut trouble = None;
    loop {
        match log.try_recv() {
            Ok(line) => trouble = line.strip_prefix(NETWORK_TROUBLE).map(str::to_owned).or(trouble),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    match (halt, trouble) {
        (Halt::Failed(mut problem), Some(words)) if OF_THE_NETWORK.contains(&&*problem.code) => {
            problem.sentence = format!("{}. The board says: {}", problem.sentence, words.trim_end_matches('.'));
            Halt::Failed(problem)
        }
        (halt, _) => halt,
    }
}

/// Generous: six intervals more than are needed, and the time to connect.
fn readings_limit(run: &Run) -> Duration {
    let site = &run.kit.site;
    Duration::from_secs(u64::from(site.prove_samples + 6) * u64::from(site.interval_secs)) + CONNECT_RESERVE
}

fn unix_millis() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

/// What tells readings apart: sequence number and time.
type Sample = (u64, OffsetDateTime);

/// One way that a reading takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Usb,
    Mqtt,
}

/// Readings of one thing as they arrive over two ways and in the shadow.
#[derive(Default)]
struct Comparison {
    arrived: BTreeMap<(Sample, Way), Stamped>,
    seen: BTreeSet<Way>,
    agreed: BTreeSet<Sample>,
    in_shadow: Option<Sample>,
    slowest_secs: f64,
}

impl Comparison {
    /// Takes a reading; compares it with its twin when that is there.
    fn take(&mut self, way: Way, thing: &ThingName, stamped: Stamped) -> Result<(), Halt> {
        let Ok(reading) = Reading::parse(&stamped.payload) else { return Ok(()) };
        let (Some(time), false) = (reading.time, reading.late) else { return Ok(()) };
        if reading.thing.as_deref() != Some(thing.as_str()) {
            return Ok(());
        }
        self.seen.insert(way);
        let sample = (reading.seq, time);
        let other = match way {
            Way::Usb => Way::Mqtt,
            Way::Mqtt => Way::Usb,
        };
        if let Some(twin) = self.arrived.get(&(sample, other)) {
            if twin.payload != stamped.payload {
                return halt(
                    "prove.differ",
                    format!("Reading {} is not the same over USB and MQTT", reading.seq),
                    "Make sure that no other device uses this thing's name, then resume the job",
                );
            }
            let delay = (stamped.received - twin.received).as_seconds_f64().abs();
            self.slowest_secs = self.slowest_secs.max(delay);
            self.agreed.insert(sample);
        }
        self.arrived.insert((sample, way), stamped);
        while self.arrived.len() > MOST_KEPT {
            self.arrived.pop_first();
        }
        Ok(())
    }

    fn take_shadow(&mut self, shadow: &Shadow) {
        let sample = shadow.state.reported.get("reading").and_then(Value::as_object).and_then(sample_of);
        if let Some(sample) = sample.filter(|sample| self.agreed.contains(sample)) {
            self.in_shadow = Some(sample);
        }
    }

    fn is_proven(&self, samples: u32) -> bool {
        self.agreed.len() >= samples as usize && self.in_shadow.is_some()
    }

    /// Names the way that is missing.
    fn missing<T>(&self, run: &Run, samples: u32) -> Result<T, Halt> {
        if !self.seen.contains(&Way::Usb) {
            return halt(
                "prove.no-usb",
                "No reading with a time arrived over USB",
                "Check the cable, press RESET on the board and resume the job",
            );
        }
        if self.agreed.len() < samples as usize {
            let sentence = format!("{} of {samples} readings arrived over MQTT as over USB", self.agreed.len());
            let has_no_way = run.order.relay == RelayChoice::Never && run.kit.site.board_network() == Network::None;
            let problem = |advice| Problem::new("prove.no-mqtt", sentence, advice);
            return Err(Halt::Failed(match has_no_way {
                true => problem(ADVICE_RELAY).in_terminal("--relay auto"),
                false => problem(ADVICE_NETWORK),
            }));
        }
        halt("prove.no-shadow", "The shadow does not report the readings that arrived", ADVICE_NETWORK)
    }
}

/// The sample in the shadow's summary of the last reading.
fn sample_of(summary: &Map<String, Value>) -> Option<Sample> {
    let seq = summary.get("seq").or_else(|| summary.get("sequence"))?.as_u64()?;
    let time = OffsetDateTime::parse(summary.get("time")?.as_str()?, &time::format_description::well_known::Rfc3339);
    Some((seq, time.ok()?))
}

async fn compare(
    run: &Run,
    thing: &ThingName,
    ways: (Receiver<Stamped>, Observation),
    relay: &mut Relay<'_>,
) -> Result<(Comparison, Reading), Halt> {
    let samples = run.kit.site.prove_samples.max(1);
    let mut comparison = Comparison::default();
    let collecting = collect(run, thing, ways, relay, &mut comparison);
    if let Ok(collected) = timeout(readings_limit(run), collecting).await {
        collected?;
    }
    if !comparison.is_proven(samples) {
        return comparison.missing(run, samples);
    }
    let last = comparison.agreed.last().and_then(|sample| comparison.arrived.get(&(*sample, Way::Usb)));
    match last {
        Some(stamped) => {
            let reading = Reading::parse(&stamped.payload)?;
            Ok((comparison, reading))
        }
        None => comparison.missing(run, samples),
    }
}

async fn collect(
    run: &Run,
    thing: &ThingName,
    (mut usb, mut mqtt): (Receiver<Stamped>, Observation),
    relay: &mut Relay<'_>,
    comparison: &mut Comparison,
) -> Result<(), Halt> {
    let samples = run.kit.site.prove_samples.max(1);
    let mut look = interval(SHADOW_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !comparison.is_proven(samples) {
        tokio::select! {
            reading = usb.recv() => match reading {
                Ok(stamped) => comparison.take(Way::Usb, thing, stamped)?,
                // The oldest were dropped; the next ones do as well.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(BoardError::Unplugged.into()),
            },
            message = mqtt.messages.recv() => match message {
                Some(Ok(message)) => {
                    let stamped = Stamped { payload: message.payload, received: message.received };
                    comparison.take(Way::Mqtt, thing, stamped)?;
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Err(BrokerError::Lost { why: "the observation ended".to_owned() }.into()),
            },
            () = relay.due(), if !comparison.seen.contains(&Way::Mqtt) => relay.offer().await?,
            _ = look.tick(), if !comparison.agreed.is_empty() => {
                if let Some(shadow) = run.bench.cloud.shadow(thing).await? {
                    comparison.take_shadow(&shadow);
                }
            },
        }
        let done = (comparison.agreed.len() as u64).min(samples.into());
        run.teller.progress(StepName::Prove, (done, samples.into(), Unit::Readings), "Readings that agree");
    }
    Ok(())
}

/// Wishes another interval and then the right one, so that a difference really goes to the board and back. Returns how
/// long the slower one took, seconds.
async fn wish(run: &Run, thing: &ThingName) -> Result<f64, Halt> {
    let wanted = run.kit.site.interval_secs;
    let other = if wanted < 3600 { wanted + 1 } else { wanted - 1 };
    let away = close_loop(run, thing, other).await?;
    let back = close_loop(run, thing, wanted).await?;
    Ok(away.max(back).as_secs_f64())
}

async fn close_loop(run: &Run, thing: &ThingName, interval_secs: u16) -> Result<Duration, Halt> {
    let began = Instant::now();
    let cloud = &run.bench.cloud;
    cloud.set_desired(thing, &json!({ "interval_secs": interval_secs }), None).await?;
    while began.elapsed() < WISH_LIMIT {
        if let Some(shadow) = cloud.shadow(thing).await?
            && reports(&shadow, interval_secs)
        {
            return Ok(began.elapsed());
        }
        sleep(SHADOW_EVERY / 4).await;
    }
    halt(
        "prove.no-delta",
        format!("The board did not take the interval of {interval_secs} s over from the shadow"),
        ADVICE_NETWORK,
    )
}

/// Whether the wish is reported and no longer in the delta. Other wishes of the fleet are not this job's.
fn reports(shadow: &Shadow, interval_secs: u16) -> bool {
    let reported = shadow.state.reported.get("interval_secs").and_then(Value::as_u64);
    reported == Some(interval_secs.into()) && !shadow.state.delta.contains_key("interval_secs")
}
