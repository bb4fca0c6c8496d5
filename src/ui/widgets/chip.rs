//! The state of something, in a shape, a word and a fill.

use eframe::egui::{Color32, CornerRadius, Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use crate::ui::{
    icons::Icon,
    theme::Themed,
    tokens::{Palette, Tone, Type, metric},
};

/// What state something is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing runs.
    Idle,
    /// Work goes on.
    Running,
    /// Waits for the person at the bench.
    NeedsYou,
    /// Ended well.
    Pass,
    /// Abnormal, and the work goes on.
    Warn,
    /// Ended badly.
    Fail,
    /// Cannot be reached.
    Blocked,
    /// Was true some time ago.
    Stale,
    /// Was not needed.
    Skipped,
}

impl Status {
    /// Its shape.
    pub fn icon(self) -> Icon {
        match self {
            Status::Idle => Icon::Circle,
            Status::Running => Icon::Loader,
            Status::NeedsYou => Icon::Hand,
            Status::Pass => Icon::CircleCheck,
            Status::Warn => Icon::TriangleAlert,
            Status::Fail => Icon::OctagonAlert,
            Status::Blocked => Icon::Unplug,
            Status::Stale => Icon::Clock,
            Status::Skipped => Icon::Minus,
        }
    }

    /// Its tone.
    pub fn tone(self) -> Tone {
        match self {
            Status::Idle | Status::Blocked | Status::Stale | Status::Skipped => Tone::Neutral,
            Status::Running | Status::NeedsYou => Tone::Active,
            Status::Pass => Tone::Pass,
            Status::Warn => Tone::Warn,
            Status::Fail => Tone::Fail,
        }
    }

    /// Fill, text and outline: solid only for "act now".
    fn paint(self, palette: &Palette) -> (Color32, Color32, Color32) {
        let tone = palette.tone(self.tone());
        match self {
            Status::NeedsYou | Status::Warn | Status::Fail => (tone.fill, tone.on_fill, tone.text),
            Status::Idle | Status::Blocked | Status::Stale | Status::Skipped => {
                (palette.surface, tone.text, palette.border_control)
            }
            Status::Running | Status::Pass => (tone.soft, tone.text, tone.text),
        }
    }
}

/// Shows a state as a chip. The word is its name for a screen reader.
pub fn chip(ui: &mut Ui, status: Status, word: &str) -> Response {
    let palette = ui.palette();
    let (fill, text, outline) = status.paint(palette);
    let icon_size = 18.0;
    let room = (ui.available_width() - 20.0 - icon_size - 6.0).max(24.0);
    let mut job = eframe::egui::text::LayoutJob::simple_singleline(word.to_owned(), Type::Caption.font(), text);
    job.wrap = eframe::egui::text::TextWrapping::truncate_at_width(room);
    let galley = ui.painter().layout_job(job);
    let size = vec2(10.0 + icon_size + 6.0 + galley.size().x + 10.0, metric::CHIP);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, word));
    let radius = CornerRadius::same(metric::RADIUS_CHIP);
    let edge = Stroke::new(palette.control_width(), outline);
    ui.painter().rect(rect, radius, fill, edge, StrokeKind::Inside);
    let middle = rect.center().y;
    status.icon().paint(ui.painter(), pos2(rect.left() + 10.0 + icon_size / 2.0, middle), icon_size, text);
    let corner = pos2(rect.left() + 16.0 + icon_size, middle - galley.size().y / 2.0);
    ui.painter().galley(corner, galley, text);
    response
}
