//! What the board reports, what is desired of it and where they differ, side by side; and the form that changes what is
//! desired.

use std::collections::BTreeMap;

use coldbench_sensor::shadow as limits;
use eframe::egui::{Rect, Sense, Ui, pos2, vec2};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::cut_to;
use crate::{
    app::{
        command::Command,
        state::{AppState, Conflict, WatchedThing},
    },
    domain::{Settings, ThingName, shadow::Shadow},
    ui::{
        icons::Icon,
        text,
        theme::Themed,
        tokens::{Tone, Type, metric},
        view::{Action, Bar, Deed, View},
        widgets::{self, Button, Field, Status, card, chip, code_drawer, note, say},
    },
};

/// The form: what is typed, and what was desired when it was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowDraft {
    thing: ThingName,
    seen: Map<String, Value>,
    before: Settings,
    typed: BTreeMap<&'static str, String>,
}

/// Fields of the form in its order: key, words, unit.
const FIELDS: [(&str, &str, &str); 13] = [
    ("interval_secs", "Measure every", "s"),
    ("freezer_warning_celsius", "Freezer warning", "°C"),
    ("freezer_warning_secs", "Freezer warning after", "s"),
    ("freezer_critical_celsius", "Freezer critical", "°C"),
    ("freezer_critical_secs", "Freezer critical after", "s"),
    ("freezer_clear_celsius", "Freezer well again", "°C"),
    ("freezer_clear_secs", "Freezer well after", "s"),
    ("supply_warning_volts", "Supply warning", "V"),
    ("supply_warning_secs", "Supply warning after", "s"),
    ("supply_critical_volts", "Supply critical", "V"),
    ("supply_critical_secs", "Supply critical after", "s"),
    ("door_warning_secs", "Door warning after", "s"),
    ("door_critical_secs", "Door critical after", "s"),
];

impl ShadowDraft {
    fn of(thing: ThingName, shadow: &Shadow) -> Self {
        // Desired before reported: what is on its way to the board is not taken back by an unrelated change.
        let wanted = |key: &str| {
            [&shadow.state.desired, &shadow.state.reported].into_iter().find_map(|tree| tree.get(key).cloned())
        };
        let mut all = plain(&Settings::default());
        let nested = wanted("thresholds").unwrap_or_default();
        let reported = shadow.state.reported.get("thresholds").cloned().unwrap_or_default();
        for (key, value) in &mut all {
            let known =
                if key == "interval_secs" { wanted(key) } else { nested.get(key).or(reported.get(key)).cloned() };
            if let Some(known) = known.filter(Value::is_number) {
                *value = known;
            }
        }
        let before = settings(&all).unwrap_or_default();
        let typed = FIELDS.iter().map(|(key, ..)| (*key, all.get(*key).map_or_else(String::new, short))).collect();
        ShadowDraft { thing, seen: shadow.state.desired.clone(), before, typed }
    }

    /// What is wrong: the key it is about, empty for several together, and one sentence.
    fn settings(&self) -> Result<Settings, (&'static str, String)> {
        let mut all = Map::new();
        for (key, typed) in &self.typed {
            let plain = typed.trim().replace(',', ".").replace('\u{2212}', "-");
            let whole = plain.parse::<u16>().ok().map(Value::from);
            let number = || plain.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::from);
            let value = if key.ends_with("_secs") { whole } else { number() };
            let kind = if key.ends_with("_secs") { "Type a whole number" } else { "Type a number" };
            all.insert((*key).to_owned(), value.ok_or((*key, kind.to_owned()))?);
        }
        let new = settings(&all).ok_or(("", "These are no settings of a board".to_owned()))?;
        limits::check(&new).map_err(|why| {
            let of = FIELDS.iter().find(|(key, ..)| why.starts_with(&format!("{key}: ")));
            of.map_or(("", text::sentence_case(&why)), |(key, ..)| (*key, why[key.len() + 2..].to_owned()))
        })?;
        Ok(new)
    }

    /// The fields that are changed, as the shadow holds them.
    fn changes(&self, new: &Settings) -> Map<String, Value> {
        let before = plain(&self.before);
        let changed = plain(new).into_iter().filter(|(key, value)| before.get(key) != Some(value));
        let (top, nested): (Map<_, _>, Map<_, _>) = changed.partition(|(key, _)| key == "interval_secs");
        let mut all = top;
        if !nested.is_empty() {
            all.insert("thresholds".to_owned(), Value::Object(nested));
        }
        all
    }
}

/// Settings as one level of keys.
fn plain(settings: &Settings) -> Map<String, Value> {
    let tree = serde_json::to_value(settings).unwrap_or_default();
    let thresholds = tree.get("thresholds").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut all: Map<String, Value> = thresholds.into_iter().collect();
    all.insert("interval_secs".to_owned(), json!(settings.interval_secs));
    all
}

