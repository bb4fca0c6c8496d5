//! One measurement in big numbers.

use eframe::egui::{Align, Layout, Response, Ui, vec2};

use crate::ui::{
    theme::Themed,
    tokens::{Tone, Type},
};

use super::{Status, card, chip, note, say, say_in};

/// A tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile<'a> {
    /// What is measured.
    pub name: &'a str,
    /// The number, with fixed decimals, or a word.
    pub value: String,
    /// Its unit; empty for none.
    pub unit: &'a str,
    /// What is abnormal about it; nothing is said when all is well.
    pub abnormal: Option<(Status, &'a str)>,
    /// A line below: limits, age.
    pub below: String,
}

impl Tile<'_> {
    /// Shows it, this wide.
    pub fn show(&self, ui: &mut Ui, width: f32) -> Response {
        card(ui, |ui| {
            ui.set_width(width - 34.0);
            ui.set_min_height(104.0);
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.allocate_ui_with_layout(vec2(width - 34.0, 28.0), Layout::left_to_right(Align::Center), |ui| {
                ui.set_min_height(28.0);
                note(ui, self.name);
                if let Some((status, word)) = self.abnormal {
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| chip(ui, status, word));
                }
            });
            ui.with_layout(Layout::right_to_left(Align::Max), |ui| {
                if !self.unit.is_empty() {
                    say(ui, Type::H3, self.unit);
                }
                let color = match self.abnormal {
                    Some((status, _)) if status.tone() == Tone::Fail => ui.palette().tone(Tone::Fail).text,
                    _ => ui.palette().text,
                };
                say_in(ui, Type::Value, color, &self.value);
            });
            if !self.below.is_empty() {
                let color = ui.palette().text2;
                say_in(ui, Type::Caption, color, &self.below);
            }
        })
        .response
    }
}
