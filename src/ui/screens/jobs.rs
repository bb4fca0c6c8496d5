//! The record of jobs: searched at the left, one of them open at the right.

use eframe::egui::{Align, Layout, Rect, Role, ScrollArea, Sense, Ui, UiBuilder, WidgetInfo, pos2, vec2};
use time::{Duration, OffsetDateTime};

use super::cut_to;
use crate::{
    app::{
        command::Command,
        hand_over,
        state::AppState,
        station::{Station, What},
        update::JobDetails,
    },
    commission::plan::StepName,
    ports::ledger::{JobKind, JobRecord, JobState, StepEnd, StepRecord},
    ui::{
        dialogs::{FileAsk, Purpose},
        icons::Icon,
        text,
        theme::Themed,
        tokens::{Tone, Type, metric},
        view::{Action, Asking, Bar, Deed, Place, View},
        widgets::{self, Button, Field, Status, card, chip, code_drawer, note, say, say_in, select},
    },
};

/// A narrower window shows the open job instead of the list, pt.
const ROOM_FOR_BOTH: f32 = 700.0;

/// How the record is searched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobsView {
    /// Words that a job must have.
    pub search: String,
    /// How it must have ended.
    pub outcome: Outcome,
    /// Not begun longer ago than this, days; `0` for any day.
    pub days: u8,
    /// The list of leftovers is put away.
    pub leftovers_hidden: bool,
}

/// How a job ended, for the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// In any way.
    #[default]
    Any,
    /// Passed.
    Passed,
    /// Waits for somebody: failed, cancelled, broken off, partly undone.
    Open,
    /// Taken back, or retired later.
    Retired,
}

const OUTCOMES: [(Outcome, &str); 4] = [
    (Outcome::Any, "Any outcome"),
    (Outcome::Passed, "Passed"),
    (Outcome::Open, "To be finished"),
    (Outcome::Retired, "Undone or retired"),
];

const DAYS: [(u8, &str); 4] = [(0, "Any day"), (1, "Last 24 hours"), (7, "Last 7 days"), (30, "Last 30 days")];

impl JobsView {
    fn takes(&self, job: &JobRecord, now: OffsetDateTime) -> bool {
        let is_recent = self.days == 0 || now - job.began <= Duration::days(i64::from(self.days));
        let is_wanted = match self.outcome {
            Outcome::Any => true,
            Outcome::Passed => job.state == JobState::Passed,
            Outcome::Open => is_open(job.state),
            Outcome::Retired => matches!(job.state, JobState::Undone | JobState::Decommissioned),
        };
        is_recent && is_wanted && self.has_words(job)
    }

    fn has_words(&self, job: &JobRecord) -> bool {
        if self.search.trim().is_empty() {
            return true;
        }
        let of_job = [
            job.truck.as_ref().map(ToString::to_string),
            job.thing.as_ref().map(ToString::to_string),
            job.mac.as_ref().map(ToString::to_string),
            Some(job.job.to_string()),
            Some(text::utc(job.began)),
            Some(state_of(job.state).1.to_owned()),
        ];
        let of_job = of_job.into_iter().flatten().map(|word| word.to_lowercase()).collect::<Vec<_>>().join(" ");
        self.search.to_lowercase().split_whitespace().all(|word| of_job.contains(word))
    }
}

