//! The site profile, as fields or as text, checked before it is taken.

use eframe::egui::{FontSelection, TextEdit, Ui};
use toml_edit::{DocumentMut, Item, TableLike, Value};

use super::{check, settings_of};
use crate::{
    app::{command::Command, state::AppState, update::SiteView},
    domain::{Problem, site::Site},
    ui::{
        dialogs::{FileAsk, Purpose},
        icons::Icon,
        tokens::Type,
        view::{Action, Bar, Deed, View},
        widgets::{self, Button, Field, Status, card, keep_in_sight, note, say, select, tabs},
    },
};

/// The site profile as it is edited.
#[derive(Debug, Default)]
pub struct SiteDraft {
    /// Its text as typed; `None` while it is as read.
    pub text: Option<String>,
    /// The text that fields are written into.
    read: String,
    as_text: bool,
    passphrase_shown: bool,
}

impl SiteDraft {
    /// Writes a value into the text, and takes the key out where the value is empty. Everything else stays as it is,
    /// comments too. A text that is no TOML is left alone.
    pub fn put(&mut self, path: &[&str], value: &str) {
        let text = self.text.as_deref().unwrap_or(&self.read);
        if let Some(text) = with_value(text, path, value) {
            self.text = (text != self.read).then_some(text);
        }
    }

    fn shown<'a>(&'a self, site: &'a SiteView) -> &'a str {
        self.text.as_deref().unwrap_or(&site.text)
    }
}

fn with_value(text: &str, path: &[&str], value: &str) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let (key, above) = path.split_last()?;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in above {
        let below = table.entry(name).or_insert_with(|| Item::Table(toml_edit::Table::new()));
        table = below.as_table_like_mut()?;
    }
    let number = value.trim().parse::<i64>().ok().filter(|_| NUMBERS.contains(key));
    if value.trim().is_empty() {
        table.remove(key);
        return Some(document.to_string());
    }
    let mut new = number.map_or_else(|| Value::from(value), Value::from);
    if let Some(before) = table.get(key).and_then(Item::as_value) {
        // A comment at the end of the line stays.
        *new.decor_mut() = before.decor().clone();
    }
    table.insert(key, Item::Value(new));
    Some(document.to_string())
}

/// Keys whose value is a number.
const NUMBERS: [&str; 3] = ["interval_secs", "prove_samples", "iot_port"];

/// A field: where its value is, what it is called, an example.
type FieldOf = (&'static [&'static str], &'static str, &'static str);

const CLOUD: [FieldOf; 2] =
    [(&["region"], "Region", "eu-central-1"), (&["aws_profile"], "AWS profile", "the environment's")];
const NAMES: [FieldOf; 5] = [
    (&["thing_type"], "Thing type", "sensor_DoorAndPower"),
    (&["thing_group"], "Thing group", "refrigeratedTrucks"),
    (&["policy"], "Policy", "coldbench-truck-sensor"),
    (&["thing_name"], "Thing name, with {truck}", "truckSensor-{truck}"),
    (&["readings_topic"], "Topic, with {thing}", "dt/coldchain/{thing}/readings"),
];
const BOARD: [FieldOf; 3] = [
    (&["interval_secs"], "Measure every, seconds", "5"),
    (&["prove_samples"], "Readings that must agree", "3"),
    (&["network", "ssid"], "Wi-Fi network", "none"),
];
const FILES: [(&str, &str, &str); 4] = [
    ("firmware", "Firmware", "as shipped"),
    ("firmware_key", "Public key of its maker", "as shipped"),
    ("ca_file", "CA of the broker", "Amazon's roots"),
    ("policy_file", "Policy document", "as shipped"),
];

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    if settings_of(state).technician {
        return Bar { sentence: "The technician profile hides the site settings".into(), ..Bar::default() };
    }
    let Some(site) = &state.site else { return Bar::default() };
    let proposed = |text: &str| {
        let name = site.file.as_ref().and_then(|file| file.file_name()).map(|name| name.to_string_lossy().into_owned());
        let purpose = Purpose::SaveSite(text.to_owned());
        FileAsk::new("Save the site profile as", purpose, name.unwrap_or_else(|| "site.toml".to_owned()))
    };
    let open = FileAsk::new("Open a site profile", Purpose::OpenSite, "");
    let open = Some(Action::open("Open…", Deed::File(open)));
    match view.site.text.as_ref().map(|text| (text, Site::parse(text))) {
        None => Bar { sentence: "As it is used now".into(), primary: Some(Action::shut("Save")), secondary: open },
        Some((_, Err(problem))) => {
            let primary = Some(Action::shut("Save"));
            Bar { sentence: problem.sentence, primary, secondary: open }
        }
        Some((text, Ok(_))) => {
            let save = Command::SaveSite { text: text.clone(), file: site.file.clone() };
            let sentence = "The profile is right and can be saved".into();
            let save_as = Some(Action::open("Save as…", Deed::File(proposed(text))));
            Bar { sentence, primary: Some(Action::open("Save", Deed::Order(save))), secondary: save_as }
        }
    }
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    if settings_of(state).technician {
        let sentence = "Leave the technician profile in the settings to change the site";
        widgets::empty(ui, Icon::Lock, "Locked", sentence, None);
        return;
    }
    let Some(site) = &state.site else {
        let sentence = "It says where the boards connect to";
        if widgets::empty(ui, Icon::MapPin, "No site profile yet", sentence, Some("Read it")) {
            view.order(Command::LoadSite { file: None });
        }
        return;
    };
    if view.site.read != site.text {
        // Read anew: what was typed is saved, or was made for another file.
        view.site.read.clone_from(&site.text);
        view.site.text = None;
    }
    head(ui, site, view);
    let parsed = Site::parse(view.site.shown(site));
    if let Err(problem) = &parsed {
        widgets::banner(ui, Status::Fail, &format!("{}. {}", problem.sentence, problem.advice), None);
    }
    if view.site.as_text {
        text_ui(ui, site, view);
    } else {
        fields_ui(ui, site, &parsed, view);
    }
    check::login(ui, state, view);
}

