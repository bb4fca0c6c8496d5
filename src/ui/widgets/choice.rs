//! Yes or no, and one of several.

use eframe::egui::{ComboBox, CornerRadius, Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use crate::ui::{
    icons::Icon,
    theme::Themed,
    tokens::{Type, metric},
};

use super::{keep_in_sight, say};

/// A box to tick; the whole row is the target.
pub fn check_box(ui: &mut Ui, ticked: &mut bool, words: &str) -> Response {
    let palette = ui.palette();
    let galley = ui.painter().layout_no_wrap(words.to_owned(), Type::Body.font(), palette.text);
    let size = vec2(24.0 + 12.0 + galley.size().x, metric::CONTROL);
    let (rect, mut response) = ui.allocate_exact_size(size, Sense::click());
    if response.clicked() {
        *ticked = !*ticked;
        response.mark_changed();
    }
    keep_in_sight(&response);
    let enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, enabled, *ticked, words));
    let square = eframe::egui::Rect::from_center_size(pos2(rect.left() + 12.0, rect.center().y), vec2(24.0, 24.0));
    let radius = CornerRadius::same(metric::RADIUS_CHIP);
    let edge = Stroke::new(2.0, if *ticked { palette.accent } else { palette.border_control });
    let fill = if *ticked { palette.accent } else { palette.surface };
    ui.painter().rect(square, radius, fill, edge, StrokeKind::Inside);
    if *ticked {
        Icon::Check.paint(ui.painter(), square.center(), 20.0, palette.on_accent);
    }
    let corner = pos2(square.right() + 12.0, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(corner, galley, palette.text);
    response
}

/// One of several, named above.
pub fn select<T: Copy + PartialEq>(ui: &mut Ui, name: &str, chosen: &mut T, all: &[(T, &str)]) -> bool {
    let before = *chosen;
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        let label = say(ui, Type::Label, name);
        let shown = all.iter().find(|(value, _)| value == chosen).map_or("", |(_, words)| *words);
        let shown = ComboBox::from_id_salt(name)
            .width(ui.available_width().min(260.0))
            .selected_text(shown)
            .show_ui(ui, |ui| {
                for (value, words) in all {
                    ui.selectable_value(chosen, *value, *words);
                }
            })
            .response
            .labelled_by(label.id);
        keep_in_sight(&shown);
    });
    before != *chosen
}
