//! A drawer for those who want the bytes.

use eframe::egui::{CollapsingHeader, Frame, Label, Margin, RichText, ScrollArea, TextWrapMode, Ui};

use crate::ui::{
    icons::Icon,
    theme::Themed,
    tokens::{Type, metric},
};

use super::{Button, keep_in_sight};

/// Shows text as it is, closed at first, with a button that copies it.
pub fn code_drawer(ui: &mut Ui, title: &str, text: &str) {
    let drawer = CollapsingHeader::new(RichText::new(title).font(Type::Label.font())).show(ui, |ui| {
        let palette = ui.palette();
        Frame::new().fill(palette.raised).corner_radius(metric::RADIUS_CONTROL).inner_margin(Margin::same(12)).show(
            ui,
            |ui| {
                ui.set_min_width(ui.available_width());
                if ui.add(Button::ghost("Copy").icon(Icon::Copy)).clicked() {
                    ui.ctx().copy_text(text.to_owned());
                }
                ScrollArea::both().id_salt(title).max_height(220.0).show(ui, |ui| {
                    let words = RichText::new(text).font(Type::Code.font()).color(palette.text);
                    ui.add(Label::new(words).selectable(true).wrap_mode(TextWrapMode::Extend));
                });
            },
        );
    });
    keep_in_sight(&drawer.header_response);
}