fn is_open(state: JobState) -> bool {
    matches!(state, JobState::Failed | JobState::Cancelled | JobState::Running | JobState::PartlyUndone)
}

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    let find = match view.finding {
        true => Action::shut("Find leftovers"),
        false => Action::open("Find leftovers", Deed::Order(Command::FindLeftovers)),
    };
    let read = Action::open("Read again", Deed::Order(Command::LoadJobs));
    let Some(job) = chosen(state, view) else {
        let sentence = match view.finding {
            true => "Looking in the cloud for what broken-off jobs left…".into(),
            false if state.jobs.as_ref().is_none_or(|jobs| jobs.is_empty()) => "Nothing is recorded yet".into(),
            false => "Choose a job to see what can be done with it".into(),
        };
        return Bar { sentence, primary: Some(read), secondary: Some(find) };
    };
    let undo = Action::open("Undo…", Deed::Ask(Asking::Undo(job.job.clone())));
    match (job.state, &job.thing) {
        (JobState::Passed, Some(thing)) => {
            let sentence = format!("{thing} is in service");
            let decommission = Action::open("Decommission…", Deed::Ask(Asking::Decommission(thing.clone())));
            Bar { sentence, primary: Some(sheet(job)), secondary: Some(decommission) }
        }
        (JobState::PartlyUndone, _) => {
            let sentence = "Something was left; undo it again to take the rest back".into();
            Bar { sentence, primary: Some(undo), secondary: Some(find) }
        }
        (state_now, _) if is_open(state_now) => match board_of(state, job) {
            Some(station) if station.is_busy() => {
                let sentence = "A job runs at its board now".into();
                Bar { sentence, primary: Some(Action::shut("Resume")), secondary: None }
            }
            Some(station) => {
                let port = station.port.port.clone();
                let sentence = format!("Resumes with the board at {port}");
                let resume = Deed::OrderAndGo(Command::Resume { job: job.job.clone(), port }, Place::Run);
                Bar { sentence, primary: Some(Action::open("Resume", resume)), secondary: Some(undo) }
            }
            None => {
                let sentence = "Plug its board in to resume it".into();
                Bar { sentence, primary: Some(Action::shut("Resume")), secondary: Some(undo) }
            }
        },
        _ => Bar { sentence: "Nothing is left to do".into(), primary: Some(read), secondary: Some(find) },
    }
}

fn sheet(job: &JobRecord) -> Action {
    let truck = job.truck.as_ref().map_or("truck", |truck| truck.as_str());
    let ask = FileAsk::new("Save the hand-over sheet", Purpose::Sheet(job.job.clone()), format!("{truck} sheet.html"));
    Action::open("Hand-over sheet…", Deed::File(ask))
}

/// The board that a job was made for, when it is here; any board where the job had seen none.
fn board_of<'a>(state: &'a AppState, job: &JobRecord) -> Option<&'a Station> {
    let is_its = |station: &&Station| match (&station.board, job.mac) {
        (Some(board), Some(mac)) => board.mac == mac,
        (Some(_), None) => station.port.port == job.port,
        (None, _) => false,
    };
    state.stations.values().find(is_its)
}

fn chosen<'a>(state: &'a AppState, view: &View) -> Option<&'a JobRecord> {
    let job = view.job.as_ref()?;
    state.jobs.as_ref()?.iter().find(|record| record.job == *job)
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    let Some(jobs) = state.jobs.as_ref().filter(|jobs| !jobs.is_empty()) else {
        leftovers(ui, state, view);
        widgets::empty(ui, Icon::ClipboardList, "No job yet", "Every job is recorded here by itself", None);
        return;
    };
    let now = OffsetDateTime::now_utc();
    search(ui, view);
    leftovers(ui, state, view);
    let is_one_open = chosen(state, view).is_some();
    let room = ui.available_rect_before_wrap();
    if let Some(job) = chosen(state, view).filter(|_| room.width() < ROOM_FOR_BOTH) {
        if ui.add(Button::secondary("Back to the list").icon(Icon::ArrowLeft)).clicked() {
            view.job = None;
        }
        ScrollArea::vertical().id_salt("job").auto_shrink(false).show(ui, |ui| details(ui, state, view, job));
        return;
    }
    let share = if is_one_open { 0.56 } else { 1.0 };
    let (left, right) = room.split_left_right_at_fraction(share);
    let left = if is_one_open { left.with_max_x(left.right() - 8.0) } else { left };
    ui.scope_builder(UiBuilder::new().max_rect(left), |ui| list(ui, jobs, view, now));
    if let Some(job) = chosen(state, view) {
        let builder = UiBuilder::new().max_rect(right.with_min_x(right.left() + 8.0));
        ui.scope_builder(builder, |ui| {
            ScrollArea::vertical().id_salt("job").auto_shrink(false).show(ui, |ui| details(ui, state, view, job));
        });
    }
}

