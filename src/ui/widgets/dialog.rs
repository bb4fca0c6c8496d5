//! A question in front of everything else.

use eframe::egui::{Align, Context, Frame, Id, Key, Layout, Margin, Modal, Modifiers, Ui};

use crate::ui::{
    theme,
    tokens::{Type, metric},
};

use super::{Button, say};

/// What a person answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Confirmed,
    /// Leave everything as it is.
    Cancelled,
}

/// A dialog with two answers. "Cancel" has the keyboard first; a click beside a destructive one does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialog<'a> {
    /// The question.
    pub title: &'a str,
    /// What the action is called, as a verb.
    pub confirm: &'a str,
    /// What the way back is called.
    pub cancel: &'a str,
    /// Takes something away that does not come back.
    pub destructive: bool,
}

impl Dialog<'_> {
    /// Shows it with its content; the answer once there is one.
    pub fn show(&self, context: &Context, content: impl FnOnce(&mut Ui)) -> Option<Answer> {
        let palette = theme::palette(context);
        let id = Id::unique(("dialog", self.title));
        let new = is_new(context, id);
        let frame =
            Frame::popup(&context.global_style()).inner_margin(Margin::same(24)).corner_radius(metric::RADIUS_MODAL);
        let shown = Modal::new(id).backdrop_color(palette.scrim).frame(frame).show(context, |ui| {
            ui.set_width(metric::MODAL.min(ui.ctx().content_rect().width() - 96.0));
            say(ui, Type::H2, self.title);
            ui.add_space(8.0);
            content(ui);
            ui.add_space(16.0);
            self.buttons(ui, new)
        });
        let escaped = shown.is_top_modal && context.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
        let clicked_beside = !self.destructive && shown.backdrop_response.clicked();
        let closed = escaped || clicked_beside;
        shown.inner.or(closed.then_some(Answer::Cancelled))
    }

    fn buttons(&self, ui: &mut Ui, new: bool) -> Option<Answer> {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 24.0;
            let confirm = if self.destructive { Button::danger(self.confirm) } else { Button::secondary(self.confirm) };
            let confirmed = ui.add(confirm).clicked();
            let cancel = ui.add(Button::secondary(self.cancel));
            if new {
                cancel.request_focus();
            }
            match (confirmed, cancel.clicked()) {
                (true, _) => Some(Answer::Confirmed),
                (_, true) => Some(Answer::Cancelled),
                _ => None,
            }
        })
        .inner
    }
}

/// `true` in the first pass in which the dialog is shown again.
fn is_new(context: &Context, id: Id) -> bool {
    let pass = context.cumulative_pass_nr();
    context.data_mut(|data| {
        let last = data.get_temp_mut_or_insert_with(id, || u64::MAX);
        let new = last.checked_add(1).is_none_or(|next| next < pass);
        *last = pass;
        new
    })
}