fn settings(plain: &Map<String, Value>) -> Option<Settings> {
    let mut thresholds = plain.clone();
    let interval = thresholds.remove("interval_secs")?;
    serde_json::from_value(json!({ "interval_secs": interval, "thresholds": thresholds })).ok()
}

/// A number without the digits that single precision adds.
fn short(value: &Value) -> String {
    match value.as_f64() {
        Some(number) => format!("{}", number as f32),
        None => value.to_string(),
    }
}

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    let Some(thing) = view.thing(state) else {
        return Bar { sentence: "This board has no name in the cloud yet".into(), ..Bar::default() };
    };
    let watched = state.things.get(&thing);
    let read = Deed::Order(Command::ReadShadow { thing: thing.clone() });
    let Some(shadow) = watched.and_then(|watched| watched.shadow.as_ref()) else {
        let primary = Some(Action::open("Read", read));
        return Bar { sentence: format!("The shadow of {thing} was not read yet"), primary, secondary: None };
    };
    if let Some(draft) = view.shadow.as_ref().filter(|draft| draft.thing == thing) {
        return form_bar(draft);
    }
    let waiting = flat(&shadow.state.delta).len();
    let sentence = match waiting {
        0 => "The board does what is desired".to_owned(),
        _ => format!("{} not taken yet", text::count(waiting, "change is", "changes are")),
    };
    let secondary = if watched.is_some_and(|watched| watched.watched) {
        Action::open("Stop following", Deed::Order(Command::Unwatch { thing: thing.clone() }))
    } else {
        Action::open("Read again", read)
    };
    let edit = Action::open("Change settings", Deed::Edit(ShadowDraft::of(thing, shadow)));
    Bar { sentence, primary: Some(edit), secondary: Some(secondary) }
}

fn form_bar(draft: &ShadowDraft) -> Bar {
    let shut = |sentence: String| Bar { sentence, primary: Some(Action::shut("Apply change")), secondary: None };
    let new = match draft.settings() {
        Ok(new) => new,
        Err((key, why)) => {
            let name = FIELDS.iter().find(|(known, ..)| *known == key).map(|(_, name, _)| format!("{name}: "));
            return shut(format!("{}{why}", name.unwrap_or_default()));
        }
    };
    let changes = draft.changes(&new);
    if changes.is_empty() {
        return shut("Nothing is changed yet".to_owned());
    }
    let sentence = format!("{} will change", text::count(flat(&changes).len(), "setting", "settings"));
    let (thing, desired, seen) = (draft.thing.clone(), Value::Object(changes), Some(draft.seen.clone()));
    let set = Command::SetDesired { thing, desired, seen };
    Bar { sentence, primary: Some(Action::open("Apply change", Deed::Order(set))), secondary: None }
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    super::board_tabs(ui, state, view);
    let known = view.thing(state).and_then(|thing| Some((thing.clone(), state.things.get(&thing)?)));
    let Some((thing, shadow, watched)) =
        known.and_then(|(thing, watched)| Some((thing, watched.shadow.as_ref()?, watched)))
    else {
        let sentence = match view.thing(state) {
            Some(_) => "It holds what the board reports and what is desired of it",
            None => "A board has one once it is commissioned",
        };
        widgets::empty(ui, Icon::GitCompare, "No shadow yet", sentence, None);
        return;
    };
    head(ui, &thing, watched, shadow, view);
    if let Some(conflict) = watched.conflict.as_ref().filter(|other| view.settled != Some(other.theirs.version)) {
        conflict_ui(ui, &thing, conflict, view);
    }
    form(ui, &thing, view);
    trees(ui, shadow, watched.shadow_before.as_ref());
    code_drawer(ui, "Whole document", &serde_json::to_string_pretty(shadow).unwrap_or_default());
}

fn head(ui: &mut Ui, thing: &ThingName, watched: &WatchedThing, shadow: &Shadow, view: &mut View) {
    ui.horizontal_wrapped(|ui| {
        say(ui, Type::H2, thing.as_str());
        match shadow.state.delta.is_empty() {
            true => chip(ui, Status::Pass, "Board and cloud agree"),
            false => chip(ui, Status::NeedsYou, "The board has not taken the change yet"),
        };
        if !watched.watched && ui.add(Button::ghost("Follow").icon(Icon::Radio)).clicked() {
            view.order(Command::WatchThing { thing: thing.clone() });
        }
    });
    let told = i64::try_from(shadow.timestamp).ok().filter(|secs| *secs > 0);
    let told = told.and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
    let told = told.map_or_else(String::new, |at| format!(", told {}", text::utc_and_local(at)));
    note(ui, format!("Version {}{told}", shadow.version));
    if let Some(problem) = &watched.problem {
        widgets::banner(ui, Status::Warn, &format!("{}. {}", problem.sentence, problem.advice), None);
    }
}

