//! One job: its steps, what runs now, what it asks, how it ended.

use eframe::egui::{Align, Layout, ScrollArea, Ui, vec2};
use time::OffsetDateTime;

use super::{question, stations::parts};
use crate::{
    app::{
        command::Command,
        run::{Ended, Run, RunStep, StepState},
        state::AppState,
        station::Station,
    },
    commission::{
        events::{JobOutcome, Unit},
        plan::StepName,
    },
    ui::{
        icons::Icon,
        text,
        theme::Themed,
        tokens::{Type, metric},
        view::{Action, Asking, Bar, Deed, Place, View},
        widgets::{
            self, Button, Status, StepRow, VerdictPanel, card, chip, code_drawer, note, say, say_in, segments,
            step_list, verdict,
        },
    },
};

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    let Some(station) = view.station(state) else { return back("The board is gone") };
    let port = station.port.port.clone();
    let Some(run) = &station.run else { return back("The job is about to begin") };
    let Some(ended) = &run.ended else {
        let ask = Asking::Cancel { port: port.clone(), reason: String::new() };
        let cancel = run.cancelling.is_none().then(|| Action::open("Cancel job…", Deed::Ask(ask)));
        let asked = run.question.as_ref().filter(|_| run.cancelling.is_none());
        let primary = asked.map(|asked| question::action(asked, run, view, &port));
        return Bar { sentence: sentence(run, state, view, &port), primary, secondary: cancel };
    };
    if ended.outcome == JobOutcome::Passed {
        let sentence = format!("Took {}", text::duration(ended.seconds));
        return Bar { sentence, primary: Some(Action::open("Next board", keep(&port))), secondary: None };
    }
    Bar {
        sentence: "Try again goes on where the job stopped. Undo takes everything back.".into(),
        primary: Some(Action::open("Try again", Deed::Order(Command::Resume { job: run.job.clone(), port }))),
        secondary: Some(Action::open("Undo…", Deed::Ask(Asking::Undo(run.job.clone())))),
    }
}

fn keep(port: &str) -> Deed {
    Deed::OrderAndGo(Command::Keep { port: port.to_owned() }, Place::Stations)
}

fn back(sentence: &str) -> Bar {
    let primary = Action::open("Back to the boards", Deed::Go(Place::Stations));
    Bar { sentence: sentence.into(), primary: Some(primary), secondary: None }
}

fn sentence(run: &Run, state: &AppState, view: &View, port: &str) -> String {
    if let Some(reason) = &run.cancelling {
        return format!("Stops at the next safe point: {reason}");
    }
    if let Some(asked) = &run.question {
        return question::sentence(asked, run, view, port);
    }
    let left = run.time_left(&state.typical, OffsetDateTime::now_utc());
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
    match &run.ended {
        Some(ended) if view.step.is_none() => ended_ui(ui, run, ended, &station.port.port, view),
        _ => steps_ui(ui, state, station, run, view),
    }
}

/// The steps at the left, the one that counts now at the right.
fn steps_ui(ui: &mut Ui, state: &AppState, station: &Station, run: &Run, view: &mut View) {
    let size = ui.available_size();
    ui.horizontal_top(|ui| {
        let left = vec2((size.x * 0.36).clamp(260.0, 440.0), size.y);
        ui.allocate_ui_with_layout(left, Layout::top_down(Align::Min), |ui| {
            card(ui, |ui| {
                ScrollArea::vertical().id_salt("steps").auto_shrink(false).max_height(size.y - 34.0).show(ui, |ui| {
                    let rows: Vec<StepRow> = run.steps.iter().map(|step| row(step, run.question.is_some())).collect();
                    let current = run.current().map(|(index, _)| index);
                    if let Some(chosen) = step_list(ui, view.step.or(current), &rows) {
                        view.step = (view.step != Some(chosen) || run.ended.is_some()).then_some(chosen);
                    }
                });
            });
        });
        ui.vertical(|ui| {
            ScrollArea::vertical().id_salt("now").auto_shrink(false).show(ui, |ui| {
                head(ui, state, station, run);
                if let (Some(asked), None) = (&run.question, &run.cancelling) {
                    question::show(ui, asked, (state, station, run), view);
                    return;
                }
                let step = view.step.and_then(|index| run.steps.get(index)).or(run.current().map(|(_, step)| step));
                if let Some(step) = step {
                    step_ui(ui, step);
                }
                if run.ended.is_some() && ui.add(Button::secondary("Back to the result")).clicked() {
                    view.step = None;
                }
            });
        });
    });
}

