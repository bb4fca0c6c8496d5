//! The record of jobs.

use eframe::egui::{Align, Layout, Sense, Ui, vec2};

use crate::{
    app::{command::Command, state::AppState},
    ports::ledger::{JobRecord, JobState},
    ui::{
        icons::Icon,
        text,
        theme::Themed,
        tokens::{Type, metric},
        view::{Action, Asking, Bar, Deed, Place, View},
        widgets::{self, Button, Field, Status, card, chip, key_value, note, say_in},
    },
};

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    let find = Action::open("Find leftovers", Deed::Order(Command::FindLeftovers));
    let read = Action::open("Read again", Deed::Order(Command::LoadJobs));
    let Some(job) = chosen(state, view) else {
        let sentence = "Choose a job to see what can be done with it".into();
        return Bar { sentence, primary: Some(read), secondary: Some(find) };
    };
    let undo = Action::open("Undo…", Deed::Ask(Asking::Undo(job.job.clone())));
    match (job.state, &job.thing, view.station(state)) {
        (JobState::Passed, Some(thing), _) => {
            let decommission = Deed::Ask(Asking::Decommission(thing.clone()));
            let sentence = format!("{thing} is in service");
            Bar { sentence, primary: Some(read), secondary: Some(Action::open("Decommission…", decommission)) }
        }
        (JobState::Failed | JobState::Cancelled | JobState::Running, _, Some(station)) => {
            let port = station.port.port.clone();
            let sentence = format!("Resumes with the board at {port}");
            let resume = Deed::OrderAndGo(Command::Resume { job: job.job.clone(), port }, Place::Run);
            Bar { sentence, primary: Some(Action::open("Resume", resume)), secondary: Some(undo) }
        }
        (JobState::Failed | JobState::Cancelled | JobState::Running | JobState::PartlyUndone, ..) => {
            let sentence = "Plug its board in to resume it".into();
            Bar { sentence, primary: Some(Action::shut("Resume")), secondary: Some(undo) }
        }
        _ => Bar { sentence: "Nothing is left to do".into(), primary: Some(read), secondary: Some(find) },
    }
}

fn chosen<'a>(state: &'a AppState, view: &View) -> Option<&'a JobRecord> {
    let job = view.job.as_ref()?;
    state.jobs.as_ref()?.iter().find(|record| record.job == *job)
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    Field::new("Search", &mut view.search).hint("Truck, thing or board").show(ui);
    leftovers(ui, state, view);
    let Some(jobs) = state.jobs.as_ref().filter(|jobs| !jobs.is_empty()) else {
        widgets::empty(ui, Icon::ClipboardList, "No job yet", "Every job is recorded here by itself", None);
        return;
    };
    let wanted = view.search.trim().to_lowercase();
    let found: Vec<&JobRecord> = jobs.iter().filter(|job| matches(job, &wanted)).collect();
    note(ui, text::count(found.len(), "job", "jobs"));
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 0.0;
        for job in found.into_iter().take(200) {
            if row(ui, job, view.job.as_ref() == Some(&job.job)) {
                view.job = Some(job.job.clone());
                view.order(Command::OpenJob { job: job.job.clone() });
            }
        }
    });
    let opened = state.opened.as_ref().filter(|opened| Some(&opened.record.job) == view.job.as_ref());
    if let Some(opened) = opened {
        card(ui, |ui| {
            ui.set_min_width(ui.available_width());
            key_value(ui, "Job", opened.record.job.as_str());
            key_value(ui, "Began", &text::utc(opened.record.began));
            if let Some(problem) = &opened.record.problem {
                key_value(ui, "Problem", &problem.to_string());
            }
            for step in &opened.steps {
                let took = step.ended.map(|ended| text::duration((ended - step.began).as_seconds_f64()));
                key_value(ui, &step.step, &took.unwrap_or_else(|| "broken off".to_owned()));
            }
        });
    }
}

fn matches(job: &JobRecord, wanted: &str) -> bool {
    let words = [
        job.truck.as_ref().map(ToString::to_string),
        job.thing.as_ref().map(ToString::to_string),
        job.mac.as_ref().map(ToString::to_string),
        Some(job.job.to_string()),
        Some(text::utc(job.began)),
        Some(state_of(job.state).1.to_owned()),
    ];
    wanted.is_empty() || words.into_iter().flatten().any(|word| word.to_lowercase().contains(wanted))
}

fn row(ui: &mut Ui, job: &JobRecord, is_chosen: bool) -> bool {
    let palette = ui.palette();
    let (status, word) = state_of(job.state);
    let truck = job.truck.as_ref().map_or(text::NO_VALUE, |truck| truck.as_str());
    let thing = job.thing.as_ref().map_or(text::NO_VALUE, |thing| thing.as_str());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), metric::ROW), Sense::click());
    let name = format!("Job of truck {truck}: {word}, {}", text::utc(job.began));
    response.widget_info(|| eframe::egui::WidgetInfo::selected(eframe::egui::Role::Button, true, is_chosen, &name));
    if is_chosen || response.hovered() {
        ui.painter().rect_filled(rect, metric::RADIUS_CONTROL, palette.accent_soft);
    }
    let builder = eframe::egui::UiBuilder::new().max_rect(rect.shrink2(vec2(8.0, 0.0)));
    ui.scope_builder(builder.layout(Layout::left_to_right(Align::Center)), |ui| {
        for (width, step, words) in [
            (230.0, Type::Code, text::utc(job.began)),
            (120.0, Type::Label, truck.to_owned()),
            (280.0, Type::Body, thing.to_owned()),
        ] {
            ui.allocate_ui(vec2(width, metric::ROW), |ui| {
                ui.set_min_width(width);
                say_in(ui, step, palette.text, words)
            });
        }
        chip(ui, status, word);
    });
    response.clicked()
}

fn leftovers(ui: &mut Ui, state: &AppState, view: &mut View) {
    let Some(leftovers) = &state.leftovers else { return };
    if leftovers.is_empty() {
        widgets::banner(ui, Status::Idle, "Broken-off jobs left nothing in the cloud", None);
    }
    for leftover in leftovers {
        ui.push_id(leftover.to_string(), |ui| {
            ui.horizontal(|ui| {
                note(ui, format!("{leftover}: {}", leftover.why));
                if ui.add(Button::danger("Retire…")).clicked() {
                    view.asking = Some(Asking::Retire(leftover.clone()));
                }
            });
        });
    }
}

fn state_of(state: JobState) -> (Status, &'static str) {
    match state {
        JobState::Running => (Status::Stale, "Not finished"),
        JobState::Passed => (Status::Pass, "Passed"),
        JobState::Failed => (Status::Fail, "Failed"),
        JobState::Cancelled => (Status::Skipped, "Cancelled"),
        JobState::Undone => (Status::Skipped, "Undone"),
        JobState::PartlyUndone => (Status::Warn, "Partly undone"),
        JobState::Decommissioned => (Status::Skipped, "Decommissioned"),
    }
}
