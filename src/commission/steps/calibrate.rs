//! calibrate: probes assigned, temperature and voltage fitted, door learned; kept on the board and in the record.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ask,
    identify::Identify,
    measure::{self, Quantity, Watch},
};
use crate::{
    commission::{
        engine::known_job,
        events::Event,
        order::CalibrationChoice,
        plan::StepName,
        run::Run,
        step::{Halt, Outcome, Step, from_value, halt},
    },
    domain::{
        Calibration, JobId, Line, Mac, ProbeRom, RawSensors,
        calibration::{
            CalibrationReport, DoorLevel, Fit, FitError, References, Tolerances, VoltagePoint, fit_freezer, fit_supply,
        },
    },
    ports::{
        board::Board,
        operator::{Question, Reply},
    },
};

/// Note: what the board was calibrated to before, to restore it.
pub(in crate::commission) const PREVIOUS: &str = "previous";
/// Note: what was taken from the person at the bench so far, so that a job that broke off asks for the rest only.
const TAKEN: &str = "taken";
/// Note: what is going to be stored, with its report.
const WANTED: &str = "wanted";
/// Points that are asked for: one gives an offset, two a line.
const POINTS: u32 = 2;

/// The step.
pub struct Calibrate;

/// What the board is calibrated to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// As kept by the board.
    pub calibration: Calibration,
    /// How it was found; `None` when it was left as it was.
    pub report: Option<CalibrationReport>,
}

impl Step for Calibrate {
    type Output = Calibrated;
    const NAME: StepName = StepName::Calibrate;

    fn limit(run: &Run) -> Duration {
        match run.order.calibration {
            CalibrationChoice::Prompt => Duration::from_secs(4 * 3600),
            CalibrationChoice::Given(_) | CalibrationChoice::Earlier(_) | CalibrationChoice::Skip => {
                Duration::from_secs(120)
            }
        }
    }

    fn intent(run: &Run) -> Value {
        json!({ "choice": run.order.calibration })
    }

    async fn check(run: &Run) -> Result<Option<Outcome<Calibrated>>, Halt> {
        let wanted: Option<Calibrated> = run.noted(StepName::Calibrate, WANTED)?;
        let Some(wanted) = wanted else { return Ok(None) };
        let kept = ask::calibration(&*run.board().await?).await?;
        Ok((kept == wanted.calibration)
            .then(|| Outcome::skipped(wanted, "The board is calibrated by this job already")))
    }

    async fn run(run: &Run) -> Result<Outcome<Calibrated>, Halt> {
        let board = run.board().await?;
        let previous = ask::calibration(&*board).await?;
        let wanted = match &run.order.calibration {
            CalibrationChoice::Skip => return Ok(left(previous)),
            CalibrationChoice::Earlier(job) => put_back(run, &*board, job).await?,
            CalibrationChoice::Given(references) => {
                let references = measured(&*board, &previous, references.clone()).await?;
                fitted(run, &*board, &previous, references).await?
            }
            CalibrationChoice::Prompt => {
                let references = prompted(run, &*board, &previous).await?;
                let fitted = fitted(run, &*board, &previous, references).await;
                if fitted.is_err() {
                    // Points that do not fit are of no use to the job when it is resumed.
                    run.note(StepName::Calibrate, TAKEN, &None::<References>)?;
                }
                fitted?
            }
        };
        // A resumed job finds its own calibration on the board, which is not what there was before.
        if run.noted::<Calibration>(StepName::Calibrate, PREVIOUS)?.is_none() {
            run.note(StepName::Calibrate, PREVIOUS, &previous)?;
        }
        run.note(StepName::Calibrate, WANTED, &wanted)?;
        let kept = ask::set_calibration(&*board, wanted.calibration.clone()).await?;
        if kept != wanted.calibration {
            return halt(
                "calibration.differs",
                "The board does not hold the calibration it was given",
                "Resume the job; if it happens again, the board's flash is worn: replace it",
            );
        }
        let message = describe(&wanted, &run.kit.site.tolerances);
        Ok(Outcome::done(wanted, message))
    }
}

/// The board stays as it is.
fn left(calibration: Calibration) -> Outcome<Calibrated> {
    let by = calibration.job.clone();
    let output = Calibrated { calibration, report: None };
    match by.as_str() {
        "" => Outcome::warning(output, "The board is not calibrated"),
        job => Outcome::skipped(output, format!("Left as calibrated by the job {job}")),
    }
}

