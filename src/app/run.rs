//! A job as a screen shows it: its steps, how far it is, how long it will take, what it asks, how it ended.

use time::{Duration, OffsetDateTime};

use super::{sensing::Sensing, typical::Typical};
use crate::{
    commission::events::{Event, JobOutcome, StepOutcome, Unit},
    domain::{JobId, Mac, Problem, ThingName, TruckId},
    ports::operator::Question,
};

/// Steps that run beside each other: the cloud's while the board is written.
const BESIDE_THE_BOARD: &str = "register";
const BOARD_LANE: [&str; 3] = ["flash", "boot", "key"];

/// A job while it runs and after it ended, until somebody puts it away.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The job.
    pub job: JobId,
    /// The truck.
    pub truck: Option<TruckId>,
    /// The thing.
    pub thing: Option<ThingName>,
    /// The steps in their order.
    pub steps: Vec<RunStep>,
    /// What it asks now.
    pub question: Option<Question>,
    /// What the sensors say while it calibrates.
    pub sensing: Sensing,
    /// Why it was asked to end; it ends at its next safe point.
    pub cancelling: Option<String>,
    /// When it began, UTC.
    pub began: OffsetDateTime,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunStep {
    /// Its name.
    pub name: String,
    /// What it does, for a person.
    pub title: String,
    /// Where it stands.
    pub state: StepState,
    /// When it began last, UTC.
    pub began: Option<OffsetDateTime>,
    /// How long it took, seconds.
    pub seconds: Option<f64>,
    /// In words: what was done, why it was skipped, what to know.
    pub message: String,
    /// Why it failed.
    pub problem: Option<Problem>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// What was said while it ran, oldest first, for the technical drawer.
    pub notes: Vec<String>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Not begun.
    Waiting,
    /// Running.
    Doing,
    /// Done, now or by an earlier run.
    Done,
    /// Done, with something to know.
    Warning,
    /// Not needed.
    Skipped,
    /// Failed.
    Failed,
    /// Undone.
    Undone,
}

impl StepState {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            StepState::Waiting => "waiting",
            StepState::Doing => "running",
            StepState::Done => "done",
            StepState::Warning => "done, see note",
            StepState::Skipped => "not needed",
            StepState::Failed => "failed",
            StepState::Undone => "undone",
        }
    }

    /// Whether nothing more comes.
    pub fn is_over(self) -> bool {
        !matches!(self, StepState::Waiting | StepState::Doing)
    }
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// What is done.
    pub done: u64,
    /// What is to be done.
    pub total: u64,
    /// What is counted.
    pub unit: Unit,
    /// In words.
    pub message: String,
    /// What was done when it was first told, and when: the speed comes from these.
    since: (u64, OffsetDateTime),
    /// When it was told last, UTC.
    at: OffsetDateTime,
}

impl Progress {
    /// 0 to 1.
    pub fn fraction(&self) -> f64 {
        (self.done as f64 / self.total.max(1) as f64).clamp(0.0, 1.0)
    }

    /// What is done in a second; `None` while nothing can be said.
    pub fn per_second(&self) -> Option<f64> {
        let (first, since) = self.since;
        let seconds = (self.at - since).as_seconds_f64();
        (seconds >= 0.5 && self.done > first).then(|| (self.done - first) as f64 / seconds)
    }

    fn seconds_left(&self, now: OffsetDateTime) -> Option<f64> {
        let left = self.total.saturating_sub(self.done) as f64 / self.per_second()?;
        Some((left - (now - self.at).as_seconds_f64()).max(0.0))
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// How.
    pub outcome: JobOutcome,
    /// The board.
    pub mac: Option<Mac>,
    /// Why it did not pass.
    pub problem: Option<Problem>,
    /// What could not be undone, each with its id.
    pub leftovers: Vec<String>,
    /// How long it took, seconds.
    pub seconds: f64,
}

/// How long a run will still take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeLeft {
    /// The time of machines.
    pub machine: Duration,
    /// A person will be asked besides, which takes as long as it takes.
    pub asks: bool,
}

impl Run {
    /// The run that a plan begins; `None` for any other event.
    pub fn planned(event: &Event, at: OffsetDateTime) -> Option<Self> {
        let Event::Plan { job, truck, thing, steps, .. } = event else { return None };
        let steps = steps.iter().map(|step| RunStep {
            name: step.step.clone(),
            title: step.title.clone(),
            state: if step.done { StepState::Done } else { StepState::Waiting },
            began: None,
            seconds: None,
            message: if step.done { "Done before".to_owned() } else { String::new() },
            problem: None,
            progress: None,
            notes: Vec::new(),
        });
        Some(Run {
            job: job.clone(),
            truck: truck.clone(),
            thing: thing.clone(),
            steps: steps.collect(),
            question: None,
            sensing: Sensing::default(),
            cancelling: None,
            began: at,
            ended: None,
        })
    }

    /// Takes an event.
    pub fn apply(&mut self, event: Event, at: OffsetDateTime) {
        match event {
            Event::Plan { .. } => {}
            Event::StepStarted { step, at } => self.change(&step, |step| {
                (step.state, step.began, step.progress) = (StepState::Doing, Some(at), None);
            }),
            Event::Progress { step, done, total, unit, message } => self.change(&step, |step| {
                let same = step.progress.as_ref().filter(|last| last.unit == unit && last.done <= done);
                let since = same.map_or((done, at), |last| last.since);
                step.progress = Some(Progress { done, total, unit, message, since, at });
            }),
            Event::Sensed { sensed, .. } => self.sensing.take(at, sensed),
            Event::Note { step, message } => self.change(&step, |step| step.note(message)),
            Event::Asked { question, .. } => self.ask(question),
            Event::StepFinished { step, outcome, message, seconds, problem } => self.change(&step, |step| {
                step.state = state_after(outcome);
                (step.seconds, step.message, step.problem, step.progress) = (Some(seconds), message, problem, None);
            }),
            Event::Finished { outcome, mac, problem, leftovers, seconds, thing, truck, .. } => {
                self.question = None;
                self.thing = thing.or(self.thing.take());
                self.truck = truck.or(self.truck.take());
                self.ended = Some(Ended { outcome, mac, problem, leftovers, seconds });
            }
        }
    }

