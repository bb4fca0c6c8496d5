//! The screens. Each has a bar, made from the state alone, and a part that paints.

mod check;
mod jobs;
mod live;
mod log;
mod question;
mod run;
mod settings;
mod shadow;
mod site;
mod stations;
pub(super) mod tour;
pub(super) mod truck;

pub use self::{jobs::JobsView, live::LiveView, log::LogView, shadow::ShadowDraft, site::SiteDraft};

use eframe::egui::{
    Align, Color32, Layout, Rect, ScrollArea, Ui, pos2,
    text::{LayoutJob, TextWrapping},
    vec2,
};

use super::{
    dialogs, text,
    tokens::Type,
    view::{Bar, Place, View},
    widgets::tabs,
};
use crate::app::{settings::Settings, state::AppState};

/// The bar of the open screen.
pub fn bar(state: &AppState, view: &View) -> Bar {
    match view.place {
        Place::Stations => stations::bar(state, view),
        Place::Run => run::bar(state, view),
        Place::Live => live::bar(state, view),
        Place::Shadow => shadow::bar(state, view),
        Place::Jobs => jobs::bar(state, view),
        Place::Site => site::bar(state, view),
        Place::Check => check::bar(state, view),
        Place::Settings => Bar::default(),
        Place::Log => log::bar(state),
    }
}

/// Paints the open screen.
pub fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    view.log.look(state);
    // These scroll in parts of their own.
    match view.place {
        Place::Run => run::show(ui, state, view),
        Place::Jobs => jobs::show(ui, state, view),
        _ => scrolled(ui, state, view),
    }
    dialogs::show(ui.ctx(), state, view);
}

fn scrolled(ui: &mut Ui, state: &AppState, view: &mut View) {
    ScrollArea::vertical().id_salt(view.place as u8).auto_shrink(false).show(ui, |ui| match view.place {
        Place::Run | Place::Jobs => {}
        Place::Stations => stations::show(ui, state, view),
        Place::Live => live::show(ui, state, view),
        Place::Shadow => shadow::show(ui, state, view),
        Place::Site => site::show(ui, state, view),
        Place::Check => check::show(ui, state, view),
        Place::Settings => settings::show(ui, state, view),
        Place::Log => log::show(ui, state, view),
    });
}

/// One tab a board, where there are several.
fn board_tabs(ui: &mut Ui, state: &AppState, view: &mut View) {
    if state.stations.len() < 2 {
        return;
    }
    let Some(chosen) = view.station(state).map(|station| station.port.port.clone()) else { return };
    let ports: Vec<&str> = state.stations.keys().map(String::as_str).collect();
    let mut open = ports.iter().position(|port| *port == chosen).unwrap_or(0);
    let words: Vec<String> = state
        .stations
        .values()
        .map(|station| station.thing().unwrap_or(text::port(&station.port.port)).to_owned())
        .collect();
    let names: Vec<(usize, &str)> = words.iter().map(String::as_str).enumerate().collect();
    if tabs(ui, &mut open, &names) {
        view.port = ports.get(open).map(|port| (*port).to_owned());
    }
}

/// Things in rows of equal columns; each is given the width of a text field that fills its column.
fn grid<T>(ui: &mut Ui, all: &[T], columns: usize, mut show: impl FnMut(&mut Ui, f32, &T)) {
    const GAP: f32 = 16.0;
    // Room for the edge of a text field.
    const MARGINS: f32 = 4.0;
    let columns = columns.max(1);
    let width = ((ui.available_width() - GAP * (columns as f32 - 1.0)) / columns as f32).floor();
    for (row, things) in all.chunks(columns).enumerate() {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = GAP;
            for (column, thing) in things.iter().enumerate() {
                ui.push_id((row, column), |ui| {
                    ui.allocate_ui_with_layout(vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
                        ui.set_width(width);
                        show(ui, width - MARGINS, thing);
                    });
                });
            }
        });
    }
}

/// Words in one line, cut off where their cell ends.
fn cut_to(ui: &Ui, cell: Rect, step: Type, color: Color32, words: &str) {
    let mut job = LayoutJob::simple_singleline(words.to_owned(), step.font(), color);
    job.wrap = TextWrapping::truncate_at_width(cell.width());
    let galley = ui.painter().layout_job(job);
    let corner = pos2(cell.left(), cell.center().y - galley.size().y / 2.0);
    ui.painter().galley(corner, galley, color);
}

/// The settings, as read or as built in.
fn settings_of(state: &AppState) -> Settings {
    state.settings.clone().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test states what it expects")]
mod tests;
