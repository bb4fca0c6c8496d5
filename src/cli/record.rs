//! Commands that read the record: jobs, show.

use std::sync::Arc;

use serde::Serialize;
use time::{OffsetDateTime, macros::format_description};

use super::{
    Exit, Stop, args,
    report::{print_json, print_line},
};
use crate::{
    app::{hand_over::state_words, world::World},
    domain::{JobId, Problem},
    ports::ledger::{JobRecord, StepEnd, StepRecord},
};

pub(super) fn jobs(args: &args::Jobs, world: &Arc<dyn World>) -> Result<Exit, Stop> {
    let jobs = world.ledger(args.ledger.ledger.as_deref())?.ledger.jobs()?;
    if args.json {
        jobs.iter().for_each(print_json);
        return Ok(Exit::Passed);
    }
    if jobs.is_empty() {
        print_line("No jobs yet. Begin one with `coldbench commission`, or try `coldbench demo`.");
        return Ok(Exit::Passed);
    }
    print_line(&format!(
        "{:<26}  {:<16}  {:<14}  {:<12}  {:<24}  board",
        "job", "began (UTC)", "state", "truck", "thing"
    ));
    for job in &jobs {
        let text = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        print_line(&format!(
            "{:<26}  {:<16}  {:<14}  {:<12}  {:<24}  {}",
            job.job.as_str(),
            minute(job.began),
            state_words(job.state),
            text(job.truck.as_ref().map(ToString::to_string)),
            text(job.thing.as_ref().map(ToString::to_string)),
            text(job.mac.as_ref().map(ToString::to_string)),
        ));
    }
    Ok(Exit::Passed)
}

/// A job with its steps, as `show --json` prints it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    job: JobRecord,
    steps: Vec<StepRecord>,
}

pub(super) fn show(args: &args::Show, world: &Arc<dyn World>) -> Result<Exit, Stop> {
    let ledger = world.ledger(args.ledger.ledger.as_deref())?.ledger;
    let job = ledger.job(&args.job)?.ok_or_else(|| Stop::Input(no_such_job(&args.job)))?;
    let steps = ledger.steps(&args.job)?;
    if args.json {
        print_json(&Shown { job, steps });
        return Ok(Exit::Passed);
    }
    print_line(&format!("Job     {}", job.job));
    print_line(&format!("State   {}", state_words(job.state)));
    for (title, value) in [
        ("Truck", job.truck.as_ref().map(ToString::to_string)),
        ("Thing", job.thing.as_ref().map(ToString::to_string)),
        ("Board", job.mac.as_ref().map(ToString::to_string)),
        ("Port", Some(job.port.clone())),
        ("Began", Some(format!("{} UTC", minute(job.began)))),
        ("Ended", job.ended.map(|ended| format!("{} UTC", minute(ended)))),
    ] {
        if let Some(value) = value {
            print_line(&format!("{title:<7} {value}"));
        }
    }
    for (number, step) in steps.iter().enumerate() {
        print_line(&format!("  {:>2}. {:<10} {}", number + 1, step.step, end_words(step)));
    }
    if let Some(problem) = &job.problem {
        print_line(&format!("{}.\n{}. [{}]", problem.sentence, problem.terminal_advice(), problem.code));
    }
    for leftover in &job.leftovers {
        print_line(&format!("left over: {leftover}"));
    }
    Ok(Exit::Passed)
}

pub(super) fn no_such_job(job: &JobId) -> Problem {
    Problem::new(
        "input.job",
        format!("There is no job {job} in this record"),
        "Take the number from `coldbench jobs`, and name the record with --ledger if it is another one",
    )
}

fn minute(time: OffsetDateTime) -> String {
    time.format(format_description!("[year]-[month]-[day] [hour]:[minute]")).unwrap_or_default()
}

fn end_words(step: &StepRecord) -> String {
    match &step.end {
        None => "not ended".to_owned(),
        Some(StepEnd::Done { .. }) => "done".to_owned(),
        Some(StepEnd::Warning { message, .. }) => format!("done, but: {message}"),
        Some(StepEnd::Skipped { message, .. }) => format!("skipped: {message}"),
        Some(StepEnd::Failed { problem }) => format!("failed: {problem}"),
        Some(StepEnd::Undone { leftovers }) if leftovers.is_empty() => "undone".to_owned(),
        Some(StepEnd::Undone { leftovers }) => format!("undone, left over: {}", leftovers.join(", ")),
    }
}
