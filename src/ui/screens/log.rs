//! What happened, newest first.

use std::collections::VecDeque;

use eframe::egui::{Align, Layout, Ui, vec2};
use time::OffsetDateTime;

use crate::{
    app::state::{AppState, Notice, Weight},
    ui::{
        dialogs::{FileAsk, Purpose},
        icons::Icon,
        text,
        tokens::Type,
        view::{Action, Bar, Deed, View},
        widgets::{self, Button, Status, card, chip, note, say, tabs},
    },
};

/// When each notice was first seen, as the state keeps no clock.
#[derive(Debug, Default)]
pub struct LogView {
    seen: VecDeque<OffsetDateTime>,
    count: u64,
    /// Only failures are listed.
    failures_only: bool,
}

impl LogView {
    /// Notes the time of what is new. To be called in every frame.
    pub fn look(&mut self, state: &AppState) {
        let new = state.notice_count.saturating_sub(self.count);
        if new == 0 {
            return;
        }
        self.count = state.notice_count;
        let now = OffsetDateTime::now_utc();
        self.seen.extend((0..new.min(state.notices.len() as u64)).map(|_| now));
        let past = self.seen.len().saturating_sub(state.notices.len());
        self.seen.drain(..past);
    }

    fn listed<'a>(&'a self, state: &'a AppState) -> impl DoubleEndedIterator<Item = (OffsetDateTime, &'a Notice)> {
        let all = self.seen.iter().copied().zip(&state.notices);
        all.filter(|(_, notice)| !self.failures_only || notice.weight == Weight::Failed)
    }
}

pub(super) fn bar(state: &AppState) -> Bar {
    let name = format!("coldbench {}.txt", text::date_of(OffsetDateTime::now_utc()));
    let ask = FileAsk::new("Save the support bundle", Purpose::Bundle, name);
    let count = text::count(state.notices.len(), "entry", "entries");
    let sentence = format!("{count}. The bundle holds jobs, settings and log, and no key or passphrase");
    let save = Action::open("Save support bundle…", Deed::File(ask));
    Bar { sentence, primary: Some(save), secondary: None }
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    job_notes(ui, state);
    if state.notices.is_empty() {
        widgets::empty(ui, Icon::List, "Nothing yet", "What happens is listed here", None);
        return;
    }
    ui.horizontal(|ui| {
        tabs(ui, &mut view.log.failures_only, &[(false, "All"), (true, "Failures")]);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.add(Button::secondary("Copy all").icon(Icon::Copy)).clicked() {
                let lines: Vec<String> =
                    view.log.listed(state).map(|(at, notice)| format!("{}  {}", text::utc(at), line(notice))).collect();
                ui.ctx().copy_text(lines.join("\n"));
            }
        });
    });
    if view.log.listed(state).next().is_none() {
        widgets::empty(ui, Icon::CircleCheck, "No failure", "Nothing has failed since the window was opened", None);
        return;
    }
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        for (at, notice) in view.log.listed(state).rev() {
            entry(ui, at, notice);
        }
    });
}

fn entry(ui: &mut Ui, at: OffsetDateTime, notice: &Notice) {
    ui.horizontal_top(|ui| {
        ui.set_min_height(36.0);
        ui.allocate_ui_with_layout(vec2(104.0, 28.0), Layout::left_to_right(Align::Center), |ui| {
            ui.set_min_width(104.0);
            match notice.weight {
                Weight::Info => chip(ui, Status::Idle, "Note"),
                Weight::Done => chip(ui, Status::Pass, "Done"),
                Weight::Failed => chip(ui, Status::Fail, "Failed"),
            };
        });
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            say(ui, Type::Body, line(notice));
            let advice = notice.problem.as_ref().map_or_else(String::new, |problem| format!("  {}", problem.advice));
            note(ui, format!("{}{advice}", text::utc_and_local(at)));
        });
    });
}

/// What the jobs on the boards have noted, in a drawer a board.
fn job_notes(ui: &mut Ui, state: &AppState) {
    for (port, station) in &state.stations {
        let Some(run) = &station.run else { continue };
        let said = |step: &crate::app::run::RunStep| {
            let message = (!step.message.is_empty()).then(|| step.message.clone());
            let lines = message.into_iter().chain(step.notes.iter().cloned());
            lines.map(|words| format!("{}: {words}", step.title)).collect::<Vec<_>>()
        };
        let lines: Vec<String> = run.steps.iter().flat_map(said).collect();
        if !lines.is_empty() {
            let what = station.thing().unwrap_or(port);
            widgets::code_drawer(ui, &format!("What the job of {what} noted"), &lines.join("\n"));
        }
    }
}

fn line(notice: &Notice) -> String {
    let port = notice.port.as_ref().map_or_else(String::new, |port| format!("{}: ", text::port(port)));
    let code = notice.problem.as_ref().map_or_else(String::new, |problem| format!(" ({})", problem.code));
    format!("{port}{}{code}", notice.text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::app::update::Update;

    #[test]
    fn every_notice_has_the_time_it_was_first_seen() {
        let mut state = AppState::default();
        let mut log = LogView::default();
        for number in 0..600 {
            state.apply(Update::FileSaved { file: PathBuf::from(format!("{number}.csv")) });
            log.look(&state);
        }
        assert_eq!(log.listed(&state).count(), state.notices.len());
        assert!(log.listed(&state).zip(log.listed(&state).skip(1)).all(|(one, next)| one.0 <= next.0));
        log.failures_only = true;
        assert_eq!(log.listed(&state).count(), 0);
    }
}