/// What an earlier job had calibrated the board to, as this job's own.
async fn put_back(run: &Run, board: &dyn Board, job: &JobId) -> Result<Calibrated, Halt> {
    let Calibrated { calibration, report } = of_job(run, job, run.output::<Identify>()?.found.mac())?;
    let sensors = ask::settled_sensors(board).await?;
    let is_here = |rom: ProbeRom| sensors.probes.iter().any(|probe| probe.rom == rom);
    if let Some(rom) = calibration.freezer_probe.filter(|rom| !is_here(*rom)) {
        return halt(
            "calibration.other-probe",
            format!("The job {job} had calibrated the probe {rom}, which is not on the bus now"),
            "Plug that probe in again, or calibrate the one that is there",
        );
    }
    let calibration = Calibration { job: run.job().to_string(), ..calibration };
    Ok(Calibrated { calibration, report })
}

/// What a job had calibrated a board to. That of another board is refused.
pub(super) fn of_job(run: &Run, job: &JobId, mac: Mac) -> Result<Calibrated, Halt> {
    let record = known_job(&run.bench, job)?;
    if record.mac != Some(mac) {
        return halt(
            "calibration.other-board",
            format!("The calibration of the job {job} is another board's, not that of {mac}"),
            "Choose a job that was done on this board",
        );
    }
    let steps = run.bench.ledger.steps(job)?;
    let step = steps.iter().find(|step| step.step == StepName::Calibrate.as_str());
    match step.and_then(|step| step.notes.get(WANTED)) {
        Some(wanted) => Ok(from_value(wanted)?),
        None => halt(
            "calibration.none",
            format!("The job {job} has calibrated nothing"),
            "Choose a job that has, or calibrate anew",
        ),
    }
}

/// Measures what the references leave open, now.
async fn measured(board: &dyn Board, previous: &Calibration, mut references: References) -> Result<References, Halt> {
    let sensors = ask::settled_sensors(board).await?;
    if !references.freezer.is_empty() {
        let rom = freezer_probe(&sensors, previous, references.freezer_probe.as_deref())?;
        references.freezer_probe = Some(rom.to_string());
        for point in references.freezer.iter_mut().filter(|point| point.raw_celsius.is_none()) {
            point.raw_celsius = Some(measure::mean(board, Quantity::Probe(rom)).await?.into());
        }
    }
    for point in references.supply.iter_mut().filter(|point| point.raw_volts.is_none()) {
        point.raw_volts = Some(measure::mean(board, Quantity::Supply).await?.into());
    }
    Ok(references)
}

/// Asks the person at the bench for everything that was not taken before the job broke off.
async fn prompted(run: &Run, board: &dyn Board, previous: &Calibration) -> Result<References, Halt> {
    let mut taken: References =
        run.noted::<Option<References>>(StepName::Calibrate, TAKEN)?.flatten().unwrap_or_default();
    if taken.thermometer_serial.is_empty() {
        taken.thermometer_serial = serial(run, "thermometer").await?;
        keep(run, &taken)?;
    }
    if taken.multimeter_serial.is_empty() {
        taken.multimeter_serial = serial(run, "multimeter").await?;
        keep(run, &taken)?;
    }
    let rom = match &taken.freezer_probe {
        Some(text) => probe_rom(text)?,
        None => ask_freezer_probe(run, &ask::settled_sensors(board).await?, previous).await?,
    };
    taken.freezer_probe = Some(rom.to_string());
    keep(run, &taken)?;
    Watch::new(run, rom).references(&mut taken).await?;
    supply_references(run, board, &mut taken).await?;
    if taken.door.is_none() {
        taken.door = learn_door(run, board).await?;
    }
    keep(run, &taken)?;
    Ok(taken)
}

/// Keeps what was taken in the record.
pub(super) fn keep(run: &Run, taken: &References) -> Result<(), Halt> {
    run.note(StepName::Calibrate, TAKEN, taken)
}

/// Asks for the voltage points. One that no correction can be made of is asked for again, with the reason.
async fn supply_references(run: &Run, board: &dyn Board, taken: &mut References) -> Result<(), Halt> {
    let mut refused = None;
    while let Some(point) = next_point(taken.supply.len()) {
        let raw_volts = f64::from(measure::mean(board, Quantity::Supply).await?);
        let question =
            Question::SupplyReference { point, raw_volts, taken: taken.supply.clone(), refused: refused.take() };
        match ask(run, question).await? {
            Reply::Number(reference_volts) => {
                // Measured again: the supply may have been set to another voltage while the question stood.
                let raw_volts = Some(measure::mean(board, Quantity::Supply).await?.into());
                taken.supply.push(VoltagePoint { reference_volts, raw_volts });
                if let Err(error) = fit_supply(&taken.supply) {
                    taken.supply.pop();
                    refused = Some(error.to_string());
                }
            }
            Reply::Back => drop(taken.supply.pop()),
            _ => break,
        }
        keep(run, taken)?;
    }
    Ok(())
}