/// Both changes with their values, and the choice between them.
fn conflict_ui(ui: &mut Ui, thing: &ThingName, conflict: &Conflict, view: &mut View) {
    widgets::toned_card(ui, Tone::Warn, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, "Somebody else changed it meanwhile. Nothing of yours was applied");
        let theirs = flat(&conflict.theirs.state.desired);
        let mine = conflict.mine.as_object().map(flat).unwrap_or_default();
        let rows: Vec<[String; 3]> = mine
            .iter()
            .map(|(path, mine)| {
                [path.clone(), mine.clone(), theirs.get(path).cloned().unwrap_or_else(|| text::NO_VALUE.to_owned())]
            })
            .collect();
        table(ui, ["Setting", "Yours", "Theirs, now desired"], |add| {
            rows.iter().for_each(|[path, mine, theirs]| add(path, [mine, theirs], mine != theirs));
        });
        ui.add_space(12.0);
        ui.horizontal(|ui| {
            if ui.add(Button::secondary("Keep theirs")).clicked() {
                (view.settled, view.shadow) = (Some(conflict.theirs.version), None);
            }
            if ui.add(Button::secondary("Apply mine")).clicked() {
                view.settled = Some(conflict.theirs.version);
                let seen = Some(conflict.theirs.state.desired.clone());
                view.order(Command::SetDesired { thing: thing.clone(), desired: conflict.mine.clone(), seen });
            }
        });
    });
}

fn form(ui: &mut Ui, thing: &ThingName, view: &mut View) {
    let Some(mut draft) = view.shadow.take() else { return };
    if draft.thing != *thing {
        return;
    }
    let wrong = draft.settings().err();
    let mut is_closed = false;
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.horizontal(|ui| {
            say(ui, Type::H3, "Settings desired of the board");
            is_closed = ui.add(Button::ghost("Close without a change").icon(Icon::X)).clicked();
        });
        let columns = if ui.available_width() > 1100.0 { 5 } else { 3 };
        super::grid(ui, &FIELDS, columns, |ui, width, (key, name, unit)| {
            let Some(typed) = draft.typed.get_mut(key) else { return };
            let error = wrong.as_ref().filter(|(of, _)| of == key).map(|(_, why)| why.as_str());
            Field::new(&format!("{name}, {unit}"), typed).width(width).error(error).show(ui);
        });
        if let Some((_, why)) = wrong.as_ref().filter(|(key, _)| key.is_empty()) {
            widgets::banner(ui, Status::Fail, why, None);
        }
    });
    // Once the board and the cloud have what was typed, the form has done its work.
    let is_ordered = view.orders.iter().any(|order| matches!(order, Command::SetDesired { .. }));
    view.shadow = (!is_closed && !is_ordered).then_some(draft);
}

fn trees(ui: &mut Ui, shadow: &Shadow, before: Option<&Shadow>) {
    let state = &shadow.state;
    let (reported, desired, delta) = (flat(&state.reported), flat(&state.desired), flat(&state.delta));
    let was = before.map(|before| flat(&before.state.reported)).unwrap_or_default();
    let mut paths: Vec<&String> = reported.keys().chain(desired.keys()).chain(delta.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        table(ui, ["Setting", "Reported by the board", "Desired", "Difference"], |add| {
            let mut group = "";
            for path in paths {
                let above = path.rsplit_once('.').map_or("", |(above, _)| above);
                if above != group && !above.is_empty() {
                    add(above, ["", "", ""], false);
                }
                group = above;
                let word = |tree: &BTreeMap<String, String>| {
                    tree.get(path).cloned().unwrap_or_else(|| text::NO_VALUE.to_owned())
                };
                let mut now = word(&reported);
                if let Some(was) = was.get(path).filter(|was| desired.contains_key(path) && **was != now) {
                    now = format!("{now}  (was {was})");
                }
                add(path, [&now, &word(&desired), &word(&delta)], delta.contains_key(path));
            }
        });
    });
}

/// A table whose first column is a path, indented by its depth.
fn table<const N: usize, const M: usize>(
    ui: &mut Ui,
    titles: [&str; N],
    rows: impl FnOnce(&mut dyn FnMut(&str, [&str; M], bool)),
) {
    ui.spacing_mut().item_spacing.y = 0.0;
    line(ui, 0, &titles, Type::Label, false);
    rows(&mut |path, values, differs| {
        let depth = path.matches('.').count();
        let name = words_of(path.rsplit('.').next().unwrap_or(path));
        let mut cells = vec![name.as_str()];
        cells.extend(values);
        line(ui, depth, &cells, Type::Code, differs);
    });
}