fn head(ui: &mut Ui, site: &SiteView, view: &mut View) {
    say(ui, Type::H2, "Site profile");
    let file = site.file.as_ref().map_or("Built-in values, no file yet".to_owned(), |file| file.display().to_string());
    note(ui, file);
    ui.horizontal(|ui| {
        tabs(ui, &mut view.site.as_text, &[(false, "Fields"), (true, "Text")]);
        let undo = Button::ghost("Put back as it was").icon(Icon::Undo2).enabled(view.site.text.is_some());
        if ui.add(undo).clicked() {
            view.site.text = None;
        }
    });
}

fn text_ui(ui: &mut Ui, site: &SiteView, view: &mut View) {
    let mut text = view.site.shown(site).to_owned();
    let edit = TextEdit::multiline(&mut text)
        .font(FontSelection::FontId(Type::Code.font()))
        .desired_width(f32::INFINITY)
        .desired_rows(16);
    let name = say(ui, Type::Label, "Text of the profile");
    let edited = ui.add(edit).labelled_by(name.id);
    keep_in_sight(&edited);
    if edited.changed() {
        view.site.text = (text != site.text).then_some(text);
    }
}

fn fields_ui(ui: &mut Ui, site: &SiteView, parsed: &Result<Site, Problem>, view: &mut View) {
    let Ok(document) = view.site.shown(site).parse::<DocumentMut>() else {
        note(ui, "The text must be mended before it can be shown as fields");
        return;
    };
    let wrong = parsed.as_ref().err();
    group(ui, "Cloud", &CLOUD, &document, wrong, view, |_, _| {});
    group(ui, "Names", &NAMES, &document, wrong, view, |_, _| {});
    group(ui, "Boards", &BOARD, &document, wrong, view, |ui, view| {
        passphrase(ui, &document, view);
        let mut power = value_at(&document, &["power"]).unwrap_or_else(|| "12v".to_owned()) == "24v";
        if select(ui, "Supply of the trucks", &mut power, &[(false, "12 V"), (true, "24 V")]) {
            view.site.put(&["power"], if power { "24v" } else { "12v" });
        }
    });
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, "Files instead of those shipped");
        for (key, name, hint) in FILES {
            ui.push_id(key, |ui| file_ui(ui, key, name, hint, &document, view));
        }
    });
}

