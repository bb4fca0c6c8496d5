//! How a job is shown in the terminal: bars on a terminal, plain lines without one, JSON lines when asked.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    commission::events::{Event, JobOutcome, PlannedStep, StepOutcome, Unit},
    domain::Problem,
};

/// Shows the events of one job.
pub struct Reporter {
    mode: Mode,
}

enum Mode {
    Json,
    Plain(Plain),
}

/// State of the lines for a person.
struct Plain {
    bar: Option<ProgressBar>,
    titles: Vec<PlannedStep>,
    is_terminal: bool,
}

impl Reporter {
    /// A reporter for this terminal.
    pub fn new(json: bool) -> Self {
        let mode = match json {
            true => Mode::Json,
            false => Mode::Plain(Plain { bar: None, titles: Vec::new(), is_terminal: std::io::stderr().is_terminal() }),
        };
        Reporter { mode }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match &mut self.mode {
            Mode::Json => print_json(event),
            Mode::Plain(plain) => plain.show(event),
        }
    }
}

/// Prints one JSON line. A reader that has gone is no error: the job goes on and its record tells the rest.
pub fn print_json(value: &impl serde::Serialize) {
    if let Ok(line) = serde_json::to_string(value) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// Prints one line. A reader that has gone is no error.
pub fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Says what went wrong and what to do, on standard error.
pub fn print_problem(problem: &Problem) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{}.\n{}. [{}]", problem.sentence, problem.terminal_advice(), problem.code);
}

impl Plain {
    fn show(&mut self, event: &Event) {
        match event {
            Event::Plan { job, truck, thing, port, steps } => {
                self.titles = steps.clone();
                let what: Vec<String> = [
                    truck.as_ref().map(|truck| format!("truck {truck}")),
                    thing.as_ref().map(|thing| format!("thing {thing}")),
                    port.as_ref().map(|port| format!("port {port}")),
                ]
                .into_iter()
                .flatten()
                .collect();
                self.line(&format!("Job {job}: {}", what.join(", ")));
                for (number, step) in steps.iter().enumerate() {
                    let done = if step.done { " (done before)" } else { "" };
                    self.line(&format!("  {:>2}. {:<10} {}{done}", number + 1, step.step, step.title));
                }
            }
            Event::StepStarted { step, .. } => {
                if self.is_terminal {
                    self.start_bar(step);
                }
            }
            Event::Progress { step, done, total, unit, message } => self.progress(step, *done, *total, *unit, message),
            Event::Note { step, message } => self.line(&format!("     {step}: {message}")),
            Event::Asked { .. } | Event::Sensed { .. } => {}
            Event::StepFinished { step, outcome, message, seconds, problem } => {
                self.end_bar();
                let word = match outcome {
                    StepOutcome::Done => "done",
                    StepOutcome::Warning => "note",
                    StepOutcome::Skipped => "skip",
                    StepOutcome::Failed => "FAIL",
                    StepOutcome::Undone => "undone",
                };
                self.line(&format!("[{word:^6}] {step:<10} {seconds:>6.1} s  {message}"));
                if let Some(problem) = problem {
                    self.line(&format!("         {}", problem.terminal_advice()));
                }
            }
            Event::Finished { job, outcome, thing, truck, problem, leftovers, seconds, .. } => {
                self.end_bar();
                let who = match (thing, truck) {
                    (Some(thing), Some(truck)) => format!("{thing} in truck {truck}"),
                    (Some(thing), None) => thing.to_string(),
                    _ => format!("job {job}"),
                };
                match outcome {
                    JobOutcome::Passed => self.line(&format!("PASS  {who}, {seconds:.1} s, job {job}")),
                    JobOutcome::Failed => self.line(&format!("FAIL  {who}, job {job}")),
                    JobOutcome::Cancelled => self.line(&format!("CANCELLED  {who}, job {job}")),
                }
                if let Some(problem) = problem {
                    self.line(&format!("{}.\n{}. [{}]", problem.sentence, problem.terminal_advice(), problem.code));
                }
                for leftover in leftovers {
                    self.line(&format!("left over: {leftover}"));
                }
            }
        }
    }

    fn start_bar(&mut self, step: &str) {
        self.end_bar();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:<10} {msg}") {
            bar.set_style(style);
        }
        let title = self.titles.iter().find(|planned| planned.step == step).map_or("", |planned| &planned.title);
        bar.set_prefix(step.to_owned());
        bar.set_message(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bar = Some(bar);
    }

    fn progress(&mut self, step: &str, done: u64, total: u64, unit: Unit, message: &str) {
        if !self.is_terminal {
            return;
        }
        if self.bar.as_ref().is_none_or(|bar| bar.prefix() != step) {
            self.start_bar(step);
        }
        let Some(bar) = &self.bar else { return };
        if bar.length() != Some(total) {
            let template = match unit {
                Unit::Bytes => "{spinner} {prefix:<10} [{bar:30}] {bytes}/{total_bytes} {eta} left  {msg}",
                Unit::Steps | Unit::Readings | Unit::Seconds => "{spinner} {prefix:<10} [{bar:30}] {pos}/{len}  {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_length(total);
        }
        bar.set_position(done);
        bar.set_message(message.to_owned());
    }

    fn end_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print_line(text)),
            None => print_line(text),
        }
    }
}
