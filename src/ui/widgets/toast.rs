//! Short messages at the top right. A failure stays until it is taken away.

use std::{collections::VecDeque, time::Duration};

use eframe::egui::{
    Align, Align2, Area, Context, Frame, Id, Label, Layout, Margin, Order, Stroke, Ui, text::LayoutJob, vec2,
};

use crate::ui::{
    icons::Icon,
    theme,
    tokens::{Tone, Type, metric},
};

use super::{Button, Status};

/// How many are kept at once; older ones go first, and are counted.
const KEPT: usize = 5;
/// How long a message stays that is no failure, seconds.
const SHOWN_SECS: f64 = 5.0;

/// The messages on the screen.
#[derive(Debug, Default)]
pub struct Toasts {
    shown: VecDeque<Toast>,
    dropped: u64,
    made: u64,
}

#[derive(Debug)]
struct Toast {
    number: u64,
    status: Status,
    words: String,
    /// When it goes, on the context's clock; never for a failure.
    ends_at_secs: Option<f64>,
}

impl Toasts {
    /// Adds a message.
    pub fn push(&mut self, context: &Context, status: Status, words: impl Into<String>) {
        let now = context.input(|input| input.time);
        let stays = status.tone() == Tone::Fail;
        let words = words.into();
        let ends_at_secs = (!stays).then_some(now + SHOWN_SECS);
        // The same message twice is one message.
        if let Some(same) = self.shown.iter_mut().find(|toast| toast.status == status && toast.words == words) {
            same.ends_at_secs = ends_at_secs;
            return;
        }
        self.made += 1;
        self.shown.push_back(Toast { number: self.made, status, words, ends_at_secs });
        if self.shown.len() > KEPT {
            self.shown.pop_front();
            self.dropped += 1;
        }
    }

    /// How many had to go before their time.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Shows them below the top bar.
    pub fn show(&mut self, context: &Context) {
        let now = context.input(|input| input.time);
        self.shown.retain(|toast| toast.ends_at_secs.is_none_or(|end| end > now));
        if self.shown.is_empty() {
            return;
        }
        if let Some(next) = self.shown.iter().filter_map(|toast| toast.ends_at_secs).reduce(f64::min) {
            context.request_repaint_after(Duration::from_secs_f64((next - now).max(0.05)));
        }
        let mut closed = None;
        Area::new(Id::unique("toasts"))
            .order(Order::Foreground)
            .anchor(Align2::RIGHT_TOP, vec2(-16.0, metric::TOP_BAR + 16.0))
            .show(context, |ui| {
                for toast in &self.shown {
                    if toast_ui(ui, toast) {
                        closed = Some(toast.number);
                    }
                }
            });
        self.shown.retain(|toast| Some(toast.number) != closed);
    }
}

fn toast_ui(ui: &mut Ui, toast: &Toast) -> bool {
    let palette = theme::palette(ui.ctx());
    let tone = palette.tone(toast.status.tone());
    Frame::popup(ui.style())
        .fill(tone.soft)
        .stroke(Stroke::new(palette.control_width(), tone.text))
        .inner_margin(Margin::symmetric(12, 4))
        .show(ui, |ui| {
            // A small window keeps its rail free.
            let width = metric::TOAST.min(ui.ctx().content_rect().width() - metric::RAIL - 64.0);
            ui.set_width(width);
            ui.horizontal(|ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(24.0, metric::CONTROL), eframe::egui::Sense::hover());
                toast.status.icon().paint(ui.painter(), rect.center(), metric::ICON_BUTTON, tone.text);
                let room = width - 24.0 - metric::CONTROL - 24.0;
                let job = LayoutJob::simple(toast.words.clone(), Type::Body.font(), tone.text, room);
                let words = ui.painter().layout_job(job);
                let size = vec2(room, words.size().y.max(metric::CONTROL));
                ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
                    ui.set_min_width(room);
                    ui.add(Label::new(words));
                });
                ui.add(Button::ghost("Close").icon(Icon::X).icon_only()).clicked()
            })
            .inner
        })
        .inner
}
