//! A text field with its name above and what is wrong below.

use eframe::egui::{FontSelection, Key, Margin, Response, Stroke, StrokeKind, TextEdit, Ui, vec2};

use crate::ui::{
    theme::Themed,
    tokens::{Tone, Type, metric},
};

use super::{keep_in_sight, say, say_in};

/// What a text field needs beside the width of its text, pt.
const EDGES: f32 = 4.0;

/// A text field.
#[must_use = "a field must be shown"]
pub struct Field<'a> {
    name: &'a str,
    value: &'a mut String,
    hint: &'a str,
    error: Option<&'a str>,
    width: f32,
    mono: bool,
}

impl<'a> Field<'a> {
    /// A field with its name.
    pub fn new(name: &'a str, value: &'a mut String) -> Self {
        Field { name, value, hint: "", error: None, width: 320.0, mono: false }
    }

    /// An example of what belongs into it.
    pub fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    /// What is wrong with what is in it.
    pub fn error(mut self, error: Option<&'a str>) -> Self {
        self.error = error;
        self
    }

    /// How wide it is, pt.
    pub fn width(mut self, width: f32) -> Self {
        self.width = width;
        self
    }

    /// For addresses and codes.
    pub fn mono(mut self) -> Self {
        self.mono = true;
        self
    }

    /// Shows it. Ended with Enter: [`entered`].
    pub fn show(self, ui: &mut Ui) -> Response {
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            let name = say(ui, Type::Label, self.name);
            let font = if self.mono { Type::Code } else { Type::Body };
            let edit = TextEdit::singleline(self.value)
                .font(FontSelection::FontId(font.font()))
                .hint_text(self.hint)
                .margin(Margin::symmetric(12, 10))
                .min_size(vec2(0.0, metric::CONTROL))
                .desired_width(self.width.min(ui.available_width() - EDGES).max(0.0))
                .char_limit(4096);
            let response = ui.add(edit).labelled_by(name.id);
            keep_in_sight(&response);
            if let Some(error) = self.error {
                let tone = ui.palette().tone(Tone::Fail);
                let edge = Stroke::new(2.0, tone.text);
                ui.painter().rect_stroke(response.rect, metric::RADIUS_CONTROL, edge, StrokeKind::Inside);
                say_in(ui, Type::Caption, tone.text, error);
            }
            response
        })
        .inner
    }
}

/// `true` when the field was left with Enter, as a scanner does.
pub fn entered(ui: &Ui, response: &Response) -> bool {
    response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
}
