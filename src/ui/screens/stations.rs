//! Every connected board is a card.

use eframe::egui::{Align, Layout, Sense, Ui, vec2};

use super::settings_of;
use crate::{
    app::{
        command::Command,
        run::{Run, StepState},
        state::AppState,
        station::{Station, What},
    },
    commission::{CalibrationChoice, events::JobOutcome},
    domain::TruckId,
    ui::{
        icons::Icon,
        text,
        theme::Themed,
        tokens::Type,
        view::{Action, Asking, Bar, Deed, Place, View},
        widgets::{self, Field, Segment, Status, chip, entered, note, say, say_in, segments, toned_card},
    },
};

/// Least width of a card, pt.
const CARD: f32 = 380.0;

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    let Some(station) = view.station(state) else {
        let look = Action::open("Look again", Deed::Order(Command::Refresh));
        return Bar { sentence: "Plug a board in to begin".into(), primary: Some(look), secondary: None };
    };
    let port = station.port.port.clone();
    if let Some(run) = &station.run {
        let primary =
            Action::open(if run.ended.is_some() { "See the result" } else { "See the job" }, Deed::Go(Place::Run));
        return Bar { sentence: station.headline(), primary: Some(primary), secondary: None };
    }
    let sentence = format!("{}: {}", port, station.is.advice());
    match &station.is {
        What::New => match commission(state, view, station) {
            Ok(command) => {
                let primary = Action::open("Commission", Deed::OrderAndGo(command, Place::Run));
                Bar { sentence: format!("{port} is ready"), primary: Some(primary), secondary: None }
            }
            Err(why) => Bar { sentence: why, primary: Some(Action::shut("Commission")), secondary: None },
        },
        What::HalfDone { job, .. } => {
            let resume = Deed::OrderAndGo(Command::Resume { job: job.clone(), port }, Place::Run);
            let undo = Deed::Ask(Asking::Undo(job.clone()));
            Bar {
                sentence,
                primary: Some(Action::open("Resume", resume)),
                secondary: Some(Action::open("Undo…", undo)),
            }
        }
        What::Commissioned { .. } => {
            Bar { sentence, primary: Some(Action::open("See readings", Deed::Go(Place::Live))), secondary: None }
        }
        What::Looking => Bar { sentence, ..Bar::default() },
        What::Gone => Bar {
            sentence,
            primary: Some(Action::open("Put away", Deed::Order(Command::Keep { port }))),
            secondary: None,
        },
        What::AnotherDepot { .. } | What::CannotOpen(_) => {
            Bar { sentence, primary: Some(Action::open("Look again", Deed::Order(Command::Refresh))), secondary: None }
        }
    }
}

/// The order for a new board; in a sentence why there is none.
fn commission(state: &AppState, view: &View, station: &Station) -> Result<Command, String> {
    if view.truck.trim().is_empty() {
        return Err(What::New.advice());
    }
    let truck: TruckId = view.truck.trim().parse().map_err(|problem: crate::domain::Problem| problem.sentence)?;
    let calibration = if settings_of(state).calibrate { CalibrationChoice::Prompt } else { CalibrationChoice::Skip };
    Ok(Command::Commission { port: station.port.port.clone(), truck, thing: None, calibration })
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    open_jobs(ui, state, view);
    truck_field(ui, state, view);
    if state.stations.is_empty() {
        let again = widgets::empty(
            ui,
            Icon::Usb,
            "No board yet",
            "Plug a sensor board into a USB port. It appears here by itself.",
            Some("Look again"),
        );
        if again {
            view.order(Command::Refresh);
        }
        return;
    }
    let columns = ((ui.available_width() + 16.0) / (CARD + 16.0)).floor().max(1.0);
    let width = (ui.available_width() - (columns - 1.0) * 16.0) / columns;
    let chosen = view.station(state).map(|station| station.port.port.clone());
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(16.0, 16.0);
        for station in state.stations.values() {
            let is_chosen = chosen.as_deref() == Some(&station.port.port);
            ui.allocate_ui_with_layout(vec2(width, 216.0), Layout::top_down(Align::Min), |ui| {
                if card(ui, station, state, is_chosen, width) {
                    view.port = Some(station.port.port.clone());
                }
            });
        }
    });
}

fn open_jobs(ui: &mut Ui, state: &AppState, view: &mut View) {
    let waiting = state.open_jobs().count();
    if waiting > 0 {
        let sentence = format!("{} not finished. Resume or undo it.", text::count(waiting, "job is", "jobs are"));
        if widgets::banner(ui, Status::Warn, &sentence, Some("See jobs")) {
            view.act(Deed::OrderAndGo(Command::LoadJobs, Place::Jobs));
        }
    }
}

