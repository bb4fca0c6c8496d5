//! The parts of the screens. Each takes what it shows and returns what was done to it; none keeps state of the program.

mod banner;
mod button;
mod card;
mod chip;
mod choice;
mod code;
mod dialog;
mod field;
mod lamps;
mod progress;
mod steady;
mod steps;
mod tabs;
mod tile;
mod toast;
mod verdict;

pub use banner::{banner, empty};
pub use button::{Button, ButtonKind};
pub use card::{card, key_value, toned_card};
pub use chip::{Status, chip};
pub use choice::{check_box, select};
pub use code::{code_drawer, text_drawer};
pub use dialog::{Answer, Dialog};
pub use field::{Field, entered};
pub use lamps::{Lamp, lamps};
pub use progress::{Segment, bar, segments};
pub use steady::SteadyPlot;
pub use steps::{StepRow, step_list};
pub use tabs::tabs;
pub use tile::Tile;
pub use toast::Toasts;
pub use verdict::{VerdictPanel, verdict};

use eframe::egui::{Color32, Response, RichText, Ui};

use super::{theme::Themed, tokens::Type};

/// Shows words in a step of the type scale.
pub fn say(ui: &mut Ui, step: Type, words: impl Into<String>) -> Response {
    let color = ui.palette().text;
    say_in(ui, step, color, words)
}

/// Shows words of second rank.
pub fn note(ui: &mut Ui, words: impl Into<String>) -> Response {
    let color = ui.palette().text2;
    say_in(ui, Type::Body, color, words)
}

/// Shows words in a colour of the palette.
pub fn say_in(ui: &mut Ui, step: Type, color: Color32, words: impl Into<String>) -> Response {
    ui.label(RichText::new(words).font(step.font()).color(color))
}

/// Begins another row of a wrapping one where less than this is left of it, pt. Parts with a layout of their own do not
/// wrap by themselves.
pub(super) fn make_room(ui: &mut Ui, width: f32) {
    if ui.available_size_before_wrap().x < width {
        ui.end_row();
    }
}

/// Scrolls to what the keyboard comes to, which the toolkit does not do by itself.
pub(super) fn keep_in_sight(response: &Response) {
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test states what it expects")]
mod tests;
