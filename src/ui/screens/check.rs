//! The check before a shift.

use eframe::egui::{Align, Layout, Ui};
use time::OffsetDateTime;

use crate::{
    app::{command::Command, state::AppState},
    domain::finding::FindingState,
    ui::{
        icons::Icon,
        text,
        tokens::Type,
        view::{Action, Bar, Deed, View},
        widgets::{self, Button, Status, chip, key_value, note, say, toned_card},
    },
};

/// A sign-in that ends sooner may end within a job, seconds.
const SOON_SECS: f64 = 1800.0;

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    if view.checking {
        let sentence = "Looking at clock, network, permissions, disk and drivers…".to_owned();
        return Bar { sentence, primary: Some(Action::shut("Check now")), secondary: None };
    }
    let bad = state.findings.iter().flatten().filter(|finding| finding.state == FindingState::Bad).count();
    let sentence = match (&state.findings, bad) {
        (None, _) => "The check takes a few seconds".to_owned(),
        (Some(_), 0) => "Nothing is in the way".to_owned(),
        (Some(_), bad) => format!("{} in the way of a job", text::count(bad, "thing is", "things are")),
    };
    Bar { sentence, primary: Some(Action::open("Check now", Deed::Order(Command::Doctor))), secondary: None }
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    login(ui, state, view);
    let Some(findings) = &state.findings else {
        let (title, sentence) = match view.checking {
            true => ("Looking at this computer", "It takes a few seconds"),
            false => ("Not checked yet", "Press Check now before the first truck of a shift"),
        };
        widgets::empty(ui, Icon::Stethoscope, title, sentence, None);
        return;
    };
    for finding in findings {
        let (status, word) = match finding.state {
            FindingState::Good => (Status::Pass, "Good"),
            FindingState::Warning => (Status::Warn, "Look at it"),
            FindingState::Bad => (Status::Fail, "In the way"),
        };
        toned_card(ui, status.tone(), |ui| {
            ui.set_min_width(ui.available_width());
            ui.horizontal(|ui| {
                say(ui, Type::H3, text::sentence_case(&finding.what));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| chip(ui, status, word));
            });
            note(ui, &finding.found);
            if !finding.advice.is_empty() {
                say(ui, Type::Body, &finding.advice);
            }
        });
    }
}

/// Who is signed in to the cloud, and until when.
pub(super) fn login(ui: &mut Ui, state: &AppState, view: &mut View) {
    widgets::card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        match &state.login {
            Some(Ok(login)) => {
                key_value(ui, "Signed in to account", &login.account);
                key_value(ui, "As", &login.arn);
                let left = login.expires.map(|ends| (ends - OffsetDateTime::now_utc()).as_seconds_f64());
                let ends = login.expires.map_or("without an end".to_owned(), text::utc_and_local);
                key_value(ui, "Until", &ends);
                match left {
                    Some(..=0.0) => drop(chip(ui, Status::Fail, "The sign-in has ended")),
                    Some(left) if left < SOON_SECS => {
                        chip(ui, Status::Warn, &format!("Ends in {}", text::duration(left)));
                    }
                    _ => {}
                }
                if let Some(skew) = login.clock_skew_secs.filter(|skew| skew.abs() > 60) {
                    let words = format!("This computer's clock is {} off", text::duration(skew.abs() as f64));
                    chip(ui, Status::Warn, &words);
                }
            }
            Some(Err(problem)) => {
                let sentence = format!("{}. {}", problem.sentence, problem.advice);
                widgets::banner(ui, Status::Fail, &sentence, None);
            }
            None => {
                note(ui, "Who is signed in to the cloud was not asked yet");
            }
        }
        if ui.add(Button::secondary("Ask the cloud").icon(Icon::LogIn)).clicked() {
            view.order(Command::ReadLogin);
        }
    });
}
