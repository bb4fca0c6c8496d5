//! How the window looks and behaves, and where its files are.

use std::path::Path;

use eframe::egui::{OpenUrl, Ui};

use super::settings_of;
use crate::{
    app::{command::Command, settings::Settings, state::AppState},
    domain::release::THIS_VERSION,
    ui::{
        icons::Icon,
        tokens::{Look, Type, metric},
        view::View,
        widgets::{Answer, Button, Dialog, card, check_box, key_value, note, say, select, text_drawer},
    },
};

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    let before = settings_of(state);
    let mut settings = before.clone();
    let is_wide = ui.available_width() > 900.0;
    if is_wide {
        ui.columns(2, |columns| {
            looks(&mut columns[0], &mut settings);
            works(&mut columns[1], &mut settings, state);
        });
    } else {
        looks(ui, &mut settings);
        works(ui, &mut settings, state);
    }
    profile(ui, &mut settings, view);
    files(ui, state);
    about(ui, state, view);
    if settings != before {
        view.order(Command::SaveSettings { settings });
    }
}

fn looks(ui: &mut Ui, settings: &mut Settings) {
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, "How it looks");
        select(ui, "Colours", &mut settings.theme, &Look::ALL.map(|look| (look, look.name())));
        let sizes = metric::ZOOM_PERCENT.map(|percent| (percent as u16, format!("{percent} %")));
        let sizes: Vec<(u16, &str)> = sizes.iter().map(|(percent, words)| (*percent, words.as_str())).collect();
        select(ui, "Text size", &mut settings.zoom_percent, &sizes);
        check_box(ui, &mut settings.gloves, "Larger controls, for gloves");
    });
}

fn works(ui: &mut Ui, settings: &mut Settings, state: &AppState) {
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, "How it works");
        check_box(ui, &mut settings.start_on_scan, "Start the job when a truck is scanned");
        check_box(ui, &mut settings.calibrate, "Calibrate new boards at once");
        check_box(ui, &mut settings.sound, "Sound on PASS and FAIL");
        if let Some(problem) = state.no_sound.as_ref().filter(|_| settings.sound) {
            note(ui, format!("{}. {}", problem.sentence, problem.advice));
        }
        note(ui, "Size and place of the window are kept by themselves");
    });
}

/// The technician profile is entered at once and left on purpose.
fn profile(ui: &mut Ui, settings: &mut Settings, view: &mut View) {
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, "Technician profile");
        if settings.technician {
            note(ui, "On: the site profile is hidden and cannot be changed in this window");
            if ui.add(Button::secondary("Leave it…").icon(Icon::LockOpen)).clicked() {
                view.leaving_profile = true;
            }
        } else {
            note(ui, "Off. Turned on, it hides the site profile so that nobody changes it by mistake");
            if ui.add(Button::secondary("Turn it on").icon(Icon::Lock)).clicked() {
                settings.technician = true;
            }
        }
        note(ui, "It is no lock against intent: the files stay writable to this user");
    });
    if !view.leaving_profile {
        return;
    }
    let title = "Leave the technician profile?";
    let dialog = Dialog { title, confirm: "Leave it", cancel: "Stay", destructive: false };
    let answer = dialog.show(ui.ctx(), |ui| {
        note(ui, "The site profile can be changed then, for every job after it.");
    });
    if answer == Some(Answer::Confirmed) {
        settings.technician = false;
    }
    view.leaving_profile = answer.is_none();
}

fn files(ui: &mut Ui, state: &AppState) {
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, "Where files are");
        let site = state.site.as_ref().and_then(|site| site.file.as_deref());
        place(ui, "Site profile", site, "built-in values, no file yet");
        place(ui, "Record of jobs", state.ledger_file.as_deref(), "not opened yet");
    });
}

/// What every library asks to be shown; made by `packaging/licences`.
const LICENCES: &str = include_str!("../../../assets/licences/third-party.txt");

fn about(ui: &mut Ui, state: &AppState, view: &mut View) {
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, "About");
        key_value(ui, "Version", THIS_VERSION);
        key_value(ui, "Licence", "MIT or Apache-2.0");
        newest(ui, state, view);
        note(ui, "Nothing is sent to its makers. The look is one request that tells this version, made when you press");
        text_drawer(ui, "Licences of the libraries in it", LICENCES);
    });
}

/// Whether there is a newer version, when somebody asks.
fn newest(ui: &mut Ui, state: &AppState, view: &mut View) {
    match &state.newest {
        _ if view.asking_newest => drop(note(ui, "Looking for a newer version…")),
        None => {}
        Some(Ok(release)) if release.is_newer => {
            note(ui, format!("Version {} is out, this is {}", release.version, release.this_version));
            // The address came over the network, so nothing but a page is opened.
            let is_page = release.url.starts_with("https://");
            if is_page && ui.add(Button::secondary("Open its page").icon(Icon::ExternalLink)).clicked() {
                ui.ctx().open_url(OpenUrl::new_tab(&release.url));
            }
        }
        Some(Ok(release)) => drop(note(ui, format!("Version {} is the newest", release.this_version))),
        Some(Err(problem)) => drop(note(ui, format!("{}. {}", problem.sentence, problem.advice))),
    }
    let look = Button::secondary("Look for a newer version").icon(Icon::RefreshCw);
    if ui.add_enabled(!view.asking_newest, look).clicked() {
        view.order(Command::LookForNewer);
    }
}

fn place(ui: &mut Ui, name: &str, file: Option<&Path>, none: &str) {
    let words = file.map_or_else(|| none.to_owned(), |file| file.display().to_string());
    key_value(ui, name, &words);
    if file.is_some() && ui.push_id(name, |ui| ui.add(Button::ghost("Copy path").icon(Icon::Copy))).inner.clicked() {
        ui.ctx().copy_text(words);
    }
}
