//! How far something is. Determinate only: nothing turns, and nothing asks for a frame by itself.

use eframe::egui::{CornerRadius, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2};

use crate::ui::{
    theme::Themed,
    tokens::{Palette, Tone, metric},
};

/// One part of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Segment {
    /// Not begun.
    Waiting,
    /// Begun, with the share that is done, 0 to 1.
    Running(f32),
    /// Ended well.
    Done,
    /// Ended well, with something to know.
    Warning,
    /// Ended badly.
    Failed,
}

impl Segment {
    fn share(self) -> f32 {
        match self {
            Segment::Waiting => 0.0,
            Segment::Running(share) => share.clamp(0.0, 1.0),
            Segment::Done | Segment::Warning | Segment::Failed => 1.0,
        }
    }
}

/// Shows the parts of a job side by side; `name` is read out with the share of all.
pub fn segments(ui: &mut Ui, name: &str, parts: &[Segment]) -> Response {
    let height = 12.0;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    let share = parts.iter().map(|part| part.share()).sum::<f32>() / parts.len().max(1) as f32;
    tell(&response, name, share);
    let palette = ui.palette();
    let gap = 4.0;
    let width = (rect.width() - gap * (parts.len().max(1) - 1) as f32) / parts.len().max(1) as f32;
    for (index, part) in parts.iter().enumerate() {
        let left = rect.left() + index as f32 * (width + gap);
        let cell = Rect::from_min_size(eframe::egui::pos2(left, rect.top()), vec2(width, height));
        paint_cell(ui, palette, cell, *part);
    }
    response
}

/// Shows one share, 0 to 1; `name` is read out with it.
pub fn bar(ui: &mut Ui, name: &str, share: f32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 16.0), Sense::hover());
    tell(&response, name, share);
    paint_cell(ui, ui.palette(), rect, Segment::Running(share));
    response
}

fn tell(response: &Response, name: &str, share: f32) {
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::ProgressIndicator, true, name);
        info.value = Some(f64::from((share * 100.0).round()));
        info
    });
}

fn paint_cell(ui: &Ui, palette: &Palette, cell: Rect, part: Segment) {
    let radius = CornerRadius::same(metric::RADIUS_CHIP);
    let edge = Stroke::new(palette.border_width(), palette.border_control);
    ui.painter().rect(cell, radius, palette.sunken, edge, StrokeKind::Inside);
    let fill = match part {
        Segment::Waiting | Segment::Running(_) | Segment::Done => palette.accent,
        Segment::Warning => palette.tone(Tone::Warn).fill,
        Segment::Failed => palette.tone(Tone::Fail).fill,
    };
    let share = part.share();
    if share > 0.0 {
        let mut filled = cell;
        filled.set_width((cell.width() * share).max(4.0));
        let outline = match part {
            Segment::Warning => Stroke::new(2.0, palette.tone(Tone::Warn).text),
            _ => Stroke::NONE,
        };
        ui.painter().rect(filled, radius, fill, outline, StrokeKind::Inside);
    }
}
