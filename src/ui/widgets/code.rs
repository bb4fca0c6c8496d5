//! A drawer for those who want the bytes.

use std::sync::Arc;

use eframe::egui::{CollapsingHeader, Frame, Label, Margin, RichText, ScrollArea, TextWrapMode, Ui};

use crate::ui::{
    icons::Icon,
    theme::Themed,
    tokens::{Type, metric},
};

use super::{Button, keep_in_sight};

/// Shows a long text as it is, closed at first. Only the lines in sight are laid out.
pub fn text_drawer(ui: &mut Ui, title: &str, text: &'static str) {
    let drawer = CollapsingHeader::new(RichText::new(title).font(Type::Label.font())).show(ui, |ui| {
        let palette = ui.palette();
        let lines = ui.data_mut(|data| {
            let kept = data.get_temp_mut_or_insert_with(ui.scope_id().with(title), || {
                Lines::from(text.lines().collect::<Vec<_>>())
            });
            kept.clone()
        });
        let height = ui.fonts_mut(|fonts| fonts.row_height(&Type::Code.font()));
        let area = ScrollArea::both().id_salt(title).max_height(320.0).auto_shrink(false);
        area.show_rows(ui, height, lines.len(), |ui, shown| {
            for line in lines.get(shown).unwrap_or_default() {
                let words = RichText::new(*line).font(Type::Code.font()).color(palette.text);
                ui.add(Label::new(words).wrap_mode(TextWrapMode::Extend));
            }
        });
    });
    keep_in_sight(&drawer.header_response);
}

/// Lines of a text that is built in.
type Lines = Arc<[&'static str]>;

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
