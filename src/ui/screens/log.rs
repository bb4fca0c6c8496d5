//! What happened, newest first.

use eframe::egui::Ui;

use crate::{
    app::state::{AppState, Notice, Weight},
    ui::{
        icons::Icon,
        text,
        view::Bar,
        widgets::{self, Button, Status, card, chip, note},
    },
};

pub(super) fn bar(state: &AppState) -> Bar {
    Bar { sentence: text::count(state.notices.len(), "entry", "entries"), ..Bar::default() }
}

pub(super) fn show(ui: &mut Ui, state: &AppState) {
    if state.notices.is_empty() {
        widgets::empty(ui, Icon::List, "Nothing yet", "What happens is listed here", None);
        return;
    }
    if ui.add(Button::secondary("Copy all").icon(Icon::Copy)).clicked() {
        let lines: Vec<String> = state.notices.iter().map(line).collect();
        ui.ctx().copy_text(lines.join("\n"));
    }
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        for notice in state.notices.iter().rev() {
            ui.horizontal_wrapped(|ui| {
                match notice.weight {
                    Weight::Info => chip(ui, Status::Idle, "Note"),
                    Weight::Done => chip(ui, Status::Pass, "Done"),
                    Weight::Failed => chip(ui, Status::Fail, "Failed"),
                };
                note(ui, line(notice));
            });
        }
    });
}

fn line(notice: &Notice) -> String {
    let port = notice.port.as_ref().map_or_else(String::new, |port| format!("{port}: "));
    let code = notice.problem.as_ref().map_or_else(String::new, |problem| format!(" ({})", problem.code));
    format!("{port}{}{code}", notice.text)
}
