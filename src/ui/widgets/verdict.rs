//! The end of a job, legible from three metres.

use eframe::egui::{
    Align, Color32, CornerRadius, FontId, Frame, Layout, Margin, RichText, Sense, Stroke, Ui, UiBuilder, vec2,
};

use crate::ui::{
    icons::Icon,
    theme::Themed,
    tokens::{Tone, Type, metric},
};

use super::say_in;

/// What a verdict shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictPanel<'a> {
    /// PASS or FAIL.
    pub passed: bool,
    /// Which board or truck.
    pub subject: &'a str,
    /// One sentence: the cause, or what is proven.
    pub sentence: &'a str,
    /// What to do now; empty for nothing.
    pub advice: &'a str,
    /// The stable code of a failure; empty for none.
    pub code: &'a str,
}

/// Height of what stands below the word, pt.
const LINES: f32 = 140.0;

/// Fills the room that is left: PASS in a soft field with a frame, FAIL in a solid one.
pub fn verdict(ui: &mut Ui, panel: &VerdictPanel) {
    let palette = ui.palette();
    let tone = palette.tone(if panel.passed { Tone::Pass } else { Tone::Fail });
    let (fill, text, frame) = if panel.passed {
        (tone.soft, tone.text, Stroke::new(8.0, tone.text))
    } else {
        (tone.fill, tone.on_fill, Stroke::NONE)
    };
    Frame::new()
        .fill(fill)
        .stroke(frame)
        .corner_radius(CornerRadius::same(metric::RADIUS_CARD))
        .inner_margin(Margin::symmetric(24, 16))
        .show(ui, |ui| {
            let size = ui.available_size();
            ui.set_min_size(size);
            // The sign shrinks before the words do: small windows still read PASS or FAIL.
            let sign = metric::ICON_VERDICT.min(size.y - 280.0).min(size.x * 0.3).max(64.0);
            // On the smallest of all the word gives way too, so that the cause and the buttons below stay in sight.
            let whole = Type::Verdict.font().size;
            let word = (size.y - LINES).clamp(56.0, whole);
            let is_small = word < whole;
            let sign = if is_small { sign.min(word * 1.2) } else { sign };
            ui.add_space(((size.y - sign.max(word * 1.2) - 130.0) / 2.0).max(0.0));
            ui.vertical_centered(|ui| {
                if is_small {
                    ui.spacing_mut().item_spacing.y = 2.0;
                }
                head(ui, panel.passed, sign, word, text);
                say_in(ui, if is_small { Type::H2 } else { Type::H1 }, text, panel.subject);
                say_in(ui, Type::H2, text, panel.sentence);
                if !panel.advice.is_empty() {
                    say_in(ui, Type::Body, text, panel.advice);
                }
                if !panel.code.is_empty() {
                    say_in(ui, Type::Code, text, format!("Code {}", panel.code));
                }
            });
        });
}

fn head(ui: &mut Ui, passed: bool, sign: f32, word_size: f32, color: Color32) {
    let (icon, word) = if passed { (Icon::CircleCheck, "PASS") } else { (Icon::CircleX, "FAIL") };
    let font = FontId { size: word_size, ..Type::Verdict.font() };
    let galley = ui.painter().layout_no_wrap(word.to_owned(), font.clone(), color);
    let gap = 32.0;
    let size = vec2(sign + gap + galley.size().x + 4.0, sign.max(galley.size().y));
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    icon.paint(ui.painter(), rect.left_center() + vec2(sign / 2.0, 0.0), sign, color);
    let mut words = rect;
    words.min.x += sign + gap;
    let builder = UiBuilder::new().max_rect(words).layout(Layout::left_to_right(Align::Center));
    ui.scope_builder(builder, |ui| ui.label(RichText::new(word).font(font).color(color)));
}