fn truck_field(ui: &mut Ui, state: &AppState, view: &mut View) {
    ui.horizontal(|ui| {
        let typed = view.truck.trim();
        let error = (!typed.is_empty()).then(|| typed.parse::<TruckId>().err()).flatten();
        let sentence = error.map(|problem| problem.sentence);
        let field = Field::new("Truck", &mut view.truck).hint("Scan or type, such as T001").error(sentence.as_deref());
        let response = field.show(ui);
        // Looked at before the field takes the keyboard back, which hides that it was left.
        let entered = entered(ui, &response);
        // A scanner types wherever the keyboard is: with nothing else in hand, that is here.
        if view.asking.is_none() && ui.memory(|memory| memory.focused().is_none()) {
            response.request_focus();
        }
        if entered && settings_of(state).start_on_scan {
            let idle = state.stations.values().find(|station| station.run.is_none() && station.is == What::New);
            if let Some(Ok(command)) = idle.map(|station| commission(state, view, station)) {
                view.port = idle.map(|station| station.port.port.clone());
                view.truck.clear();
                view.act(Deed::OrderAndGo(command, Place::Run));
            }
        }
        ui.vertical(|ui| {
            ui.add_space(34.0);
            note(ui, text::count(state.stations.len(), "board connected", "boards connected"));
        });
    });
    ui.add_space(4.0);
}

fn card(ui: &mut Ui, station: &Station, state: &AppState, is_chosen: bool, width: f32) -> bool {
    let (status, word) = state_of(station);
    let shown = toned_card(ui, status.tone(), |ui| {
        ui.set_width(width - 34.0);
        ui.set_min_height(180.0);
        ui.horizontal(|ui| {
            say(ui, Type::Serial, &station.port.port);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| chip(ui, status, word));
        });
        say(ui, Type::H3, station.headline());
        let color = ui.palette().text2;
        say_in(ui, Type::Caption, color, facts(station));
        match &station.run {
            Some(run) => progress(ui, run, state),
            None => {
                note(ui, station.is.advice());
            }
        }
        if let Some(last) = station.live.last() {
            let reading = &last.reading;
            let door = if reading.door_open == Some(true) { "door open" } else { "door closed" };
            let freezer = text::celsius(reading.freezer_celsius);
            note(ui, format!("{freezer}   {}   {door}", text::volts(reading.supply_volts)));
        }
    });
    let rect = shown.response.rect;
    let response = ui.interact(rect, ui.scope_id().with(&station.port.port), Sense::click());
    let name = format!("Board at {}: {}", station.port.port, station.headline());
    response.widget_info(|| eframe::egui::WidgetInfo::selected(eframe::egui::Role::Button, true, is_chosen, &name));
    if is_chosen {
        let edge = eframe::egui::Stroke::new(2.0, ui.palette().accent);
        ui.painter().rect_stroke(rect, 8, edge, eframe::egui::StrokeKind::Inside);
    }
    response.clicked()
}

fn facts(station: &Station) -> String {
    let mut facts = Vec::new();
    if let Some(board) = &station.board {
        facts.push(board.chip.clone());
        facts.push(board.mac.to_string());
    } else if !station.port.guess.is_empty() {
        facts.push(station.port.guess.clone());
    }
    facts.join("   ")
}

fn progress(ui: &mut Ui, run: &Run, state: &AppState) {
    segments(ui, "Progress of the job", &parts(run));
    let left = run.time_left(&state.typical, time::OffsetDateTime::now_utc());
    let words = match left {
        Some(left) if left.asks => "Waits for you".to_owned(),
        Some(left) => format!("About {} left", text::duration(left.machine.as_seconds_f64())),
        None => String::new(),
    };
    note(ui, words);
}

/// The steps of a run as parts of a bar.
pub(super) fn parts(run: &Run) -> Vec<Segment> {
    let part = |step: &crate::app::run::RunStep| match step.state {
        StepState::Waiting | StepState::Undone => Segment::Waiting,
        StepState::Doing => Segment::Running(step.progress.as_ref().map_or(0.1, |progress| progress.fraction() as f32)),
        StepState::Done | StepState::Skipped => Segment::Done,
        StepState::Warning => Segment::Warning,
        StepState::Failed => Segment::Failed,
    };
    run.steps.iter().map(part).collect()
}

fn state_of(station: &Station) -> (Status, &'static str) {
    if let Some(run) = &station.run {
        return match &run.ended {
            None if run.question.is_some() => (Status::NeedsYou, "Needs you"),
            None => (Status::Running, "Running"),
            Some(ended) => match ended.outcome {
                JobOutcome::Passed => (Status::Pass, "Passed"),
                JobOutcome::Failed => (Status::Fail, "Failed"),
                JobOutcome::Cancelled => (Status::Skipped, "Cancelled"),
            },
        };
    }
    match &station.is {
        What::Looking => (Status::Running, "Looking"),
        What::New => (Status::Idle, "Ready"),
        What::HalfDone { .. } => (Status::Warn, "Half done"),
        What::Commissioned { .. } => (Status::Pass, "In service"),
        What::AnotherDepot { .. } => (Status::Warn, "Not ours"),
        What::CannotOpen(_) => (Status::Blocked, "Blocked"),
        What::Gone => (Status::Blocked, "Unplugged"),
    }
}
