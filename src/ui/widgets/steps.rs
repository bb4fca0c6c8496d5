//! The steps of a job, one a row.

use eframe::egui::{Align, Align2, CornerRadius, Role, Sense, Stroke, Ui, WidgetInfo, pos2, text::LayoutJob, vec2};

use crate::ui::{
    theme::Themed,
    tokens::{Tone, Type, metric},
};

use super::{Status, keep_in_sight};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRow<'a> {
    /// What it does.
    pub title: &'a str,
    /// How it stands.
    pub status: Status,
    /// At the right: how long it took, how far it is.
    pub aside: String,
}

/// Shows the steps; says which was chosen.
pub fn step_list(ui: &mut Ui, selected: Option<usize>, rows: &[StepRow]) -> Option<usize> {
    let palette = ui.palette();
    let mut chosen = None;
    ui.spacing_mut().item_spacing.y = 0.0;
    for (index, row) in rows.iter().enumerate() {
        let size = vec2(ui.available_width(), metric::ROW);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        let name = format!("{}: {}", row.title, word(row.status));
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected == Some(index), &name));
        if response.clicked() {
            chosen = Some(index);
        }
        keep_in_sight(&response);
        if matches!(row.status, Status::Running | Status::NeedsYou) && is_other(ui, index) {
            response.scroll_to_me(Some(Align::Center));
        }
        let radius = CornerRadius::same(metric::RADIUS_CONTROL);
        if selected == Some(index) || response.hovered() {
            ui.painter().rect_filled(rect, radius, palette.accent_soft);
        }
        let icon = pos2(rect.left() + 22.0, rect.center().y);
        if index + 1 < rows.len() {
            let line = Stroke::new(2.0, palette.border);
            ui.painter().vline(icon.x, icon.y + 14.0..=icon.y + metric::ROW - 14.0, line);
        }
        // Green is kept for the verdict.
        let tone = if row.status == Status::Pass { Tone::Active } else { row.status.tone() };
        let color = palette.tone(tone).text;
        row.status.icon().paint(ui.painter(), icon, metric::ICON_BUTTON, color);
        let aside = ui.painter().text(
            pos2(rect.right() - 8.0, rect.center().y),
            Align2::RIGHT_CENTER,
            &row.aside,
            Type::Caption.font(),
            palette.text2,
        );
        let active = matches!(row.status, Status::Running | Status::NeedsYou);
        let step = if active { Type::Label } else { Type::Body };
        let text_color = if row.status == Status::Idle { palette.text2 } else { palette.text };
        let left = rect.left() + 44.0;
        let mut job = LayoutJob::simple(row.title.to_owned(), step.font(), text_color, aside.left() - 8.0 - left);
        job.wrap.max_rows = 2;
        let galley = ui.painter().layout_job(job);
        ui.painter().galley(pos2(left, rect.center().y - galley.size().y / 2.0), galley, text_color);
    }
    chosen
}

/// Whether another step runs than in the pass before: only then is it scrolled to, so that a person can look around.
fn is_other(ui: &Ui, running: usize) -> bool {
    let id = ui.scope_id().with("running");
    ui.data_mut(|data| std::mem::replace(data.get_temp_mut_or(id, usize::MAX), running) != running)
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Idle => "waiting",
        Status::Running => "running",
        Status::NeedsYou => "needs you",
        Status::Pass => "done",
        Status::Warn => "done, with a warning",
        Status::Fail => "failed",
        Status::Blocked => "blocked",
        Status::Stale => "out of date",
        Status::Skipped => "not needed",
    }
}
