//! The bars around every screen: name, badge and clock above, the rail beside, actions below.

use eframe::egui::{
    self, Align, Align2, Frame, Label, Layout, Margin, Panel, Role, ScrollArea, Sense, Ui, WidgetInfo,
    containers::scroll_area::ScrollBarVisibility, text::LayoutJob, vec2,
};
use time::OffsetDateTime;

use super::Window;
use crate::ui::{
    icons::Icon,
    text,
    theme::Themed,
    tokens::{Type, metric},
    view::{Bar, Place},
    widgets::{self, Button, Status, chip, note, say},
};

/// The screens of the rail.
pub(super) const PLACES: [(Place, Icon, &str); 8] = [
    (Place::Stations, Icon::Usb, "Boards"),
    (Place::Live, Icon::Activity, "Live"),
    (Place::Shadow, Icon::GitCompare, "Shadow"),
    (Place::Jobs, Icon::ClipboardList, "Jobs"),
    (Place::Site, Icon::MapPin, "Site"),
    (Place::Check, Icon::Stethoscope, "Check"),
    (Place::Settings, Icon::Settings, "Settings"),
    (Place::Log, Icon::List, "Log"),
];

impl Window {
    pub(super) fn top_bar(&mut self, ui: &mut Ui) {
        let frame = bar_frame(ui);
        Panel::top("top").exact_size(metric::TOP_BAR).resizable(false).frame(frame).show(ui, |ui| {
            ui.horizontal_centered(|ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(28.0, 28.0), Sense::hover());
                Icon::Snowflake.paint(ui.painter(), rect.center(), 26.0, ui.palette().accent);
                say(ui, Type::H3, "Coldbench");
                if self.options.demo {
                    chip(ui, Status::NeedsYou, "Demo: nothing here is real");
                }
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    note(ui, text::both_minutes(OffsetDateTime::now_utc(), self.options.local));
                    match &self.state.login {
                        Some(Ok(login)) => note(ui, format!("Account {}", login.account)),
                        Some(Err(_)) => chip(ui, Status::Warn, "Not signed in"),
                        None => note(ui, ""),
                    };
                });
            });
        });
    }

    pub(super) fn rail(&mut self, ui: &mut Ui) {
        let frame = Frame::new().fill(ui.palette().raised).inner_margin(Margin::symmetric(4, 4));
        Panel::left("rail").exact_size(metric::RAIL).resizable(false).frame(frame).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            let technician = self.settings().technician;
            let places: Vec<_> = PLACES.iter().filter(|(place, ..)| !(technician && *place == Place::Site)).collect();
            let height = (ui.available_height() / places.len() as f32).clamp(metric::CONTROL, 72.0);
            let all = ScrollArea::vertical().scroll_bar_visibility(ScrollBarVisibility::AlwaysHidden);
            all.show(ui, |ui| {
                for (place, icon, name) in places {
                    let runs = *place == Place::Stations && self.view.place == Place::Run;
                    if rail_item(ui, *icon, name, *place == self.view.place || runs, height) {
                        self.view.place = *place;
                    }
                }
            });
        });
    }

    pub(super) fn action_bar(&mut self, ui: &mut Ui, bar: &Bar) {
        if bar.primary.is_none() && bar.secondary.is_none() && bar.sentence.is_empty() {
            return;
        }
        let frame = bar_frame(ui);
        Panel::bottom("actions").exact_size(metric::ACTION_BAR).resizable(false).frame(frame).show(ui, |ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.spacing_mut().item_spacing.x = 24.0;
                if let Some(primary) = &bar.primary {
                    let pressed = ui.add(Button::primary(primary.words).enabled(primary.deed.is_some())).clicked();
                    if let (true, Some(deed)) = (pressed, &primary.deed) {
                        self.view.act(deed.clone());
                    }
                }
                if let Some(secondary) = &bar.secondary {
                    let button = Button::secondary(secondary.words).high().enabled(secondary.deed.is_some());
                    if let (true, Some(deed)) = (ui.add(button).clicked(), &secondary.deed) {
                        self.view.act(deed.clone());
                    }
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| sentence_ui(ui, &bar.sentence));
            });
        });
    }
}

fn bar_frame(ui: &Ui) -> Frame {
    Frame::new().fill(ui.palette().raised).inner_margin(Margin::symmetric(16, 0))
}

/// The bar's sentence in the room that its buttons leave: smaller where it is long, cut off where even that is too much.
fn sentence_ui(ui: &mut Ui, sentence: &str) {
    let color = ui.palette().text2;
    let room = vec2(ui.available_width(), metric::ACTION_BAR - 12.0);
    let set = |step: Type, max_rows| {
        let mut job = LayoutJob::simple(sentence.to_owned(), step.font(), color, room.x);
        job.wrap.max_rows = max_rows;
        ui.painter().layout_job(job)
    };
    let large = set(Type::Body, 3);
    let galley = if large.elided || large.size().y > room.y { set(Type::Caption, 3) } else { large };
    let is_cut = galley.elided;
    let shown = ui.add(Label::new(galley));
    if is_cut {
        shown.on_hover_text(sentence);
    }
}

fn rail_item(ui: &mut Ui, icon: Icon, name: &str, is_open: bool, height: f32) -> bool {
    let palette = ui.palette();
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Tab, true, is_open, name));
    widgets::keep_in_sight(&response);
    if is_open || response.hovered() {
        ui.painter().rect_filled(rect.shrink(2.0), metric::RADIUS_CARD, palette.accent_soft);
    }
    if is_open {
        let bar = egui::Rect::from_min_size(rect.left_top() + vec2(-4.0, 8.0), vec2(4.0, height - 16.0));
        ui.painter().rect_filled(bar, 2.0, palette.accent);
    }
    let color = if is_open { palette.text } else { palette.text2 };
    icon.paint(ui.painter(), rect.center() - vec2(0.0, 9.0), metric::ICON_RAIL.min(height * 0.45), color);
    let below = rect.center() + vec2(0.0, height.min(72.0) * 0.5 - 12.0);
    ui.painter().text(below, Align2::CENTER_CENTER, name, Type::Caption.font(), color);
    response.clicked()
}
