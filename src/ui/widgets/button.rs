//! Buttons: one primary a screen, everything else quieter.

use eframe::egui::{
    Color32, CornerRadius, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui, Widget, WidgetInfo, pos2, vec2,
};

use crate::ui::{
    icons::Icon,
    theme::Themed,
    tokens::{Palette, Tone, Type, emphasised, metric},
};

use super::keep_in_sight;

/// How much a button says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ButtonKind {
    /// What the screen is for: 64 points high, filled.
    Primary,
    /// An outlined alternative.
    Secondary,
    /// Plain words on the ground.
    Ghost,
    /// Takes something away: filled in red.
    Danger,
}

/// A button. Its name for a screen reader is its words.
#[must_use = "a button must be added to a screen"]
pub struct Button<'a> {
    words: &'a str,
    kind: ButtonKind,
    icon: Option<Icon>,
    high: bool,
    width: Option<f32>,
    icon_only: bool,
    enabled: bool,
}

impl<'a> Button<'a> {
    /// What the screen is for.
    pub fn primary(words: &'a str) -> Self {
        Button { high: true, width: Some(metric::PRIMARY_WIDTH), ..Self::of(words, ButtonKind::Primary) }
    }

    /// An alternative.
    pub fn secondary(words: &'a str) -> Self {
        Self::of(words, ButtonKind::Secondary)
    }

    /// Plain words.
    pub fn ghost(words: &'a str) -> Self {
        Self::of(words, ButtonKind::Ghost)
    }

    /// Takes something away.
    pub fn danger(words: &'a str) -> Self {
        Self::of(words, ButtonKind::Danger)
    }

    fn of(words: &'a str, kind: ButtonKind) -> Self {
        Button { words, kind, icon: None, high: false, width: None, icon_only: false, enabled: true }
    }

    /// With an icon before the words.
    pub fn icon(mut self, icon: Icon) -> Self {
        self.icon = Some(icon);
        self
    }

    /// Shows the icon alone; the words stay its name. For "close" and "copy" only.
    pub fn icon_only(mut self) -> Self {
        self.icon_only = true;
        self
    }

    /// At least this wide, pt.
    pub fn width(mut self, width: f32) -> Self {
        self.width = Some(width);
        self
    }

    /// As high as the primary action, for the bar at the bottom.
    pub fn high(mut self) -> Self {
        self.high = true;
        self
    }

    /// Can be pressed now. Say why beside it when not.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }
}

struct Paint {
    fill: Color32,
    text: Color32,
    edge: Stroke,
}

impl ButtonKind {
    fn paint(self, palette: &Palette, hovered: bool, pressed: bool) -> Paint {
        let share = if pressed {
            0.24
        } else if hovered {
            0.12
        } else {
            0.0
        };
        let soft = if share > 0.0 { palette.accent_soft } else { palette.surface };
        let none = Stroke::NONE;
        match self {
            ButtonKind::Primary => Paint {
                fill: emphasised(palette.accent, palette.on_accent, share),
                text: palette.on_accent,
                edge: none,
            },
            ButtonKind::Danger => {
                let tone = palette.tone(Tone::Fail);
                Paint { fill: emphasised(tone.fill, tone.on_fill, share), text: tone.on_fill, edge: none }
            }
            ButtonKind::Secondary => Paint {
                fill: soft,
                text: palette.text,
                edge: Stroke::new(palette.control_width(), palette.border_control),
            },
            ButtonKind::Ghost => Paint {
                fill: if share > 0.0 { palette.accent_soft } else { Color32::TRANSPARENT },
                text: palette.text,
                edge: none,
            },
        }
    }
}

impl Widget for Button<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        ui.add_enabled_ui(self.enabled, |ui| self.show(ui)).inner
    }
}

impl Button<'_> {
    fn show(self, ui: &mut Ui) -> Response {
        let palette = ui.palette();
        let step = if self.high { Type::H3 } else { Type::Label };
        let galley = ui.painter().layout_no_wrap(self.words.to_owned(), step.font(), Color32::PLACEHOLDER);
        let height = if self.high { metric::PRIMARY } else { metric::CONTROL };
        let padding = if self.high { 24.0 } else { 16.0 };
        let gap = 8.0;
        let icon_width = if self.icon.is_some() { metric::ICON_BUTTON } else { 0.0 };
        let words_width = if self.icon_only { 0.0 } else { galley.size().x };
        let gap = if self.icon.is_some() && !self.icon_only { gap } else { 0.0 };
        let content = icon_width + gap + words_width;
        let natural = if self.icon_only { height } else { content + 2.0 * padding };
        let width = natural.max(self.width.unwrap_or(0.0));
        let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::click());
        let enabled = ui.is_enabled();
        response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, self.words));
        keep_in_sight(&response);
        if ui.is_rect_visible(rect) {
            let mut paint = self.kind.paint(palette, response.hovered(), response.is_pointer_button_down_on());
            if palette.high_contrast && !enabled {
                // Its fill is left out, so its words must stand on the ground.
                paint.text = palette.text_disabled;
            }
            paint_frame(ui, rect, &paint, palette, enabled);
            let left = rect.center().x - content / 2.0;
            if let Some(icon) = self.icon {
                let center = pos2(left + icon_width / 2.0, rect.center().y);
                icon.paint(ui.painter(), center, metric::ICON_BUTTON, paint.text);
            }
            if !self.icon_only {
                let corner = pos2(left + icon_width + gap, rect.center().y - galley.size().y / 2.0);
                ui.painter().galley_with_override_text_color(corner, galley, paint.text);
            }
        }
        if self.icon_only { response.on_hover_text(self.words) } else { response }
    }
}

fn paint_frame(ui: &Ui, rect: Rect, paint: &Paint, palette: &Palette, enabled: bool) {
    let radius = CornerRadius::same(metric::RADIUS_CONTROL);
    if palette.high_contrast && !enabled {
        let inner = rect.shrink(1.0);
        let corners =
            [inner.left_top(), inner.right_top(), inner.right_bottom(), inner.left_bottom(), inner.left_top()];
        let edge = Stroke::new(2.0, palette.text_disabled);
        ui.painter().rect_filled(rect, radius, palette.surface);
        ui.painter().extend(Shape::dashed_line(&corners, edge, 6.0, 4.0));
        return;
    }
    ui.painter().rect(rect, radius, paint.fill, paint.edge, StrokeKind::Inside);
}