/// Number of the next point, from 1; `None` when there are enough.
pub(super) fn next_point(taken: usize) -> Option<u32> {
    u32::try_from(taken).ok().map(|taken| taken + 1).filter(|point| *point <= POINTS)
}

/// Opens and closes the door with the person's help, and takes the level that means "open".
async fn learn_door(run: &Run, board: &dyn Board) -> Result<Option<DoorLevel>, Halt> {
    if ask(run, Question::OpenDoor).await? == Reply::Skip {
        return Ok(None);
    }
    let open = ask::sensors(board).await?.door_high;
    if ask(run, Question::CloseDoor).await? == Reply::Skip {
        return Ok(None);
    }
    let closed = ask::sensors(board).await?.door_high;
    match (open, closed) {
        (true, false) => Ok(Some(DoorLevel::OpenIsHigh)),
        (false, true) => Ok(Some(DoorLevel::OpenIsLow)),
        _ => halt(
            "calibration.door",
            "The door switch does not change when the door is opened and closed",
            "Check the switch, its magnet and its wiring, then resume the job",
        ),
    }
}

/// Fits the lines and holds them to the site's tolerances.
async fn fitted(
    run: &Run,
    board: &dyn Board,
    previous: &Calibration,
    references: References,
) -> Result<Calibrated, Halt> {
    let tolerances = &run.kit.site.tolerances;
    let fit_of = |points: usize, fit: Result<Fit, FitError>| (points > 0).then_some(fit);
    let freezer = fit_of(references.freezer.len(), fit_freezer(&references.freezer));
    let supply = fit_of(references.supply.len(), fit_supply(&references.supply));
    let freezer = within("freezer temperature", "°C", freezer, tolerances.freezer_celsius)?;
    let supply = within("supply voltage", "V", supply, tolerances.supply_volts)?;

    let sensors = ask::settled_sensors(board).await?;
    let line = |fit: &Option<Fit>, kept: Line| fit.as_ref().map_or(kept, |fit| fit.line);
    let residuals = |fit: Option<Fit>| fit.into_iter().flat_map(|fit| fit.residuals).map(f64::from).collect();
    let calibration = Calibration {
        freezer_probe: probe_or(&references.freezer_probe, previous.freezer_probe)?,
        outside_probe: probe_or(&references.outside_probe, previous.outside_probe)?,
        freezer: line(&freezer, previous.freezer),
        outside: previous.outside,
        supply: line(&supply, previous.supply),
        door_open_is_high: references.door.map_or(previous.door_open_is_high, Into::into),
        job: run.job().to_string(),
    };
    let report = CalibrationReport {
        probes: sensors.probes.iter().map(|probe| probe.rom).collect(),
        freezer_residuals_celsius: residuals(freezer),
        supply_residuals_volts: residuals(supply),
        references,
    };
    Ok(Calibrated { calibration, report: Some(report) })
}

/// Holds a correction to the site's tolerance. `None` when there are no points: the line stays as it was.
fn within(what: &str, unit: &str, fitted: Option<Result<Fit, FitError>>, tolerance: f64) -> Result<Option<Fit>, Halt> {
    let fitted = match fitted {
        None => return Ok(None),
        Some(Ok(fitted)) => fitted,
        Some(Err(error)) => {
            return halt(
                "calibration.fit",
                format!("The {what} cannot be calibrated: {error}"),
                "Check the reference values; if they are right, replace the sensor",
            );
        }
    };
    let worst = f64::from(fitted.worst_residual());
    if worst > tolerance {
        return halt(
            "calibration.residual",
            format!("The {what} is off by {worst:.2} {unit} at a reference point, more than {tolerance:.2} {unit}"),
            "Take the points again with a steady bath; if it happens again, replace the sensor",
        );
    }
    Ok(Some(fitted))
}

fn probe_or(named: &Option<String>, kept: Option<ProbeRom>) -> Result<Option<ProbeRom>, Halt> {
    named.as_deref().map_or(Ok(kept), |text| probe_rom(text).map(Some))
}

