//! One job: its steps, what runs now, what it asks, how it ended.

use eframe::egui::{ScrollArea, Ui, vec2};

use super::{question, stations::parts};
use crate::{
    app::{
        command::Command,
        run::{Ended, Run, RunStep, StepState},
        state::AppState,
    },
    commission::events::{JobOutcome, Unit},
    ui::{
        icons::Icon,
        text,
        tokens::Type,
        view::{Action, Asking, Bar, Deed, Place, View},
        widgets::{self, Status, StepRow, VerdictPanel, card, code_drawer, note, say, segments, step_list, verdict},
    },
};

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    let Some(station) = view.station(state) else { return back("The board is gone") };
    let port = station.port.port.clone();
    let Some(run) = &station.run else { return back("The job is about to begin") };
    let Some(ended) = &run.ended else {
        let ask = Asking::Cancel { port: port.clone(), reason: String::new() };
        let cancel = run.cancelling.is_none().then(|| Action::open("Cancel job…", Deed::Ask(ask)));
        let primary = run.question.as_ref().map(|asked| question::action(asked, view, &port));
        return Bar { sentence: sentence(run, state), primary, secondary: cancel };
    };
    let keep = Deed::OrderAndGo(Command::Keep { port: port.clone() }, Place::Stations);
    if ended.outcome == JobOutcome::Passed {
        let sentence = format!("Took {}", text::duration(ended.seconds));
        return Bar { sentence, primary: Some(Action::open("Next board", keep)), secondary: None };
    }
    Bar {
        sentence: "Try again goes on where the job stopped. Undo takes everything back.".into(),
        primary: Some(Action::open("Try again", Deed::Order(Command::Resume { job: run.job.clone(), port }))),
        secondary: Some(Action::open("Undo…", Deed::Ask(Asking::Undo(run.job.clone())))),
    }
}

fn back(sentence: &str) -> Bar {
    let primary = Action::open("Back to the boards", Deed::Go(Place::Stations));
    Bar { sentence: sentence.into(), primary: Some(primary), secondary: None }
}

fn sentence(run: &Run, state: &AppState) -> String {
    if let Some(reason) = &run.cancelling {
        return format!("Stops at the next safe point: {reason}");
    }
    if run.question.is_some() {
        return "The job waits for your answer".into();
    }
    let left = run.time_left(&state.typical, time::OffsetDateTime::now_utc());
    left.map_or_else(String::new, |left| format!("About {} left", text::duration(left.machine.as_seconds_f64())))
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    let Some(station) = view.station(state) else {
        widgets::empty(ui, Icon::Unplug, "The board is gone", "Plug it in again to go on", None);
        return;
    };
    let Some(run) = &station.run else {
        widgets::empty(
            ui,
            Icon::Play,
            "The job is about to begin",
            "The plan appears here before anything is changed",
            None,
        );
        return;
    };
    if let Some(ended) = &run.ended {
        return ended_ui(ui, run, ended);
    }
    let height = ui.available_height();
    ui.horizontal_top(|ui| {
        ui.allocate_ui(vec2(340.0_f32.min(ui.available_width() * 0.35), height), |ui| {
            card(ui, |ui| {
                ScrollArea::vertical().id_salt("steps").auto_shrink(false).show(ui, |ui| {
                    let rows: Vec<StepRow> = run.steps.iter().map(row).collect();
                    let current = run.current().map(|(index, _)| index);
                    if let Some(chosen) = step_list(ui, view.step.or(current), &rows) {
                        view.step = (view.step != Some(chosen)).then_some(chosen);
                    }
                });
            });
        });
        ui.add_space(8.0);
        ui.vertical(|ui| {
            ScrollArea::vertical().id_salt("now").auto_shrink(false).show(ui, |ui| {
                say(ui, Type::H1, run.headline());
                segments(ui, "Progress of the job", &parts(run));
                ui.add_space(8.0);
                if let Some(asked) = &run.question {
                    question::show(ui, asked, station, view);
                    return;
                }
                let step = view.step.and_then(|index| run.steps.get(index)).or(run.current().map(|(_, step)| step));
                if let Some(step) = step {
                    step_ui(ui, step);
                }
            });
        });
    });
}

fn row(step: &RunStep) -> StepRow<'_> {
    let status = match step.state {
        StepState::Waiting => Status::Idle,
        StepState::Doing => Status::Running,
        StepState::Done => Status::Pass,
        StepState::Warning => Status::Warn,
        StepState::Skipped | StepState::Undone => Status::Skipped,
        StepState::Failed => Status::Fail,
    };
    let aside = match (&step.progress, step.seconds) {
        (Some(progress), _) => format!("{:.0} %", progress.fraction() * 100.0),
        (None, Some(seconds)) => text::duration(seconds),
        (None, None) => String::new(),
    };
    StepRow { title: &step.title, status, aside }
}

fn step_ui(ui: &mut Ui, step: &RunStep) {
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, &step.title);
        if let Some(progress) = &step.progress {
            widgets::bar(ui, &step.title, progress.fraction() as f32);
            let how_far = match progress.unit {
                Unit::Bytes => text::bytes_of(progress.done, progress.total),
                Unit::Steps | Unit::Readings => format!("{} of {}", progress.done, progress.total),
                Unit::Seconds => format!("{} s of {} s", progress.done, progress.total),
            };
            note(ui, format!("{}   {how_far}", progress.message));
        }
        if !step.message.is_empty() {
            note(ui, &step.message);
        }
        if let Some(problem) = &step.problem {
            widgets::banner(ui, Status::Fail, &format!("{}. {}", problem.sentence, problem.advice), None);
        }
        if !step.notes.is_empty() {
            code_drawer(ui, "Technical details", &step.notes.join("\n"));
        }
    });
}

fn ended_ui(ui: &mut Ui, run: &Run, ended: &Ended) {
    if !ended.leftovers.is_empty() {
        let sentence = format!("Left in the cloud: {}", ended.leftovers.join(", "));
        widgets::banner(ui, Status::Warn, &sentence, None);
    }
    let subject = match (&run.truck, &run.thing) {
        (Some(truck), Some(thing)) => format!("Truck {truck} · {thing}"),
        (Some(truck), None) => format!("Truck {truck}"),
        (None, Some(thing)) => thing.to_string(),
        (None, None) => "This board".to_owned(),
    };
    let undone = run.steps.iter().any(|step| step.state == StepState::Undone);
    let (sentence, advice, code) = match (&ended.problem, ended.outcome) {
        (Some(problem), _) => (problem.sentence.as_str(), problem.advice.as_str(), problem.code.as_ref()),
        (None, JobOutcome::Passed) if undone => ("Everything the job did is taken back", "", ""),
        (None, JobOutcome::Passed) => ("Proven over USB, over the cloud and in the shadow", "", ""),
        (None, JobOutcome::Cancelled) => ("Cancelled before it was proven", "Try again, or undo what was done", ""),
        (None, JobOutcome::Failed) => ("The job did not end well", "", ""),
    };
    let passed = ended.outcome == JobOutcome::Passed;
    if passed && undone || ended.outcome == JobOutcome::Cancelled {
        widgets::empty(ui, if undone { Icon::Undo2 } else { Icon::CircleStop }, &run.headline(), sentence, None);
        return;
    }
    verdict(ui, &VerdictPanel { passed, subject: &subject, sentence, advice, code });
}
