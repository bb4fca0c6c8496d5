//! What is asked before something that cannot simply be done again.

use eframe::egui::{Context, Ui};

use super::Window;
use crate::{
    app::command::Command,
    commission::CalibrationChoice,
    ui::{
        theme::Themed,
        tokens::Type,
        view::{Asking, Deed, Place},
        widgets::{Answer, Button, Dialog, Field, note, say_in},
    },
};

/// Why jobs are cancelled, most of the time.
const REASONS: [&str; 3] = ["Wrong truck", "Wrong board", "No time"];

impl Window {
    /// Shows the dialog there is, and does what it was for once it is confirmed.
    pub(super) fn ask(&mut self, context: &Context) {
        let Some(mut asking) = self.view.asking.take() else { return };
        let (title, confirm, cancel, sentence) = match &asking {
            Asking::Cancel { .. } => (
                "Cancel the job?",
                "Cancel job",
                "Go on",
                "It stops at the next safe point. You can try again or undo afterwards.",
            ),
            Asking::Undo(_) => {
                ("Undo the job?", "Undo", "Keep", "What it made in the cloud and on the board is taken back.")
            }
            Asking::Decommission(_) => (
                "Decommission this truck's sensor?",
                "Decommission",
                "Keep",
                "Its certificate is retired and the board can no longer report.",
            ),
            Asking::PutBack { .. } => (
                "Put this calibration back?",
                "Put it back",
                "Leave it",
                "It is a job of its own: the board is proven with it, and it can be undone.",
            ),
            Asking::Retire(_) => ("Retire this leftover?", "Retire", "Keep", "It is removed from the cloud for good."),
        };
        let destructive = !matches!(asking, Asking::PutBack { .. });
        let dialog = Dialog { title, confirm, cancel, destructive };
        let mut chosen = false;
        let answer = dialog.show(context, |ui| {
            note(ui, sentence);
            let what = match &mut asking {
                Asking::Cancel { reason, .. } => {
                    chosen = reason_ui(ui, reason);
                    return;
                }
                Asking::PutBack { job, .. } => job.to_string(),
                Asking::Undo(job) => job.to_string(),
                Asking::Decommission(thing) => thing.to_string(),
                Asking::Retire(leftover) => leftover.to_string(),
            };
            let color = ui.palette().text;
            say_in(ui, Type::Code, color, what);
        });
        match answer {
            _ if chosen => self.view.act(confirmed(asking)),
            None => self.view.asking = Some(asking),
            Some(Answer::Cancelled) => {}
            Some(Answer::Confirmed) => self.view.act(confirmed(asking)),
        }
    }
}

/// Why a job is to end: one press for the usual reasons, a field for any other. `true` when one was pressed.
fn reason_ui(ui: &mut Ui, reason: &mut String) -> bool {
    let mut chosen = false;
    ui.horizontal(|ui| {
        for words in REASONS {
            if ui.add(Button::secondary(words)).clicked() {
                *reason = words.to_owned();
                chosen = true;
            }
        }
    });
    Field::new("Another reason", reason).hint("Such as: cable is loose").show(ui);
    chosen
}

fn confirmed(asking: Asking) -> Deed {
    Deed::Order(match asking {
        Asking::Cancel { port, reason } => {
            let reason = if reason.trim().is_empty() { "Cancelled at the bench".to_owned() } else { reason };
            Command::Cancel { port, reason }
        }
        Asking::Undo(job) => Command::Undo { job },
        Asking::Decommission(thing) => Command::Decommission { thing },
        Asking::PutBack { job, port, truck, thing } => {
            let calibration = CalibrationChoice::Earlier(job);
            let order = Command::Commission { port, truck, thing: Some(thing), calibration };
            return Deed::OrderAndGo(order, Place::Run);
        }
        Asking::Retire(leftover) => Command::Retire { leftover },
    })
}
