//! What the board reports and what is desired of it, side by side.

use eframe::egui::{Frame, Margin, Ui, vec2};
use serde_json::{Map, Value, json};

use crate::{
    app::{command::Command, state::AppState},
    ui::{
        icons::Icon,
        theme::Themed,
        tokens::{Tone, Type},
        view::{Action, Bar, Deed, View},
        widgets::{self, Button, Field, Status, card, chip, code_drawer, note, say, say_in},
    },
};

/// Intervals that boards take, seconds.
const INTERVAL: std::ops::RangeInclusive<u16> = 1..=3600;

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    let Some(thing) = view.thing(state) else {
        return Bar { sentence: "This board has no name in the cloud yet".into(), ..Bar::default() };
    };
    let shadow = state.things.get(&thing).and_then(|watched| watched.shadow.as_ref());
    let read = Deed::Order(Command::ReadShadow { thing: thing.clone() });
    let Some(shadow) = shadow else {
        let primary = Some(Action::open("Read", read));
        return Bar { sentence: format!("The shadow of {thing} was not read yet"), primary, secondary: None };
    };
    let secondary = Some(Action::open("Read again", read));
    match interval(view) {
        Some(secs) => {
            let desired = json!({ "interval_secs": secs });
            let set = Command::SetDesired { thing, desired, version: Some(shadow.version) };
            let sentence = format!("The board will measure every {secs} s");
            Bar { sentence, primary: Some(Action::open("Apply change", Deed::Order(set))), secondary }
        }
        None => {
            let waiting = shadow.state.delta.len();
            let sentence = match waiting {
                0 => "The board does what is desired".to_owned(),
                _ => format!("{} not taken yet", crate::ui::text::count(waiting, "change is", "changes are")),
            };
            Bar { sentence, primary: Some(Action::shut("Apply change")), secondary }
        }
    }
}

fn interval(view: &View) -> Option<u16> {
    view.interval.trim().parse().ok().filter(|secs| INTERVAL.contains(secs))
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    let watched = view.thing(state).and_then(|thing| Some((thing.clone(), state.things.get(&thing)?)));
    let Some((thing, shadow, watched)) =
        watched.and_then(|(thing, watched)| Some((thing, watched.shadow.as_ref()?, watched)))
    else {
        let sentence = "Its shadow holds what the board reports and what is desired of it";
        widgets::empty(ui, Icon::GitCompare, "No shadow yet", sentence, None);
        return;
    };
    say(ui, Type::H2, format!("{thing}, version {}", shadow.version));
    if let Some(conflict) = &watched.conflict {
        let sentence = format!("Somebody else changed it meanwhile. Yours was {}, nothing was changed.", conflict.mine);
        widgets::banner(ui, Status::Warn, &sentence, None);
    }
    let wrong = !view.interval.trim().is_empty() && interval(view).is_none();
    ui.horizontal(|ui| {
        let error = wrong.then_some("Type 1 to 3600 seconds");
        Field::new("Measure every, seconds", &mut view.interval).hint("5").error(error).width(200.0).show(ui);
        ui.vertical(|ui| {
            ui.add_space(28.0);
            if ui.add(Button::ghost("Clear")).clicked() {
                view.interval.clear();
            }
        });
    });
    let rows = rows(&shadow.state.reported, &shadow.state.desired);
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 0.0;
        line(ui, ["Setting", "On the board", "Desired"], Type::Label, false);
        for (path, reported, desired) in &rows {
            let differs = desired.as_ref().is_some_and(|desired| Some(desired) != reported.as_ref());
            let words = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
            line(ui, [path, &words(reported), &words(desired)], Type::Code, differs);
        }
    });
    if !shadow.state.delta.is_empty() {
        chip(ui, Status::NeedsYou, "The board has not taken the change yet");
    }
    code_drawer(ui, "Whole document", &serde_json::to_string_pretty(shadow).unwrap_or_default());
}

fn line(ui: &mut Ui, cells: [&str; 3], step: Type, differs: bool) {
    let palette = ui.palette();
    let tone = palette.tone(Tone::Active);
    let fill = if differs { tone.soft } else { palette.surface };
    Frame::new().fill(fill).inner_margin(Margin::symmetric(8, 4)).show(ui, |ui| {
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 60.0) / 3.0;
            let sign = if differs { "≠" } else { " " };
            ui.allocate_ui(vec2(20.0, 28.0), |ui| {
                ui.set_min_width(20.0);
                note(ui, sign)
            });
            for cell in cells {
                ui.allocate_ui(vec2(width, 28.0), |ui| {
                    ui.set_min_width(width);
                    say_in(ui, step, palette.text, cell)
                });
            }
        });
    });
}

/// Paths of both trees in order, with their values as text.
fn rows(reported: &Map<String, Value>, desired: &Map<String, Value>) -> Vec<(String, Option<String>, Option<String>)> {
    let mut all = std::collections::BTreeMap::new();
    flatten("", reported, &mut |path, value| all.entry(path).or_insert((None, None)).0 = Some(value));
    flatten("", desired, &mut |path, value| all.entry(path).or_insert((None, None)).1 = Some(value));
    all.into_iter().map(|(path, (reported, desired))| (path, reported, desired)).collect()
}

fn flatten(above: &str, tree: &Map<String, Value>, found: &mut impl FnMut(String, String)) {
    for (key, value) in tree {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        match value {
            Value::Object(below) => flatten(&path, below, found),
            other => found(path, other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_trees_are_laid_side_by_side() {
        let reported = json!({ "interval_secs": 5, "door": { "open": true } });
        let desired = json!({ "interval_secs": 10 });
        let (Some(reported), Some(desired)) = (reported.as_object(), desired.as_object()) else { return };
        let expected = [
            ("door.open".to_owned(), Some("true".to_owned()), None),
            ("interval_secs".to_owned(), Some("5".to_owned()), Some("10".to_owned())),
        ];
        assert_eq!(rows(reported, desired), expected);
    }
}