fn search(ui: &mut Ui, view: &mut View) {
    ui.horizontal_wrapped(|ui| {
        let room = ui.available_width();
        let width = (room - 2.0 * 292.0).clamp(120.0, 480.0);
        Field::new("Search", &mut view.jobs.search).hint("Truck, thing, MAC or date").width(width).show(ui);
        let of_select = ((room - width) / 2.0 - 24.0).clamp(120.0, 260.0);
        ui.scope(|ui| {
            ui.set_max_width(of_select);
            select(ui, "Outcome", &mut view.jobs.outcome, &OUTCOMES);
        });
        ui.scope(|ui| {
            ui.set_max_width(of_select);
            select(ui, "Begun", &mut view.jobs.days, &DAYS);
        });
    });
}

fn exports(ui: &mut Ui, jobs: &std::sync::Arc<Vec<JobRecord>>, view: &View, now: OffsetDateTime) {
    for (words, name, make) in [
        ("JSON…", "jobs.json", hand_over::jobs_json as fn(&[JobRecord]) -> String),
        ("CSV…", "jobs.csv", hand_over::jobs_csv),
    ] {
        if ui.add(Button::ghost(words).icon(Icon::FileDown)).clicked() {
            let (jobs, search) = (jobs.clone(), view.jobs.clone());
            view.errands.prepare(ui.ctx(), "Export the jobs found", name.to_owned(), move || {
                let found: Vec<JobRecord> = jobs.iter().filter(|job| search.takes(job, now)).cloned().collect();
                make(&found).into_bytes()
            });
        }
    }
}

fn list(ui: &mut Ui, jobs: &std::sync::Arc<Vec<JobRecord>>, view: &mut View, now: OffsetDateTime) {
    let found: Vec<&JobRecord> = jobs.iter().filter(|job| view.jobs.takes(job, now)).collect();
    ui.horizontal(|ui| {
        let count = match found.len() {
            0 => "No job is like that".to_owned(),
            many => text::count(many, "job", "jobs"),
        };
        note(ui, count);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| exports(ui, jobs, view, now));
    });
    if found.is_empty() {
        return;
    }
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 0.0;
        // Only the rows in sight are painted: the record grows for years.
        let rows = ScrollArea::vertical().id_salt("jobs").auto_shrink([false, true]);
        rows.max_height(ui.available_height() - 16.0).show_rows(ui, metric::ROW, found.len(), |ui, in_sight| {
            for job in found.get(in_sight).into_iter().flatten() {
                if row(ui, job, view.job.as_ref() == Some(&job.job)) {
                    let is_open = view.job.as_ref() == Some(&job.job);
                    view.job = (!is_open).then(|| job.job.clone());
                    view.order(Command::OpenJob { job: job.job.clone() });
                }
            }
        });
    });
}

fn row(ui: &mut Ui, job: &JobRecord, is_chosen: bool) -> bool {
    let palette = ui.palette();
    let (status, word) = state_of(job.state);
    let truck = job.truck.as_ref().map_or(text::NO_VALUE, |truck| truck.as_str());
    let thing = job.thing.as_ref().map_or(text::NO_VALUE, |thing| thing.as_str());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), metric::ROW), Sense::click());
    let name = format!("Job of truck {truck}: {word}, {}", text::utc(job.began));
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_chosen, &name));
    widgets::keep_in_sight(&response);
    if is_chosen || response.hovered() {
        ui.painter().rect_filled(rect, metric::RADIUS_CONTROL, palette.accent_soft);
    }
    let inner = rect.shrink2(vec2(8.0, 0.0));
    let is_narrow = inner.width() < 600.0;
    let chip_width = if is_narrow { 136.0 } else { 160.0 };
    let widths = [if is_narrow { 124.0 } else { 180.0 }, (inner.width() * 0.16).clamp(64.0, 120.0)];
    let rest = (inner.width() - widths[0] - widths[1] - chip_width).max(0.0);
    let mut left = inner.left();
    let began = text::utc(job.began);
    // To the minute: the seconds are in the open job.
    let began = began.get(if is_narrow { 5..16 } else { 0..16 }).unwrap_or(&began);
    for (width, step, color, words) in [
        (widths[0], Type::Code, palette.text2, began),
        (widths[1], Type::Label, palette.text, truck),
        (rest, Type::Body, palette.text, thing),
    ] {
        let cell = Rect::from_min_size(pos2(left, inner.top()), vec2((width - 8.0).max(0.0), inner.height()));
        cut_to(ui, cell, step, color, words);
        left += width;
    }
    let cell = Rect::from_min_max(pos2(left, inner.top()), inner.max);
    ui.scope_builder(UiBuilder::new().max_rect(cell).layout(Layout::right_to_left(Align::Center)), |ui| {
        chip(ui, status, word)
    });
    response.clicked()
}

