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

use eframe::egui::{ScrollArea, Ui};

use super::view::{Bar, Place, View};
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
        Place::Check => check::bar(state),
        Place::Settings => Bar::default(),
        Place::Log => log::bar(state),
    }
}

/// Paints the open screen.
pub fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    if view.place == Place::Run {
        return run::show(ui, state, view);
    }
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| match view.place {
        Place::Stations => stations::show(ui, state, view),
        Place::Run => {}
        Place::Live => live::show(ui, state, view),
        Place::Shadow => shadow::show(ui, state, view),
        Place::Jobs => jobs::show(ui, state, view),
        Place::Site => site::show(ui, state, view),
        Place::Check => check::show(ui, state, view),
        Place::Settings => settings::show(ui, state, view),
        Place::Log => log::show(ui, state),
    });
}

/// The settings, as read or as built in.
fn settings_of(state: &AppState) -> Settings {
    state.settings.clone().unwrap_or_default()
}
