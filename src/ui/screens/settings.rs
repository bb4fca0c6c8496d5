//! How the window looks and behaves.

use eframe::egui::Ui;

use super::settings_of;
use crate::{
    app::{command::Command, state::AppState},
    ui::{
        tokens::{Look, Type, metric},
        view::View,
        widgets::{card, check_box, say, select},
    },
};

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    let before = settings_of(state);
    let mut settings = before.clone();
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, "How it looks");
        select(ui, "Colours", &mut settings.theme, &Look::ALL.map(|look| (look, look.name())));
        let sizes = metric::ZOOM_PERCENT.map(|percent| (percent as u16, format!("{percent} %")));
        let sizes: Vec<(u16, &str)> = sizes.iter().map(|(percent, words)| (*percent, words.as_str())).collect();
        select(ui, "Text size", &mut settings.zoom_percent, &sizes);
        check_box(ui, &mut settings.gloves, "Larger controls, for gloves");
    });
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        say(ui, Type::H3, "How it works");
        check_box(ui, &mut settings.start_on_scan, "Start the job when a truck is scanned");
        check_box(ui, &mut settings.calibrate, "Calibrate new boards at once");
        check_box(ui, &mut settings.sound, "Sound on PASS and FAIL");
        check_box(ui, &mut settings.technician, "Technician profile: hide the site settings");
    });
    if settings != before {
        view.order(Command::SaveSettings { settings });
    }
}
