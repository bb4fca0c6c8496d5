//! A sentence across the screen, and the screen that has nothing to show yet.

use eframe::egui::{CornerRadius, Frame, Margin, Sense, Stroke, Ui, vec2};

use crate::ui::{
    icons::Icon,
    theme::Themed,
    tokens::{Type, metric},
};

use super::{Button, Status, note, say, say_in};

/// Shows a sentence with what to do about it; `true` when its button was pressed.
pub fn banner(ui: &mut Ui, status: Status, sentence: &str, action: Option<&str>) -> bool {
    let palette = ui.palette();
    let tone = palette.tone(status.tone());
    Frame::new()
        .fill(tone.soft)
        .stroke(Stroke::new(palette.control_width(), tone.text))
        .corner_radius(CornerRadius::same(metric::RADIUS_CONTROL))
        .inner_margin(Margin::symmetric(16, 4))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ui.horizontal(|ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(metric::ICON_BUTTON, metric::CONTROL), Sense::hover());
                status.icon().paint(ui.painter(), rect.center(), metric::ICON_BUTTON, tone.text);
                let button_room = if action.is_some() { 220.0 } else { 0.0 };
                ui.scope(|ui| {
                    ui.set_max_width((ui.available_width() - button_room).max(120.0));
                    say_in(ui, Type::Body, tone.text, sentence);
                });
                action.is_some_and(|words| ui.add(Button::secondary(words)).clicked())
            })
            .inner
        })
        .inner
}

/// A screen without anything to show says what to do next; `true` when its button was pressed.
pub fn empty(ui: &mut Ui, icon: Icon, title: &str, sentence: &str, action: Option<&str>) -> bool {
    let color = ui.palette().text2;
    ui.add_space(((ui.available_height() - 220.0) / 2.0).max(16.0));
    ui.vertical_centered(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(72.0, 72.0), Sense::hover());
        icon.paint(ui.painter(), rect.center(), 72.0, color);
        ui.add_space(8.0);
        say(ui, Type::H2, title);
        note(ui, sentence);
        ui.add_space(8.0);
        action.is_some_and(|words| ui.add(Button::secondary(words)).clicked())
    })
    .inner
}