    /// A question is asked.
    pub fn ask(&mut self, question: Question) {
        self.sensing.asked();
        self.question = Some(question);
    }

    /// The step that runs; where two run, the first of the plan.
    pub fn current(&self) -> Option<(usize, &RunStep)> {
        self.steps.iter().enumerate().find(|(_, step)| step.state == StepState::Doing)
    }

    /// 0 to 1, by time: a step counts as much as it usually takes.
    pub fn fraction(&self, typical: &Typical) -> f64 {
        if self.ended.as_ref().is_some_and(|ended| ended.outcome == JobOutcome::Passed) {
            return 1.0;
        }
        let (mut done, mut all) = (0.0, 0.0);
        for step in &self.steps {
            let weight = typical.seconds(&step.name);
            all += weight;
            done += weight
                * match step.state {
                    StepState::Waiting => 0.0,
                    StepState::Doing => step.progress.as_ref().map_or(0.0, Progress::fraction),
                    _ => 1.0,
                };
        }
        if all > 0.0 { done / all } else { 0.0 }
    }

    /// How long it will still take; `None` when it has ended.
    pub fn time_left(&self, typical: &Typical, now: OffsetDateTime) -> Option<TimeLeft> {
        if self.ended.is_some() {
            return None;
        }
        let left = |step: &RunStep| step.seconds_left(typical, now);
        let sum =
            |is_in: &dyn Fn(&RunStep) -> bool| self.steps.iter().filter(|step| is_in(step)).map(left).sum::<f64>();
        // The cloud's part runs beside the board's: the longer one counts.
        let beside = sum(&|step| step.name == BESIDE_THE_BOARD);
        let board = sum(&|step| BOARD_LANE.contains(&step.name.as_str()));
        let others = sum(&|step| step.name != BESIDE_THE_BOARD && !BOARD_LANE.contains(&step.name.as_str()));
        let asks = self.question.is_some();
        Some(TimeLeft { machine: Duration::seconds_f64(others + board.max(beside)), asks })
    }

    /// Whether it took an earlier job back.
    pub fn is_undone(&self) -> bool {
        self.steps.iter().any(|step| step.state == StepState::Undone)
    }

    /// Bytes written and to be written, while firmware is written.
    pub fn bytes(&self) -> Option<(u64, u64)> {
        let progress = self.steps.iter().filter_map(|step| step.progress.as_ref());
        progress.filter(|progress| progress.unit == Unit::Bytes).map(|progress| (progress.done, progress.total)).next()
    }

    /// What to say over it, in a sentence.
    pub fn headline(&self) -> String {
        let who = match (&self.thing, &self.truck) {
            (Some(thing), Some(truck)) => format!("{thing} in truck {truck}"),
            (Some(thing), None) => thing.to_string(),
            (None, Some(truck)) => format!("truck {truck}"),
            (None, None) => "this board".to_owned(),
        };
        match (&self.ended, &self.cancelling, self.current()) {
            (Some(ended), ..) => match (ended.outcome, &ended.problem) {
                (JobOutcome::Passed, _) if self.is_undone() => {
                    format!("Undone: {who}")
                }
                (JobOutcome::Passed, _) => format!("PASS: {who}"),
                (JobOutcome::Failed, Some(problem)) => format!("FAIL: {}", problem.sentence),
                (JobOutcome::Failed, None) => format!("FAIL: {who}"),
                (JobOutcome::Cancelled, _) => format!("Cancelled: {who}"),
            },
            (None, Some(reason), _) => format!("Cancelling: {reason}"),
            (None, None, Some((number, step))) => {
                format!("Step {} of {}: {}", number + 1, self.steps.len(), step.title)
            }
            (None, None, None) => format!("Preparing {who}"),
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut RunStep)) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.name == name) {
            change(step);
        }
    }
}

impl RunStep {
    /// Notes kept of a step: the drawer shows what was said last.
    const MAX_NOTES: usize = 50;

    fn note(&mut self, message: String) {
        if self.notes.len() == Self::MAX_NOTES {
            self.notes.remove(0);
        }
        self.notes.push(message);
    }

    fn seconds_left(&self, typical: &Typical, now: OffsetDateTime) -> f64 {
        match self.state {
            StepState::Waiting => typical.seconds(&self.name),
            StepState::Doing => {
                let elapsed = self.began.map_or(0.0, |began| (now - began).as_seconds_f64());
                let by_speed = self.progress.as_ref().and_then(|progress| progress.seconds_left(now));
                by_speed.unwrap_or_else(|| (typical.seconds(&self.name) - elapsed).max(1.0))
            }
            _ => 0.0,
        }
    }
}

fn state_after(outcome: StepOutcome) -> StepState {
    match outcome {
        StepOutcome::Done => StepState::Done,
        StepOutcome::Warning => StepState::Warning,
        StepOutcome::Skipped => StepState::Skipped,
        StepOutcome::Failed => StepState::Failed,
        StepOutcome::Undone => StepState::Undone,
    }
}
