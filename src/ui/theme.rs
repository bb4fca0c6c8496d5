//! Puts the tokens on the toolkit: styles, sizes, fonts, text size, and a focus ring that can be seen.

use eframe::egui::{
    self, Color32, Context, CornerRadius, CursorIcon, Id, Key, LayerId, Margin, Order, Plugin, Shadow, Stroke,
    StrokeKind, Style, TextStyle, Theme, Ui, Visuals,
    style::{HandleShape, ScrollAnimation, ScrollStyle, WidgetVisuals},
    vec2,
};

use super::{
    fonts, icons,
    tokens::{Look, Palette, Type, metric},
};

/// Prepares a context once: fonts, icons, focus ring, input tuned for gloves.
pub fn install(context: &Context) {
    context.set_fonts(fonts::definitions());
    icons::install(context);
    context.add_plugin(FocusRing::default());
    context.options_mut(|options| {
        // The text size has its own steps and its own keys.
        options.zoom_with_keyboard = false;
        options.input_options.line_scroll_speed = 60.0;
        options.input_options.max_click_dist = 14.0;
        // A slow press in a glove is still a click.
        options.input_options.max_click_duration = 2.0;
    });
    apply(context, Look::default());
}

/// Changes the look.
pub fn apply(context: &Context, look: Look) {
    let palette = look.palette();
    context.data_mut(|data| data.insert_temp(Id::NULL, look));
    context.set_theme(if palette.dark { Theme::Dark } else { Theme::Light });
    context.all_styles_mut(|style| restyle(style, palette));
}

/// Changes the text size, in percent; held to what the window has room for.
pub fn set_zoom_percent(context: &Context, percent: u32) {
    context.set_zoom_factor(percent.clamp(100, 200) as f32 / 100.0);
}

/// The text size one step larger or smaller.
pub fn zoom_step(percent: u32, larger: bool) -> u32 {
    let steps = metric::ZOOM_PERCENT;
    let next = if larger {
        steps.into_iter().find(|step| *step > percent)
    } else {
        steps.into_iter().rev().find(|step| *step < percent)
    };
    next.unwrap_or(percent)
}

/// The colours of the look that is on.
pub fn palette(context: &Context) -> &'static Palette {
    context.data(|data| data.get_temp::<Look>(Id::NULL)).unwrap_or_default().palette()
}

fn restyle(style: &mut Style, palette: &Palette) {
    style.text_styles = [
        (TextStyle::Small, Type::Caption.font()),
        (TextStyle::Body, Type::Body.font()),
        (TextStyle::Button, Type::Label.font()),
        (TextStyle::Heading, Type::H2.font()),
        (TextStyle::Monospace, Type::Code.font()),
    ]
    .into();
    space(style);
    style.visuals = visuals(palette);
    style.animation_time = if palette.high_contrast { 0.0 } else { 0.12 };
    if palette.high_contrast {
        style.scroll_animation = ScrollAnimation::none();
    }
    style.interaction.interact_radius = 8.0;
    style.interaction.resize_grab_radius_side = 8.0;
    style.interaction.tooltip_delay = 0.4;
    style.interaction.selectable_labels = false;
}

fn space(style: &mut Style) {
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(8.0, 8.0);
    spacing.button_padding = vec2(16.0, 10.0);
    spacing.interact_size = vec2(metric::CONTROL, metric::CONTROL);
    spacing.icon_width = 22.0;
    spacing.icon_width_inner = 14.0;
    spacing.icon_spacing = 8.0;
    spacing.indent = 20.0;
    spacing.combo_width = 180.0;
    spacing.text_edit_width = 320.0;
    spacing.slider_rail_height = 10.0;
    spacing.menu_margin = Margin::same(8);
    spacing.menu_spacing = 4.0;
    spacing.window_margin = Margin::same(20);
    spacing.tooltip_width = 360.0;
    spacing.extra_text_line_spacing = 2.0;
    spacing.scroll = ScrollStyle {
        bar_width: 14.0,
        handle_min_length: 40.0,
        bar_inner_margin: 4.0,
        foreground_color: false,
        dormant_handle_opacity: 0.6,
        ..ScrollStyle::solid()
    };
    spacing.scroll.fade.strength = 0.3;
}

