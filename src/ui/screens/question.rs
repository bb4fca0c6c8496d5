//! What a job asks while it calibrates, one question a screen.

use eframe::egui::Ui;

use crate::{
    app::{command::Command, station::Station},
    ports::operator::{Question, Reply},
    ui::{
        icons::Icon,
        text,
        tokens::Type,
        view::{Action, Deed, View},
        widgets::{Button, Field, Tile, card, note, say},
    },
};

/// The answer that the primary button gives.
pub(super) fn action(question: &Question, view: &View, port: &str) -> Action {
    let answer = |reply| Deed::Order(Command::Answer { port: port.to_owned(), reply });
    let typed = view.answer.trim();
    match question {
        Question::FreezerProbe { .. } if typed.is_empty() => Action::shut("Use this probe"),
        Question::FreezerProbe { .. } => Action::open("Use this probe", answer(Reply::Text(typed.to_owned()))),
        Question::FreezerReference { .. } | Question::SupplyReference { .. } => match number(typed) {
            Some(value) => Action::open("Capture", answer(Reply::Number(value))),
            None => Action::shut("Capture"),
        },
        Question::OpenDoor => Action::open("It is open", answer(Reply::Yes)),
        Question::CloseDoor => Action::open("It is closed", answer(Reply::Yes)),
        Question::Serial { last, .. } => {
            let serial = if typed.is_empty() { last.as_str() } else { typed };
            match serial.is_empty() {
                true => Action::shut("Go on"),
                false => Action::open("Go on", answer(Reply::Text(serial.to_owned()))),
            }
        }
    }
}

/// A number as people type it, with a point or a comma.
fn number(typed: &str) -> Option<f64> {
    let plain = typed.replace(',', ".").replace('\u{2212}', "-");
    plain.parse::<f64>().ok().filter(|number| number.is_finite())
}

pub(super) fn show(ui: &mut Ui, question: &Question, station: &Station, view: &mut View) {
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        match question {
            Question::FreezerProbe { probes } => probes_ui(ui, probes, view),
            Question::FreezerReference { point, raw_celsius } => {
                say(ui, Type::H2, format!("Temperature, point {point}"));
                note(ui, "Hold the reference thermometer beside the probe. Type what it shows.");
                measured(ui, "The probe says", text::number(Some(*raw_celsius), 2), "°C");
                value_field(ui, "Thermometer, °C", "-20.3", view);
            }
            Question::SupplyReference { point, raw_volts } => {
                say(ui, Type::H2, format!("Voltage, point {point}"));
                note(ui, "Hold the multimeter to the freezer unit. Type what it shows.");
                measured(ui, "The board says", text::number(Some(*raw_volts), 2), "V");
                value_field(ui, "Multimeter, V", "12.6", view);
            }
            Question::OpenDoor => door(ui, station, "Open the freezer door", Icon::DoorOpen),
            Question::CloseDoor => door(ui, station, "Close the freezer door", Icon::DoorClosed),
            Question::Serial { instrument, last } => {
                say(ui, Type::H2, format!("Which {instrument} do you use?"));
                let hint = if last.is_empty() { "Serial number" } else { last.as_str() };
                field(ui, "Serial number", hint, None, view);
                if !last.is_empty() {
                    note(ui, format!("Leave it empty to use {last} again"));
                }
            }
        }
        let can_skip = matches!(
            question,
            Question::FreezerReference { .. }
                | Question::SupplyReference { .. }
                | Question::OpenDoor
                | Question::CloseDoor
        );
        if can_skip && ui.add(Button::ghost("Leave this out").icon(Icon::SkipForward)).clicked() {
            view.order(Command::Answer { port: station.port.port.clone(), reply: Reply::Skip });
        }
    });
}

fn probes_ui(ui: &mut Ui, probes: &[(String, Option<f64>)], view: &mut View) {
    say(ui, Type::H2, "Which probe is in the freezer?");
    note(ui, "Warm one in your hand. The one that gets warmer is the one you hold.");
    for (rom, celsius) in probes {
        let words = format!("{rom}   {}", text::celsius(*celsius));
        let chosen = view.answer == *rom;
        let icon = if chosen { Icon::CircleDot } else { Icon::Circle };
        if ui.add(Button::secondary(&words).icon(icon).width(420.0)).clicked() {
            view.answer = rom.clone();
        }
    }
}

fn measured(ui: &mut Ui, name: &str, value: String, unit: &str) {
    Tile { name, value, unit, abnormal: None, below: String::new() }.show(ui, 300.0);
}

fn value_field(ui: &mut Ui, name: &str, hint: &str, view: &mut View) {
    let wrong = !view.answer.trim().is_empty() && number(&view.answer).is_none();
    field(ui, name, hint, wrong.then_some("Type a number"), view);
}

fn field(ui: &mut Ui, name: &str, hint: &str, error: Option<&str>, view: &mut View) {
    let nothing_in_hand = view.asking.is_none() && ui.memory(|memory| memory.focused().is_none());
    let response = Field::new(name, &mut view.answer).hint(hint).error(error).show(ui);
    if nothing_in_hand {
        response.request_focus();
    }
}

fn door(ui: &mut Ui, station: &Station, words: &str, icon: Icon) {
    let (rect, _) = ui.allocate_exact_size(eframe::egui::vec2(120.0, 120.0), eframe::egui::Sense::hover());
    icon.paint(ui.painter(), rect.center(), 112.0, crate::ui::theme::palette(ui.ctx()).text);
    say(ui, Type::H2, words);
    if let Some(open) = station.live.last().and_then(|last| last.reading.door_open) {
        note(ui, if open { "The board sees: open" } else { "The board sees: closed" });
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_value_may_be_typed_with_a_comma_or_a_true_minus() {
        assert_eq!(number("-20,3"), Some(-20.3));
        assert_eq!(number("\u{2212}18.5"), Some(-18.5));
        assert_eq!([number("inf"), number("cold"), number("")], [None, None, None]);
    }
}