fn details(ui: &mut Ui, state: &AppState, view: &mut View, job: &JobRecord) {
    let (status, word) = state_of(job.state);
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.horizontal_wrapped(|ui| {
            let kind = match job.kind {
                JobKind::Commission => "Commissioning",
                JobKind::Flash => "Flashing",
                JobKind::Decommission => "Decommissioning",
            };
            say(ui, Type::H2, format!("{kind} {}", job.truck.as_ref().map_or("", |truck| truck.as_str())));
            chip(ui, status, word);
        });
        if let Some(problem) = &job.problem {
            let tone = ui.palette().tone(Tone::Fail);
            say_in(ui, Type::Body, tone.text, problem.to_string());
            note(ui, &problem.advice);
        }
        for leftover in &job.leftovers {
            note(ui, format!("Left over: {leftover}"));
        }
        fact(ui, "Thing", job.thing.as_ref().map_or(text::NO_VALUE, |thing| thing.as_str()));
        fact(ui, "Board", &job.mac.map_or(text::NO_VALUE.to_owned(), |mac| mac.to_string()));
        fact(ui, "Port", &job.port);
        fact(ui, "Began", &text::utc_and_local(job.began));
        if let Some(ended) = job.ended {
            let took = text::duration((ended - job.began).as_seconds_f64());
            fact(ui, "Ended", &format!("{}, after {took}", text::utc_and_local(ended)));
        }
        fact(ui, "Job", job.job.as_str());
        ui.horizontal_wrapped(|ui| {
            if ui.add(Button::ghost("Copy number").icon(Icon::Copy)).clicked() {
                ui.ctx().copy_text(job.job.to_string());
            }
            widgets::make_room(ui, 130.0);
            if job.state == JobState::Passed && ui.add(Button::ghost("Undo…").icon(Icon::Undo2)).clicked() {
                view.asking = Some(Asking::Undo(job.job.clone()));
            }
        });
        put_back(ui, state, view, job);
    });
    match state.opened.as_ref().filter(|opened| opened.record.job == job.job) {
        Some(opened) => steps(ui, opened),
        None => drop(note(ui, "Reading its steps…")),
    }
}

/// The calibration of a job can be put back on its board, any time the board is here.
fn put_back(ui: &mut Ui, state: &AppState, view: &mut View, job: &JobRecord) {
    let opened = state.opened.as_ref().filter(|opened| opened.record.job == job.job);
    let has_calibrated = opened.is_some_and(|opened| opened.steps.iter().any(has_calibrated));
    let (Some(mac), Some(truck), Some(thing)) = (job.mac, &job.truck, &job.thing) else { return };
    if !has_calibrated {
        return;
    }
    let is_here = |station: &&Station| station.board.as_ref().is_some_and(|board| board.mac == mac);
    let here = state.stations.values().find(is_here).filter(|station| !station.is_busy());
    let button = Button::ghost("Put this calibration back…").icon(Icon::RotateCcw).enabled(here.is_some());
    let pressed = ui.add(button).clicked();
    let Some(station) = here else {
        note(ui, "Plug its board in to put its calibration back");
        return;
    };
    if pressed {
        // The board may have been given to another truck since.
        let (truck, thing) = match &station.is {
            What::Commissioned { truck: Some(truck), thing } => (truck, thing),
            _ => (truck, thing),
        };
        let (port, truck, thing) = (station.port.port.clone(), truck.clone(), thing.clone());
        view.asking = Some(Asking::PutBack { job: job.job.clone(), port, truck, thing });
    }
}

fn has_calibrated(step: &StepRecord) -> bool {
    step.step == StepName::Calibrate.as_str() && step.notes.contains_key("wanted")
}

