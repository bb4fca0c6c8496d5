//! The site profile as text, checked before it is taken.

use eframe::egui::{FontSelection, TextEdit, Ui};

use super::settings_of;
use crate::{
    app::{command::Command, state::AppState},
    domain::site::Site,
    ui::{
        icons::Icon,
        tokens::Type,
        view::{Action, Bar, Deed, View},
        widgets::{self, Button, Status, note, say},
    },
};

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    if settings_of(state).technician {
        return Bar { sentence: "The technician profile hides the site settings".into(), ..Bar::default() };
    }
    let file = state.site.as_ref().and_then(|site| site.file.clone());
    match view.site_text.as_ref().map(|text| (text, Site::parse(text))) {
        None => Bar { sentence: "As it is used now".into(), primary: Some(Action::shut("Save")), secondary: None },
        Some((_, Err(problem))) => {
            Bar { sentence: problem.sentence, primary: Some(Action::shut("Save")), secondary: None }
        }
        Some((text, Ok(_))) => {
            let save = Command::SaveSite { text: text.clone(), file };
            let sentence = "The profile is right and can be saved".into();
            Bar { sentence, primary: Some(Action::open("Save", Deed::Order(save))), secondary: None }
        }
    }
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    if settings_of(state).technician {
        widgets::empty(
            ui,
            Icon::Lock,
            "Locked",
            "Leave the technician profile in the settings to change the site",
            None,
        );
        return;
    }
    let Some(site) = &state.site else {
        if widgets::empty(
            ui,
            Icon::MapPin,
            "No site profile yet",
            "It says where the boards connect to",
            Some("Read it"),
        ) {
            view.order(Command::LoadSite { file: None });
        }
        return;
    };
    let title = say(ui, Type::H2, "Site profile");
    let file = site.file.as_ref().map_or("built-in values, no file yet".to_owned(), |file| file.display().to_string());
    note(ui, file);
    let mut text = view.site_text.clone().unwrap_or_else(|| site.text.clone());
    let edit = TextEdit::multiline(&mut text)
        .font(FontSelection::FontId(Type::Code.font()))
        .desired_width(f32::INFINITY)
        .desired_rows(18);
    if ui.add(edit).labelled_by(title.id).changed() {
        view.site_text = (text != site.text).then_some(text);
    }
    if let Some(Err(problem)) = view.site_text.as_deref().map(Site::parse) {
        widgets::banner(ui, Status::Fail, &format!("{}. {}", problem.sentence, problem.advice), None);
    }
    if view.site_text.is_some() && ui.add(Button::ghost("Put back as it was").icon(Icon::Undo2)).clicked() {
        view.site_text = None;
    }
}