/// A key of the document with its unit as a person writes it: "Freezer warning, °C".
fn words_of(key: &str) -> String {
    const UNITS: [(&str, &str); 3] = [("_secs", "s"), ("_celsius", "°C"), ("_volts", "V")];
    let with_unit = UNITS.iter().find_map(|(end, unit)| Some((key.strip_suffix(end)?, unit)));
    with_unit.map_or_else(|| text::sentence_case(key), |(name, unit)| format!("{}, {unit}", text::sentence_case(name)))
}

fn line(ui: &mut Ui, depth: usize, cells: &[&str], step: Type, differs: bool) {
    let palette = ui.palette();
    let tone = palette.tone(Tone::Active);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 32.0), Sense::hover());
    let spoken = cells.iter().filter(|cell| !cell.is_empty()).copied().collect::<Vec<_>>().join(", ");
    let spoken = if differs { format!("{spoken}, differs") } else { spoken };
    response.widget_info(|| eframe::egui::WidgetInfo::labeled(eframe::egui::Role::Label, true, &spoken));
    if !ui.is_rect_visible(rect) {
        return;
    }
    if differs {
        let edge = eframe::egui::Stroke::new(palette.control_width(), tone.text);
        ui.painter().rect(rect, metric::RADIUS_CHIP, tone.soft, edge, eframe::egui::StrokeKind::Inside);
        let at = Rect::from_min_size(rect.min, vec2(24.0, rect.height()));
        cut_to(ui, at.translate(vec2(8.0, 0.0)), Type::Label, tone.text, "≠");
    }
    let room = rect.width() - 32.0;
    let first = room * 0.34;
    let width = (room - first) / (cells.len() as f32 - 1.0);
    let color = if differs { tone.text } else { palette.text };
    for (index, words) in cells.iter().enumerate() {
        let indent = if index == 0 { 20.0 * depth as f32 } else { 0.0 };
        let left = rect.left() + 32.0 + if index == 0 { indent } else { first + width * (index as f32 - 1.0) };
        let room = if index == 0 { first - indent } else { width };
        let cell = Rect::from_min_size(pos2(left, rect.top()), vec2((room - 8.0).max(0.0), rect.height()));
        let step = if index == 0 && step == Type::Code { Type::Body } else { step };
        cut_to(ui, cell, step, color, words);
    }
    if cells.iter().any(|words| words.len() > 28) {
        response.on_hover_text(spoken);
    }
}

/// Paths of a tree with their values as text.
fn flat(tree: &Map<String, Value>) -> BTreeMap<String, String> {
    fn walk(above: &str, tree: &Map<String, Value>, found: &mut BTreeMap<String, String>) {
        for (key, value) in tree {
            let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
            match value {
                Value::Object(below) if !below.is_empty() => walk(&path, below, found),
                Value::String(words) => drop(found.insert(path, words.clone())),
                Value::Number(number) if number.is_f64() => drop(found.insert(path, short(value))),
                other => drop(found.insert(path, other.to_string())),
            }
        }
    }
    let mut found = BTreeMap::new();
    walk("", tree, &mut found);
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test states what it expects")]
mod tests {
    use super::*;

    fn draft() -> ShadowDraft {
        let shadow = json!({ "state": { "reported": { "interval_secs": 5 }, "desired": { "interval_secs": 10 } } });
        ShadowDraft::of("truckSensor01".parse().unwrap(), &serde_json::from_value(shadow).unwrap())
    }

    #[test]
    fn trees_are_laid_flat_in_order() {
        let tree = json!({ "interval_secs": 5, "door": { "open": true }, "volts": 12.2f32 });
        let flat = flat(tree.as_object().unwrap());
        let rows: Vec<_> = flat.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
        assert_eq!(rows, [("door.open", "true"), ("interval_secs", "5"), ("volts", "12.2")]);
    }

    #[test]
    fn only_what_was_changed_is_desired() {
        let mut draft = draft();
        assert_eq!(draft.typed["interval_secs"], "10", "what is on its way counts");
        assert_eq!(draft.changes(&draft.settings().unwrap()), Map::new());
        draft.typed.insert("freezer_warning_celsius", "\u{2212}17,5".to_owned());
        let changes = draft.changes(&draft.settings().unwrap());
        assert_eq!(Value::Object(changes), json!({ "thresholds": { "freezer_warning_celsius": -17.5 } }));
    }

    #[test]
    fn what_a_board_would_refuse_is_refused_here() {
        let mut draft = draft();
        draft.typed.insert("interval_secs", "0".to_owned());
        assert_eq!(draft.settings().unwrap_err(), ("interval_secs", "0 is not from 1 to 3600".to_owned()));
        draft.typed.insert("interval_secs", "5".to_owned());
        draft.typed.insert("freezer_warning_celsius", "-10".to_owned());
        assert!(draft.settings().unwrap_err().1.contains("rise in this order"));
    }
}