fn visuals(palette: &Palette) -> Visuals {
    let mut visuals = if palette.dark { Visuals::dark() } else { Visuals::light() };
    let edge = Stroke::new(palette.border_width(), palette.border);
    let control = Stroke::new(palette.control_width(), palette.border_control);
    let widget = |fill: Color32, stroke: Stroke, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: stroke,
        corner_radius: CornerRadius::same(metric::RADIUS_CONTROL),
        fg_stroke: Stroke::new(2.0, text),
        expansion: 0.0,
    };
    visuals.widgets.noninteractive = widget(palette.surface, edge, palette.text);
    visuals.widgets.inactive = widget(palette.surface, control, palette.text);
    visuals.widgets.hovered = widget(palette.accent_soft, control, palette.text);
    visuals.widgets.active = widget(palette.accent_soft, Stroke::new(2.0, palette.focus), palette.text);
    visuals.widgets.open = widget(palette.raised, control, palette.text);
    // The handle of a scroll bar, which nothing else here is painted with.
    visuals.widgets.inactive.bg_fill = palette.border_control;
    visuals.widgets.hovered.bg_fill = palette.text2;
    visuals.widgets.active.bg_fill = palette.accent;
    visuals.text_options.subpixel_binning = false;
    visuals.weak_text_color = Some(palette.text2);
    visuals.disabled_alpha = 0.6;
    visuals.selection.bg_fill = palette.accent_soft;
    visuals.selection.stroke = Stroke::new(2.0, palette.accent);
    visuals.hyperlink_color = palette.accent;
    visuals.faint_bg_color = palette.raised;
    visuals.extreme_bg_color = palette.sunken;
    visuals.text_edit_bg_color = Some(palette.surface);
    visuals.code_bg_color = palette.raised;
    visuals.panel_fill = palette.canvas;
    visuals.window_fill = palette.surface;
    visuals.window_stroke = edge;
    visuals.window_corner_radius = CornerRadius::same(metric::RADIUS_MODAL);
    visuals.menu_corner_radius = CornerRadius::same(metric::RADIUS_CARD);
    let shadow = Shadow {
        offset: [0, 8],
        blur: 24,
        spread: 0,
        color: Color32::from_black_alpha(if palette.dark { 140 } else { 40 }),
    };
    visuals.window_shadow = if palette.high_contrast { Shadow::NONE } else { shadow };
    visuals.popup_shadow = visuals.window_shadow;
    visuals.text_cursor.stroke = Stroke::new(2.0, palette.text);
    visuals.text_cursor.blink = false;
    visuals.slider_trailing_fill = true;
    visuals.handle_shape = HandleShape::Circle;
    visuals.indent_has_left_vline = false;
    visuals.striped = false;
    visuals.collapsing_header_frame = true;
    visuals.image_loading_spinners = false;
    visuals.interact_cursor = Some(CursorIcon::PointingHand);
    visuals
}

/// A ring round what the keyboard is on, from the first Tab or arrow key until the pointer is used again.
#[derive(Debug, Default)]
struct FocusRing {
    by_keyboard: bool,
}

impl Plugin for FocusRing {
    fn debug_name(&self) -> &'static str {
        "focus ring"
    }

    fn on_begin_pass(&mut self, ui: &mut Ui) {
        let (walked, pointed) = ui.input(|input| {
            let walk = [Key::Tab, Key::ArrowUp, Key::ArrowDown, Key::ArrowLeft, Key::ArrowRight];
            (walk.into_iter().any(|key| input.key_pressed(key)), input.pointer.any_pressed())
        });
        if walked {
            self.by_keyboard = true;
        }
        if pointed {
            self.by_keyboard = false;
        }
    }

    fn on_end_pass(&mut self, ui: &mut Ui) {
        if !self.by_keyboard {
            return;
        }
        let context = ui.ctx().clone();
        let focused = context.memory(|memory| memory.focused());
        let Some(response) = focused.and_then(|id| context.read_response(id)) else { return };
        let palette = palette(&context);
        let painter = context.layer_painter(LayerId::new(Order::Tooltip, Id::unique("focus-ring")));
        let radius = CornerRadius::same(metric::RADIUS_CARD + 2);
        let rect = response.interact_rect;
        painter.rect_stroke(rect.expand(1.0), radius, Stroke::new(2.0, palette.surface), StrokeKind::Outside);
        let ring = Stroke::new(metric::FOCUS_WIDTH, palette.focus);
        painter.rect_stroke(rect.expand(2.0), radius, ring, StrokeKind::Outside);
    }
}

/// Asks for the colours of the look that is on.
pub trait Themed {
    /// The colours.
    fn palette(&self) -> &'static Palette;
}

impl Themed for egui::Ui {
    fn palette(&self) -> &'static Palette {
        palette(self.ctx())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_size_walks_its_steps_and_stops_at_their_ends() {
        assert_eq!([zoom_step(100, true), zoom_step(110, true), zoom_step(150, true)], [110, 125, 150]);
        assert_eq!([zoom_step(150, false), zoom_step(100, false)], [125, 100]);
    }

    #[test]
    fn high_contrast_does_not_move() {
        let mut style = Style::default();
        restyle(&mut style, Look::HighContrastDark.palette());
        assert_eq!(style.animation_time, 0.0);
        restyle(&mut style, Look::Light.palette());
        assert_eq!(style.visuals.widgets.hovered.expansion, 0.0);
    }
}
