//! Every connected board is a card.

use eframe::egui::{
    Align, Label, Layout, Rect, Response, RichText, Role, Sense, Stroke, StrokeKind, TextEdit, Ui, WidgetInfo,
    text::CCursorRange, vec2,
};

use super::settings_of;
use crate::{
    app::{
        command::Command,
        run::{Run, StepState},
        state::AppState,
        station::{Station, What},
    },
    commission::{CalibrationChoice, events::JobOutcome, plan::StepName},
    domain::TruckId,
    ui::{
        icons::Icon,
        text,
        theme::Themed,
        tokens::{Type, metric},
        view::{Action, Asking, Bar, Deed, Place, View},
        widgets::{
            self, Field, Segment, Status, card as card_frame, check_box, chip, entered, note, say, say_in, segments,
            toned_card,
        },
    },
};

/// Least width of a card, pt.
const CARD: f32 = 340.0;
/// The keys that choose the first boards.
const KEYS: [&str; 4] = ["F5", "F6", "F7", "F8"];

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    let Some(station) = target(state, view) else {
        let look = Action::open("Look again", Deed::Order(Command::Refresh));
        return Bar { sentence: "Plug a board in to begin".into(), primary: Some(look), secondary: None };
    };
    let port = station.port.port.clone();
    let name = text::port(&port).to_owned();
    if let Some(run) = &station.run {
        let primary =
            Action::open(if run.ended.is_some() { "See the result" } else { "See the job" }, Deed::Go(Place::Run));
        return Bar { sentence: station.headline(), primary: Some(primary), secondary: None };
    }
    let sentence = format!("{name}: {}", station.is.advice());
    match &station.is {
        What::New => match commission(state, view, station) {
            Ok(command) => {
                let truck = view.truck.trim();
                let sentence = match view.truck_taken {
                    true => format!("Press Enter again to commission {name} for truck {truck}"),
                    false => format!("{name} is ready for truck {truck}"),
                };
                let primary = Action::open("Commission", Deed::OrderAndGo(command, Place::Run));
                Bar { sentence, primary: Some(primary), secondary: None }
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
        What::Commissioned { .. } => Bar {
            sentence,
            primary: Some(Action::open("See readings", Deed::Go(Place::Live))),
            secondary: calibrate_again(station)
                .map(|command| Action::open("Calibrate again", Deed::OrderAndGo(command, Place::Run))),
        },
        What::Looking => Bar { sentence, ..Bar::default() },
        What::AnotherDepot { .. } | What::Unconfirmed { .. } | What::CannotOpen(_) | What::Gone => {
            Bar { sentence, primary: Some(Action::open("Look again", Deed::Order(Command::Refresh))), secondary: None }
        }
    }
}

/// The board that the bar is about: the chosen one, or with a truck in hand one that waits for a truck.
fn target<'a>(state: &'a AppState, view: &View) -> Option<&'a Station> {
    let chosen = view.station(state)?;
    let free = |station: &&Station| station.run.is_none() && station.is == What::New;
    if view.truck.trim().is_empty() || free(&chosen) {
        return Some(chosen);
    }
    state.stations.values().find(free).or(Some(chosen))
}

/// The order for a new board; in a sentence why there is none.
fn commission(state: &AppState, view: &View, station: &Station) -> Result<Command, String> {
    if view.truck.trim().is_empty() {
        return Err(What::New.advice());
    }
    let truck: TruckId = view.truck.trim().parse().map_err(|problem: crate::domain::Problem| problem.sentence)?;
    let calibration = if calibrates(state, view) { CalibrationChoice::Prompt } else { CalibrationChoice::Skip };
    Ok(Command::Commission { port: station.port.port.clone(), truck, thing: None, calibration })
}

/// The order to calibrate a board at its work; `None` where its truck is not known.
pub(super) fn calibrate_again(station: &Station) -> Option<Command> {
    let What::Commissioned { thing, truck: Some(truck) } = &station.is else { return None };
    Some(Command::Commission {
        port: station.port.port.clone(),
        truck: truck.clone(),
        thing: Some(thing.clone()),
        calibration: CalibrationChoice::Prompt,
    })
}