fn group(
    ui: &mut Ui,
    title: &str,
    fields: &[FieldOf],
    document: &DocumentMut,
    wrong: Option<&Problem>,
    view: &mut View,
    more: impl FnOnce(&mut Ui, &mut View),
) {
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, title);
        let columns = if ui.available_width() > 1100.0 { 4 } else { 3 };
        super::grid(ui, fields, columns, |ui, width, (path, name, hint)| {
            let before = value_at(document, path).unwrap_or_default();
            let mut typed = before.clone();
            let key = path.last().copied().unwrap_or_default();
            // The message of the profile's check names the key it is about.
            let error = wrong.filter(|problem| problem.sentence.contains(key)).map(|_| "Look at the message above");
            Field::new(name, &mut typed).hint(hint).error(error).width(width).show(ui);
            if typed != before {
                view.site.put(path, &typed);
            }
        });
        ui.horizontal_top(|ui| more(ui, view));
    });
}

fn passphrase(ui: &mut Ui, document: &DocumentMut, view: &mut View) {
    let path = ["network", "passphrase"];
    let before = value_at(document, &path).unwrap_or_default();
    let mut typed = before.clone();
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        let name = say(ui, Type::Label, "Its passphrase");
        ui.horizontal(|ui| {
            let edit = TextEdit::singleline(&mut typed)
                .password(!view.site.passphrase_shown)
                .margin(eframe::egui::Margin::symmetric(12, 10))
                .min_size(eframe::egui::vec2(0.0, crate::ui::tokens::metric::CONTROL))
                .desired_width(200.0);
            keep_in_sight(&ui.add(edit).labelled_by(name.id));
            let (icon, words) =
                if view.site.passphrase_shown { (Icon::EyeOff, "Hide it") } else { (Icon::Eye, "Show it") };
            if ui.add(Button::ghost(words).icon(icon).icon_only()).clicked() {
                view.site.passphrase_shown = !view.site.passphrase_shown;
            }
        });
    });
    if typed != before {
        view.site.put(&path, &typed);
    }
}

fn file_ui(ui: &mut Ui, key: &'static str, name: &'static str, hint: &str, document: &DocumentMut, view: &mut View) {
    let before = value_at(document, &[key]).unwrap_or_default();
    let mut typed = before.clone();
    ui.horizontal(|ui| {
        let width = (ui.available_width() - 240.0).clamp(200.0, 640.0);
        Field::new(name, &mut typed).hint(hint).mono().width(width).show(ui);
        ui.vertical(|ui| {
            ui.add_space(24.0);
            if ui.add(Button::secondary("Choose…").icon(Icon::FolderOpen)).clicked() {
                view.file = Some(FileAsk::new(name, Purpose::SiteKey(key), ""));
            }
        });
    });
    if typed != before {
        view.site.put(&[key], &typed);
    }
}

/// The value at a path as text; `None` where there is none.
fn value_at(document: &DocumentMut, path: &[&str]) -> Option<String> {
    let item = path.iter().try_fold(document.as_item(), |item, key| item.get(key))?;
    let number = item.as_integer().map(|number| number.to_string());
    item.as_str().map(str::to_owned).or(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test states what it expects")]
mod tests {
    use super::*;

    #[test]
    fn a_field_changes_its_line_and_no_other() {
        let text = "# Depot north\nregion = \"eu-central-1\" # Frankfurt\n\n[network]\nssid = \"depot\"\n";
        let new = with_value(text, &["interval_secs"], "10").unwrap();
        assert!(new.starts_with("# Depot north\nregion = \"eu-central-1\" # Frankfurt\ninterval_secs = 10\n"), "{new}");
        assert_eq!(Site::parse(&new).unwrap().interval_secs, 10);
        let new = with_value(&new, &["network", "ssid"], "yard").unwrap();
        assert!(new.contains("ssid = \"yard\""), "{new}");
        let new = with_value(&new, &["interval_secs"], " ").unwrap();
        assert!(!new.contains("interval_secs"), "{new}");
        let new = with_value(&new, &["region"], "eu-west-1").unwrap();
        assert!(new.contains("region = \"eu-west-1\" # Frankfurt"), "{new}");
    }

    #[test]
    fn what_is_no_number_stays_for_the_check_to_refuse() {
        let text = with_value("", &["interval_secs"], "often").unwrap();
        assert!(Site::parse(&text).unwrap_err().sentence.contains("line 1"));
        assert_eq!(with_value("[", &["region"], "x"), None);
    }

    #[test]
    fn a_draft_that_is_as_read_is_none() {
        let mut draft = SiteDraft { read: "region = \"a\"\n".to_owned(), ..SiteDraft::default() };
        draft.put(&["region"], "b");
        assert_eq!(draft.text.as_deref(), Some("region = \"b\"\n"));
        draft.put(&["region"], "a");
        assert_eq!(draft.text, None);
    }
}
