//! The driver's traffic light: three lamps, each with its word.

use eframe::egui::{Align2, Response, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};

use crate::ui::{
    theme::Themed,
    tokens::{Tone, Type},
};

use super::Status;

/// Which lamp is lit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lamp {
    /// All is well.
    Green,
    /// Something should be looked at.
    Amber,
    /// The load is in danger.
    Red,
}

impl Lamp {
    /// The lamp of a reading's status word.
    pub fn parse(status: &str) -> Option<Lamp> {
        match status {
            "green" => Some(Lamp::Green),
            "amber" => Some(Lamp::Amber),
            "red" => Some(Lamp::Red),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Lamp::Green => "All well",
            Lamp::Amber => "Look at it",
            Lamp::Red => "Load in danger",
        }
    }

    fn status(self) -> Status {
        match self {
            Lamp::Green => Status::Pass,
            Lamp::Amber => Status::Warn,
            Lamp::Red => Status::Fail,
        }
    }

    fn tone(self) -> Tone {
        self.status().tone()
    }
}

/// Shows the three lamps; without a reading none is lit.
pub fn lamps(ui: &mut Ui, lit: Option<Lamp>) -> Response {
    let palette = ui.palette();
    let (rect, response) = ui.allocate_exact_size(vec2(3.0 * 112.0, 96.0), Sense::hover());
    let name = format!("Traffic light: {}", lit.map_or("no reading yet", Lamp::word));
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &name));
    for (index, lamp) in [Lamp::Green, Lamp::Amber, Lamp::Red].into_iter().enumerate() {
        let center = pos2(rect.left() + 56.0 + 112.0 * index as f32, rect.top() + 36.0);
        let tone = palette.tone(lamp.tone());
        let is_lit = lit == Some(lamp);
        if is_lit {
            ui.painter().circle(center, 30.0, tone.fill, Stroke::new(3.0, tone.text));
            lamp.status().icon().paint(ui.painter(), center, 32.0, tone.on_fill);
        } else {
            ui.painter().circle(
                center,
                30.0,
                palette.sunken,
                Stroke::new(palette.control_width(), palette.border_control),
            );
        }
        let (step, color) = if is_lit { (Type::Label, palette.text) } else { (Type::Caption, palette.text2) };
        ui.painter().text(center + vec2(0.0, 50.0), Align2::CENTER_CENTER, lamp.word(), step.font(), color);
    }
    response
}