fn calibrates(state: &AppState, view: &View) -> bool {
    view.calibrate.unwrap_or(settings_of(state).calibrate)
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
    cards(ui, state, view);
    if target(state, view).is_some_and(|station| station.run.is_none() && station.is == What::New) {
        ui.add_space(8.0);
        plan(ui, state, view);
    }
}

fn cards(ui: &mut Ui, state: &AppState, view: &mut View) {
    let columns = ((ui.available_width() + 16.0) / (CARD + 16.0)).floor().max(1.0);
    let width = (ui.available_width() - (columns - 1.0) * 16.0) / columns;
    let chosen = target(state, view).map(|station| station.port.port.clone());
    let stations: Vec<_> = state.stations.values().enumerate().collect();
    for row in stations.chunks(columns as usize) {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing = vec2(16.0, 8.0);
            for (index, station) in row {
                let is_chosen = chosen.as_deref() == Some(&station.port.port);
                ui.allocate_ui_with_layout(vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
                    if card(ui, station, (state, *index), is_chosen, width) {
                        view.port = Some(station.port.port.clone());
                    }
                });
            }
        });
        ui.add_space(8.0);
    }
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
    ui.horizontal_top(|ui| {
        let typed = view.truck.trim();
        let error = (!typed.is_empty()).then(|| typed.parse::<TruckId>().err()).flatten();
        let sentence = error.map(|problem| problem.sentence);
        // The box to tick beside it stays in sight in a small window.
        let width = (ui.available_width() - 300.0).clamp(160.0, 320.0);
        let field = Field::new("Truck", &mut view.truck).hint("Scan or type, such as T001").width(width);
        let field = field.error(sentence.as_deref());
        let response = field.show(ui);
        if response.changed() {
            view.truck_taken = false;
        }
        if entered(ui, &response) {
            take_truck(ui, &response, state, view);
        }
        // A scanner types wherever the keyboard is: with nothing else in hand, that is here.
        if view.asking.is_none() && ui.memory(|memory| memory.focused().is_none()) {
            response.request_focus();
        }
        ui.vertical(|ui| {
            ui.add_space(25.0);
            ui.horizontal(|ui| {
                ui.add_space(16.0);
                let mut calibrate = calibrates(state, view);
                if check_box(ui, &mut calibrate, "Calibrate the sensors now").changed() {
                    view.calibrate = Some(calibrate);
                }
                if ui.available_width() > 220.0 {
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        note(ui, text::count(state.stations.len(), "board connected", "boards connected"));
                    });
                }
            });
        });
    });
    ui.add_space(4.0);
}

/// The truck was ended with Enter. It starts the job when the settings say so, else with a second Enter; what is scanned
/// next takes its place.
fn take_truck(ui: &Ui, response: &Response, state: &AppState, view: &mut View) {
    let starts = settings_of(state).start_on_scan || view.truck_taken;
    let free = target(state, view).filter(|station| station.run.is_none() && station.is == What::New);
    let Some(Ok(command)) = free.map(|station| commission(state, view, station)) else { return };
    if starts {
        return view.act(Deed::OrderAndGo(command, Place::Run));
    }
    view.truck_taken = true;
    if let Some(mut edit) = TextEdit::load_state(ui.ctx(), response.id) {
        edit.cursor.set_char_range(Some(CCursorRange::select_all_str(&view.truck)));
        TextEdit::store_state(ui.ctx(), response.id, edit);
    }
}

/// What is going to happen, before it does.
fn plan(ui: &mut Ui, state: &AppState, view: &View) {
    let calibrates = calibrates(state, view);
    let is_left = |name: &StepName| *name == StepName::Calibrate && !calibrates;
    card_frame(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.horizontal(|ui| {
            say(ui, Type::H3, "What is going to happen");
            let secs: f64 = StepName::ALL.iter().map(|name| state.typical.seconds(name.as_str())).sum();
            let asks = if calibrates { ", and the time to calibrate" } else { "" };
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                note(ui, format!("About {}{asks}", text::duration(secs)));
            });
        });
        ui.columns(2, |columns| {
            for (number, name) in StepName::ALL.iter().enumerate() {
                let Some(ui) = columns.get_mut(number / 5) else { continue };
                let later = if is_left(name) { ": later" } else { "" };
                note(ui, format!("{}. {}{later}", number + 1, name.title()));
            }
        });
    });
}

