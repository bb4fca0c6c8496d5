//! Tabs: words with a line under the one that is open; in several rows where one is too narrow.

use eframe::egui::{Align2, Color32, Role, Sense, Ui, WidgetInfo, vec2};

use crate::ui::{
    theme::Themed,
    tokens::{Type, metric},
};

use super::keep_in_sight;

/// Shows tabs and changes which is open; `true` when it changed.
pub fn tabs<T: Copy + PartialEq>(ui: &mut Ui, open: &mut T, all: &[(T, &str)]) -> bool {
    let palette = ui.palette();
    let before = *open;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        for (tab, name) in all {
            let selected = *tab == *open;
            let width =
                ui.painter().layout_no_wrap((*name).to_owned(), Type::Label.font(), Color32::PLACEHOLDER).size().x;
            let (rect, response) = ui.allocate_exact_size(vec2(width + 32.0, metric::CONTROL), Sense::click());
            response.widget_info(|| WidgetInfo::selected(Role::Tab, true, selected, *name));
            keep_in_sight(&response);
            if response.clicked() {
                *open = *tab;
            }
            if response.hovered() {
                ui.painter().rect_filled(rect, metric::RADIUS_CONTROL, palette.accent_soft);
            }
            let color = if selected { palette.text } else { palette.text2 };
            ui.painter().text(rect.center(), Align2::CENTER_CENTER, name, Type::Label.font(), color);
            if selected {
                let mut line = rect.shrink2(vec2(8.0, 0.0));
                line.min.y = line.max.y - 4.0;
                ui.painter().rect_filled(line, 2.0, palette.accent);
            }
        }
    });
    before != *open
}
