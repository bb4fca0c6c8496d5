//! The guided tour of the demo: cards beside the screen that lead to a commissioned truck, and to calibrated sensors.

use eframe::egui::{Align, Layout, Sense, Ui, vec2};

use crate::{
    app::{state::AppState, station::What},
    commission::events::JobOutcome,
    ports::operator::Question,
    ui::{
        icons::Icon,
        theme::Themed,
        tokens::{Type, metric},
        view::{Deed, Place, Tour, View},
        widgets::{Button, Status, note, say, say_in},
    },
};

/// Width of the tour, pt.
pub const WIDTH: f32 = 272.0;

/// The cards, in their order.
const TITLES: [&str; 5] =
    ["Meet the board", "Name the truck", "Watch it work", "Read the verdict", "Calibrate the sensors"];

/// Where the tour stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Meet,
    Name,
    Watch,
    Answer,
    Passed,
    NotPassed,
    Finished,
}

impl Stage {
    /// What has happened tells where it stands; nothing else does.
    fn of(state: &AppState, view: &View) -> Self {
        let runs = || state.stations.values().filter_map(|station| station.run.as_ref());
        let ended = |outcome| runs().filter_map(|run| run.ended.as_ref()).any(|ended| ended.outcome == outcome);
        let in_service = |is: &What| matches!(is, What::Commissioned { .. });
        if runs().any(|run| run.question.is_some()) {
            Stage::Answer
        } else if runs().any(|run| run.ended.is_none()) {
            Stage::Watch
        } else if ended(JobOutcome::Passed) {
            Stage::Passed
        } else if runs().next().is_some() {
            Stage::NotPassed
        } else if state.stations.values().any(|station| in_service(&station.is)) {
            Stage::Finished
        } else if view.place == Place::Run {
            // It was ordered, and has not told its plan yet.
            Stage::Watch
        } else if view.truck.is_empty() && !view.tour.is_some_and(|tour| tour.is_met) {
            Stage::Meet
        } else {
            Stage::Name
        }
    }

    /// Number of its card, from 0; after the last one when all are done.
    fn card(self) -> usize {
        match self {
            Stage::Meet => 0,
            Stage::Name => 1,
            Stage::Watch | Stage::Answer => 2,
            Stage::Passed | Stage::NotPassed => 3,
            Stage::Finished => 4,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Stage::Meet => "This sensor board is imitated, and so is the cloud. It works as yours will.",
            Stage::Name => "Type T001, as a scanner would. Then press Commission at the bottom right.",
            Stage::Watch => "Firmware, identity, cloud, proof: ten steps, and nothing for you to do.",
            Stage::Answer => "The job asks something. Answer it, or leave it out.",
            Stage::Passed => "The truck has its sensor. Press Next board to go on.",
            Stage::NotPassed => "The screen says why. Press Try again at the bottom right.",
            Stage::Finished => "That was the whole job. The board reports from its truck now.",
        }
    }
}

pub fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    let stage = Stage::of(state, view);
    ui.horizontal(|ui| {
        say(ui, Type::H3, "Guided tour");
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.add(Button::ghost("Close the tour").icon(Icon::X).icon_only()).clicked() {
                view.tour = None;
            }
        });
    });
    if stage == Stage::Answer {
        // The truck needs the room now.
        let asked = view.station(state).and_then(|station| station.run.as_ref()?.question.as_ref());
        note(ui, asked.map_or(stage.words(), hand_words));
        return;
    }
    for (number, title) in TITLES.into_iter().enumerate() {
        card(ui, number, title, stage, view);
    }
    if stage == Stage::Finished {
        finished(ui, state, view);
    }
}

/// The truck is commissioned: its sensors can be calibrated now, as every year.
fn finished(ui: &mut Ui, state: &AppState, view: &mut View) {
    let calibrate = view.station(state).and_then(super::stations::calibrate_again);
    if let Some(command) = calibrate
        && ui.add(Button::secondary("Calibrate now").icon(Icon::SlidersHorizontal)).clicked()
    {
        view.act(Deed::OrderAndGo(command, Place::Run));
    }
    if ui.add(Button::ghost("Close tour")).clicked() {
        view.tour = None;
    }
}

/// The hand's movement that a question needs.
fn hand_words(question: &Question) -> &'static str {
    match question {
        Question::Serial { instrument, .. } if instrument == "thermometer" => {
            "Type the number that stands on the thermometer: RT-114. Then press Go on."
        }
        Question::Serial { .. } => "Type the number that stands on the multimeter: DM-7. Then press Go on.",
        Question::FreezerProbe { .. } => {
            "Press In the hand. The probe that gets warmer is marked; then press Use this probe."
        }
        Question::FreezerReference { point: 1, .. } => {
            "Press Ice bath and wait until the probe is steady. Type what the thermometer shows, then press Capture."
        }
        Question::FreezerReference { .. } => {
            "Press Cold brine and wait until the probe is steady. Type what the thermometer shows, then press Capture."
        }
        Question::SupplyReference { point: 1, .. } => "Type what the multimeter shows, then press Capture.",
        Question::SupplyReference { .. } => "Press Engine on. Type what the multimeter shows, then press Capture.",
        Question::OpenDoor => "Press Open door, then It is open.",
        Question::CloseDoor => "Press Close door, then It is closed.",
    }
}

fn card(ui: &mut Ui, number: usize, title: &str, stage: Stage, view: &mut View) {
    let is_open = number == stage.card();
    let status = match number.cmp(&stage.card()) {
        std::cmp::Ordering::Less => Status::Pass,
        std::cmp::Ordering::Equal => Status::Running,
        std::cmp::Ordering::Greater => Status::Idle,
    };
    let palette = ui.palette();
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(metric::ICON_BUTTON, 36.0), Sense::hover());
        let icon = if is_open { Icon::ArrowRight } else { status.icon() };
        icon.paint(ui.painter(), rect.center(), metric::ICON_BUTTON, palette.tone(status.tone()).text);
        let (step, color) = if is_open { (Type::Label, palette.text) } else { (Type::Body, palette.text2) };
        say_in(ui, step, color, format!("{}  {title}", number + 1));
    });
    if is_open {
        ui.indent(number, |ui| {
            note(ui, stage.words());
            if stage == Stage::Meet && ui.add(Button::secondary("Go on")).clicked() {
                view.tour = view.tour.map(|_| Tour { is_met: true });
            }
        });
    }
}