fn card(ui: &mut Ui, station: &Station, (state, index): (&AppState, usize), is_chosen: bool, width: f32) -> bool {
    let (status, word) = state_of(station);
    let port = &station.port.port;
    let mut path = Rect::NOTHING;
    let shown = toned_card(ui, status.tone(), |ui| {
        ui.set_width(width - 34.0);
        ui.set_min_height(150.0);
        ui.spacing_mut().item_spacing = vec2(8.0, 6.0);
        ui.allocate_ui_with_layout(
            vec2(ui.available_width(), metric::CHIP),
            Layout::right_to_left(Align::Center),
            |ui| {
                // The state first: it never gives way to a long path.
                chip(ui, status, word);
                let color = ui.palette().text2;
                if let Some(key) = KEYS.get(index) {
                    say_in(ui, Type::Caption, color, *key);
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let name = RichText::new(text::port(port)).font(Type::Serial.font()).color(ui.palette().text);
                    path = ui.add(Label::new(name).truncate()).rect;
                });
            },
        );
        say(ui, Type::H3, station.headline());
        let color = ui.palette().text2;
        say_in(ui, Type::Caption, color, facts(station));
        match &station.run {
            Some(run) => progress(ui, run, state),
            None => {
                if let What::HalfDone { step_number, of, .. } = station.is {
                    let part = |number| if number < step_number { Segment::Done } else { Segment::Waiting };
                    segments(ui, "Progress of the job", &(1..=of).map(part).collect::<Vec<_>>());
                }
                note(ui, station.is.advice());
            }
        }
        if let Some(last) = station.live.last() {
            let reading = &last.reading;
            let door = if reading.door_open == Some(true) { "door open" } else { "door closed" };
            let freezer = text::celsius(reading.freezer_celsius);
            note(ui, format!("{freezer} · {} · {door}", text::volts(reading.supply_volts)));
        }
    });
    let rect = shown.response.rect;
    let response = ui.interact(rect, ui.scope_id().with(port), Sense::click());
    let name = format!("Board at {port}: {}", station.headline());
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_chosen, &name));
    widgets::keep_in_sight(&response);
    if is_chosen {
        let edge = Stroke::new(2.0, ui.palette().accent);
        ui.painter().rect_stroke(rect, metric::RADIUS_CARD, edge, StrokeKind::Inside);
    }
    let response = if ui.rect_contains_pointer(path) { response.on_hover_text(port) } else { response };
    response.clicked()
}

fn facts(station: &Station) -> String {
    let mut facts = Vec::new();
    if let Some(board) = &station.board {
        facts.push(board.chip.clone());
        facts.push(board.mac.to_string());
        facts.push(
            board.firmware.as_ref().map_or("no firmware of ours".to_owned(), |version| format!("firmware {version}")),
        );
    } else if !station.port.guess.is_empty() {
        facts.push(station.port.guess.clone());
    }
    facts.join(" · ")
}

fn progress(ui: &mut Ui, run: &Run, state: &AppState) {
    segments(ui, "Progress of the job", &parts(run));
    let left = run.time_left(&state.typical, time::OffsetDateTime::now_utc());
    let Some(left) = left else { return };
    let words = match left.asks {
        true => "Waits for your answer".to_owned(),
        false => format!("About {} left", text::duration(left.machine.as_seconds_f64())),
    };
    note(ui, words);
}

/// The steps of a run as parts of a bar.
pub(super) fn parts(run: &Run) -> Vec<Segment> {
    let part = |step: &crate::app::run::RunStep| match step.state {
        StepState::Waiting | StepState::Undone => Segment::Waiting,
        // How long a person takes is not known.
        StepState::Doing if run.question.is_some() => Segment::Running(0.1),
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
        What::Unconfirmed { .. } => (Status::Stale, "Not confirmed"),
        What::CannotOpen(_) => (Status::Blocked, "Blocked"),
        What::Gone => (Status::Blocked, "Not plugged in"),
    }
}