/// A fact whose value may need several lines.
fn fact(ui: &mut Ui, name: &str, value: &str) {
    ui.horizontal_top(|ui| {
        ui.allocate_ui_with_layout(vec2(96.0, 28.0), Layout::left_to_right(Align::Min), |ui| {
            ui.set_min_width(96.0);
            note(ui, name)
        });
        ui.vertical(|ui| say(ui, Type::Body, value));
    });
}

fn steps(ui: &mut Ui, opened: &JobDetails) {
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, text::count(opened.steps.len(), "step", "steps"));
        for step in &opened.steps {
            step_ui(ui, step);
        }
        code_drawer(ui, "As recorded", &serde_json::to_string_pretty(&opened.steps).unwrap_or_default());
    });
}

fn step_ui(ui: &mut Ui, step: &StepRecord) {
    let (status, word, said) = match &step.end {
        None => (Status::Stale, "Broken off", String::new()),
        Some(StepEnd::Done { .. }) => (Status::Pass, "Done", String::new()),
        Some(StepEnd::Warning { message, .. }) => (Status::Warn, "Done, look at it", message.clone()),
        Some(StepEnd::Skipped { message, .. }) => (Status::Skipped, "Not needed", message.clone()),
        Some(StepEnd::Failed { problem }) => (Status::Fail, "Failed", problem.to_string()),
        Some(StepEnd::Undone { leftovers }) => (Status::Skipped, "Undone", leftovers.join(", ")),
    };
    let took = step.ended.map(|ended| text::duration((ended - step.began).as_seconds_f64()));
    ui.horizontal(|ui| {
        ui.set_min_height(36.0);
        say(ui, Type::Label, text::sentence_case(&step.step));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            chip(ui, status, word);
            note(ui, took.unwrap_or_default());
        });
    });
    if !said.is_empty() {
        note(ui, said);
    }
}

fn leftovers(ui: &mut Ui, state: &AppState, view: &mut View) {
    let Some(leftovers) = state.leftovers.as_ref().filter(|_| !view.jobs.leftovers_hidden) else { return };
    if leftovers.is_empty() {
        if widgets::banner(ui, Status::Idle, "Broken-off jobs left nothing in the cloud", Some("Close")) {
            view.jobs.leftovers_hidden = true;
        }
        return;
    }
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        let found = text::count(leftovers.len(), "thing", "things");
        say(ui, Type::H3, format!("Left in the cloud by broken-off jobs: {found}"));
        ScrollArea::vertical().id_salt("leftovers").max_height(150.0).show(ui, |ui| {
            for leftover in leftovers {
                ui.push_id(leftover.to_string(), |ui| {
                    ui.horizontal(|ui| {
                        if ui.add(Button::danger("Retire…")).clicked() {
                            view.asking = Some(Asking::Retire(leftover.clone()));
                        }
                        ui.vertical(|ui| note(ui, leftover.to_string()));
                    });
                });
            }
        });
    });
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test states what it expects")]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::ui::screens;

    const NOW: OffsetDateTime = datetime!(2026-11-27 12:00:00 UTC);

    fn job(truck: &str, state: JobState, began: OffsetDateTime) -> JobRecord {
        let mac = "40:4c:ca:00:00:01".parse().ok();
        JobRecord { mac, began, ..screens::tests::job(truck, state) }
    }

    #[test]
    fn a_job_is_found_by_words_of_several_fields() {
        let job = job("T001", JobState::Passed, datetime!(2026-11-26 08:00:00 UTC));
        let takes = |search: &str| JobsView { search: search.to_owned(), ..JobsView::default() }.takes(&job, NOW);
        for search in ["", "t001", "40:4C:CA", "sensor-T001 passed", "2026-11-26"] {
            assert!(takes(search), "{search}");
        }
        assert!(!takes("t001 failed"));
    }

    #[test]
    fn outcome_and_day_narrow_the_search() {
        let old = job("T001", JobState::Failed, datetime!(2026-11-01 08:00:00 UTC));
        let view = |outcome, days| JobsView { outcome, days, ..JobsView::default() };
        assert!(view(Outcome::Open, 30).takes(&old, NOW));
        assert!(!view(Outcome::Open, 7).takes(&old, NOW));
        assert!(!view(Outcome::Passed, 0).takes(&old, NOW));
    }
}