fn head(ui: &mut Ui, state: &AppState, station: &Station, run: &Run) {
    let color = ui.palette().text2;
    let truck = run.truck.as_ref().map_or_else(String::new, |truck| format!(" · truck {truck}"));
    let place = format!("{}{truck}", text::port(&station.port.port));
    if run.question.is_some() && run.cancelling.is_none() {
        // The question is the headline, and needs the room.
        say_in(ui, Type::Caption, color, format!("{place} · {}", run.headline()));
        segments(ui, "Progress of the job", &parts(run));
        return;
    }
    say_in(ui, Type::Caption, color, place);
    say(ui, Type::H1, run.headline());
    segments(ui, "Progress of the job", &parts(run));
    let mut facts = vec![format!("{:.0} % done", run.fraction(&state.typical) * 100.0)];
    facts.extend(run.bytes().map(|(done, total)| text::bytes_of(done, total)));
    let elapsed = (OffsetDateTime::now_utc() - run.began).as_seconds_f64();
    facts.push(format!("{} so far", text::duration(run.ended.as_ref().map_or(elapsed, |ended| ended.seconds))));
    note(ui, facts.join(" · "));
    ui.add_space(4.0);
}

fn row(step: &RunStep, asks: bool) -> StepRow<'_> {
    let status = match step.state {
        StepState::Waiting => Status::Idle,
        StepState::Doing if asks => Status::NeedsYou,
        StepState::Doing => Status::Running,
        StepState::Done => Status::Pass,
        StepState::Warning => Status::Warn,
        StepState::Skipped | StepState::Undone => Status::Skipped,
        StepState::Failed => Status::Fail,
    };
    let aside = match (&step.progress, step.seconds) {
        (Some(_), _) if asks => String::new(),
        (Some(progress), _) => format!("{:.0} %", progress.fraction() * 100.0),
        (None, Some(seconds)) if seconds < 1.0 => "<1 s".to_owned(),
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

/// The verdict over the whole screen, with the quieter ways on below it.
fn ended_ui(ui: &mut Ui, run: &Run, ended: &Ended, port: &str, view: &mut View) {
    if !ended.leftovers.is_empty() {
        let sentence = format!("Left in the cloud: {}", ended.leftovers.join(", "));
        widgets::banner(ui, Status::Warn, &sentence, None);
    }
    let room = vec2(ui.available_width(), (ui.available_height() - metric::CONTROL - 8.0).max(0.0));
    ui.allocate_ui_with_layout(room, Layout::top_down(Align::Min), |ui| {
        ui.set_min_size(room);
        outcome_ui(ui, run, ended);
    });
    ui.horizontal(|ui| {
        let passed = ended.outcome == JobOutcome::Passed;
        if !passed && ui.add(Button::secondary("Keep as it is").icon(Icon::Check)).clicked() {
            view.act(keep(port));
        }
        if ui.add(Button::secondary("See the steps").icon(Icon::List)).clicked() {
            let failed = run.steps.iter().position(|step| step.state == StepState::Failed);
            view.step = failed.or(run.steps.len().checked_sub(1));
        }
        let calibrated = run.steps.iter().find(|step| step.name == StepName::Calibrate.as_str());
        if let (true, Some(step)) = (passed, calibrated) {
            match step.state {
                StepState::Warning => drop(chip(ui, Status::Warn, &step.message)),
                _ => drop(note(ui, &step.message)),
            }
        }
    });
}

fn outcome_ui(ui: &mut Ui, run: &Run, ended: &Ended) {
    let undone = run.is_undone();
    let (sentence, advice, code) = match (&ended.problem, ended.outcome) {
        (Some(problem), _) => (problem.sentence.as_str(), problem.advice.as_str(), problem.code.as_ref()),
        (None, JobOutcome::Passed) if undone => ("Everything the job did is taken back", "", ""),
        (None, JobOutcome::Passed) => ("Proven over USB, over the cloud and in the shadow", "", ""),
        (None, JobOutcome::Cancelled) => ("Cancelled before it was proven", "Try again, or undo what was done", ""),
        (None, JobOutcome::Failed) => ("The job did not end well", "", ""),
    };
    let passed = ended.outcome == JobOutcome::Passed;
    if passed && undone || ended.outcome == JobOutcome::Cancelled {
        let icon = if undone { Icon::Undo2 } else { Icon::CircleStop };
        let reason = run.cancelling.as_ref().map_or_else(String::new, |reason| format!("{reason}. "));
        let all = if advice.is_empty() { sentence.to_owned() } else { format!("{reason}{sentence}. {advice}") };
        widgets::empty(ui, icon, &run.headline(), &all, None);
        return;
    }
    let subject = subject(run);
    verdict(ui, &VerdictPanel { passed, subject: &subject, sentence, advice, code });
}

/// Truck and thing; after a failure also the step.
fn subject(run: &Run) -> String {
    let truck = run.truck.as_ref().map(|truck| format!("Truck {truck}"));
    let failed = run.steps.iter().position(|step| step.state == StepState::Failed);
    let step = failed.map(|index| format!("step {} of {}", index + 1, run.steps.len()));
    let all: Vec<String> = [truck, run.thing.as_ref().map(ToString::to_string), step].into_iter().flatten().collect();
    if all.is_empty() { "This board".to_owned() } else { all.join(" · ") }
}
