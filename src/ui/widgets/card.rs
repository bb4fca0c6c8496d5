//! Cards and rows of facts.

use eframe::egui::{Align, CornerRadius, Frame, InnerResponse, Layout, Margin, Rect, Stroke, Ui, vec2};

use crate::ui::{
    theme::Themed,
    tokens::{Tone, Type, metric},
};

use super::{note, say};

/// A card: one step from the canvas, a thin edge, no shadow.
pub fn card<R>(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    let palette = ui.palette();
    Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(palette.border_width(), palette.border))
        .corner_radius(CornerRadius::same(metric::RADIUS_CARD))
        .inner_margin(Margin::same(16))
        .show(ui, content)
}

/// A card with a bar in a tone at its left edge.
pub fn toned_card<R>(ui: &mut Ui, tone: Tone, content: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    let shown = card(ui, content);
    let rect = shown.response.rect;
    let bar = Rect::from_min_size(rect.min, vec2(6.0, rect.height()));
    let radius = CornerRadius { nw: metric::RADIUS_CARD, sw: metric::RADIUS_CARD, ne: 0, se: 0 };
    ui.painter().rect_filled(bar, radius, ui.palette().tone(tone).text);
    shown
}

/// A fact: its name at the left, its value at the right edge of a column.
pub fn key_value(ui: &mut Ui, name: &str, value: &str) {
    ui.horizontal_top(|ui| {
        ui.set_min_height(28.0);
        let width = (ui.available_width() * 0.4).clamp(96.0, 220.0);
        let layout = Layout::left_to_right(Align::Center);
        ui.allocate_ui_with_layout(vec2(width, 28.0), layout, |ui| {
            ui.set_min_width(width);
            note(ui, name)
        });
        // Upright, so that a long value takes several lines.
        ui.vertical(|ui| {
            ui.add_space(3.0);
            say(ui, Type::Body, value)
        });
    });
}