fn probe_rom(text: &str) -> Result<ProbeRom, Halt> {
    let bytes: Option<[u8; 8]> = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    match bytes {
        Some(rom) => Ok(ProbeRom(rom)),
        None => halt(
            "calibration.probe",
            format!("{text:?} is not the address of a probe"),
            "Write its 16 hex digits, family code first, such as 28ff641e0f160345",
        ),
    }
}

/// A probe this much colder than every other is in a running freezer, °C.
const CLEARLY_COLDER_CELSIUS: f32 = 10.0;

/// The one probe that is clearly colder than every other.
fn coldest(sensors: &RawSensors) -> Option<ProbeRom> {
    let mut warm: Vec<(f32, ProbeRom)> =
        sensors.probes.iter().map(|probe| Some((probe.celsius.ok()?, probe.rom))).collect::<Option<_>>()?;
    warm.sort_by(|a, b| a.0.total_cmp(&b.0));
    match warm.as_slice() {
        [(cold, rom), (next, _), ..] if next - cold >= CLEARLY_COLDER_CELSIUS => Some(*rom),
        _ => None,
    }
}

/// The named probe, else the only one on the bus, else the one assigned before, else the one that is clearly coldest.
fn freezer_probe(sensors: &RawSensors, previous: &Calibration, named: Option<&str>) -> Result<ProbeRom, Halt> {
    if let Some(text) = named {
        return probe_rom(text);
    }
    let roms: Vec<ProbeRom> = sensors.probes.iter().map(|probe| probe.rom).collect();
    match (roms.as_slice(), previous.freezer_probe) {
        ([only], _) => Ok(*only),
        (_, Some(assigned)) if roms.contains(&assigned) => Ok(assigned),
        _ if let Some(rom) = coldest(sensors) => Ok(rom),
        ([], _) => halt(
            "calibration.no-probe",
            "There is no temperature probe on the bus",
            "Check the probe's wiring, then resume the job",
        ),
        _ => halt(
            "calibration.which-probe",
            format!("There are {} temperature probes, and none is named as the one in the freezer", roms.len()),
            "Name it as `freezer_probe` in the calibration file",
        ),
    }
}

async fn ask_freezer_probe(run: &Run, sensors: &RawSensors, previous: &Calibration) -> Result<ProbeRom, Halt> {
    if sensors.probes.len() < 2 {
        return freezer_probe(sensors, previous, None);
    }
    let probes = sensors.probes.iter().map(|probe| (probe.rom.to_string(), probe.celsius.ok().map(f64::from)));
    match ask(run, Question::FreezerProbe { probes: probes.collect() }).await? {
        Reply::Text(text) => freezer_probe(sensors, previous, Some(&text)),
        _ => freezer_probe(sensors, previous, None),
    }
}

/// The serial number of an instrument; the one used last is offered.
async fn serial(run: &Run, instrument: &str) -> Result<String, Halt> {
    let key = format!("serial.{instrument}");
    let last = run.bench.ledger.recall(&key)?.unwrap_or_default();
    let question = Question::Serial { instrument: instrument.to_owned(), last: last.clone() };
    match ask(run, question).await? {
        Reply::Text(serial) => {
            run.bench.ledger.remember(&key, &serial)?;
            Ok(serial)
        }
        _ => Ok(last),
    }
}

/// Asks, and tells that it was asked.
async fn ask(run: &Run, question: Question) -> Result<Reply, Halt> {
    let question = asked(run, question).await;
    let operator = &run.bench.operator;
    let answer = operator.ask(question);
    let reply = if operator.sees_sensors() { measure::watched(run, answer).await } else { answer.await };
    match reply {
        Reply::Declined => Err(Halt::Cancelled),
        reply => Ok(reply),
    }
}

/// Tells that a question is asked.
pub(super) async fn asked(run: &Run, question: Question) -> Question {
    let step = StepName::Calibrate.to_string();
    run.teller.tell(Event::Asked { step, question: question.clone() }).await;
    question
}

fn describe(calibrated: &Calibrated, tolerances: &Tolerances) -> String {
    let Some(report) = &calibrated.report else { return "Left as it was".to_owned() };
    let worst = |residuals: &[f64]| residuals.iter().fold(0.0_f64, |worst, one| worst.max(one.abs()));
    format!(
        "{} temperature and {} voltage points, largest residuals {:.2} °C (limit {:.2}) and {:.2} V (limit {:.2})",
        report.freezer_residuals_celsius.len(),
        report.supply_residuals_volts.len(),
        worst(&report.freezer_residuals_celsius),
        tolerances.freezer_celsius,
        worst(&report.supply_residuals_volts),
        tolerances.supply_volts
    )
}
