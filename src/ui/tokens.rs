//! Every colour, size and type size of the window, in one place. Nothing else in `ui` names a colour or a measure of
//! its own. The test at the end holds the contrast of every pair that is painted.

use eframe::egui::{Color32, FontFamily, FontId};

pub use crate::app::settings::Theme as Look;

impl Look {
    /// All looks, in the order of the settings.
    pub const ALL: [Look; 4] = [Look::Light, Look::Dark, Look::HighContrastLight, Look::HighContrastDark];

    /// Its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Look::Light => "Light",
            Look::Dark => "Dark",
            Look::HighContrastLight => "High contrast, light",
            Look::HighContrastDark => "High contrast, dark",
        }
    }

    /// Its colours.
    pub fn palette(self) -> &'static Palette {
        match self {
            Look::Light => &LIGHT,
            Look::Dark => &DARK,
            Look::HighContrastLight => &HIGH_CONTRAST_LIGHT,
            Look::HighContrastDark => &HIGH_CONTRAST_DARK,
        }
    }
}

/// What a colour says. Never said by colour alone: a shape and a word go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing to say: ready, empty, offline.
    Neutral,
    /// Running, or waiting for a person.
    Active,
    /// A finished verdict, and nothing else.
    Pass,
    /// Abnormal, and the work goes on.
    Warn,
    /// Abnormal, and the work does not go on.
    Fail,
}

impl Tone {
    /// All tones.
    pub const ALL: [Tone; 5] = [Tone::Neutral, Tone::Active, Tone::Pass, Tone::Warn, Tone::Fail];
}

/// The colours of a [`Tone`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToneColors {
    /// Solid fill: "act now".
    pub fill: Color32,
    /// Text on the solid fill.
    pub on_fill: Color32,
    /// Soft fill.
    pub soft: Color32,
    /// Text on the soft fill, the canvas or a card; also the outline of a solid or a soft fill.
    pub text: Color32,
}

/// The colours of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    /// `true` for light text on dark.
    pub dark: bool,
    /// `true` where strokes are double, soft fills and shadows absent, and nothing moves.
    pub high_contrast: bool,
    /// Behind everything.
    pub canvas: Color32,
    /// Cards, fields.
    pub surface: Color32,
    /// Menus, bars.
    pub raised: Color32,
    /// Tracks of progress.
    pub sunken: Color32,
    /// Lines that only divide.
    pub border: Color32,
    /// Edges of controls.
    pub border_control: Color32,
    /// Text.
    pub text: Color32,
    /// Text of second rank.
    pub text2: Color32,
    /// Text of a control that is not open now.
    pub text_disabled: Color32,
    /// Fill of the primary action, mark of what is selected.
    pub accent: Color32,
    /// Text on it.
    pub on_accent: Color32,
    /// Fill of a selected row.
    pub accent_soft: Color32,
    /// Ring round what the keyboard is on.
    pub focus: Color32,
    /// Behind a dialog.
    pub scrim: Color32,
    /// Lines of a plot.
    pub series: [Color32; 6],
    neutral: ToneColors,
    active: ToneColors,
    pass: ToneColors,
    warn: ToneColors,
    fail: ToneColors,
}

impl Palette {
    /// The colours of a tone.
    pub fn tone(&self, tone: Tone) -> ToneColors {
        match tone {
            Tone::Neutral => self.neutral,
            Tone::Active => self.active,
            Tone::Pass => self.pass,
            Tone::Warn => self.warn,
            Tone::Fail => self.fail,
        }
    }

    /// Width of a line that only divides, pt.
    pub fn border_width(&self) -> f32 {
        if self.high_contrast { 2.0 } else { 1.0 }
    }

    /// Width of the edge of a control, pt.
    pub fn control_width(&self) -> f32 {
        if self.high_contrast { 2.0 } else { 1.5 }
    }
}

/// A fill under the pointer (`0.12`) or pressed (`0.24`): moved away from its text, so contrast only grows.
pub fn emphasised(fill: Color32, on_fill: Color32, share: f32) -> Color32 {
    let away = if luminance(on_fill) > luminance(fill) { Color32::BLACK } else { Color32::WHITE };
    fill.lerp_to_gamma(away, share)
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

const fn tone(fill: u32, on_fill: u32, soft: u32, text: u32) -> ToneColors {
    ToneColors { fill: rgb(fill), on_fill: rgb(on_fill), soft: rgb(soft), text: rgb(text) }
}

const LIGHT: Palette = Palette {
    dark: false,
    high_contrast: false,
    canvas: rgb(0xE9ECEF),
    surface: rgb(0xFFFFFF),
    raised: rgb(0xF5F7F9),
    sunken: rgb(0xDDE2E7),
    border: rgb(0xC5CCD3),
    border_control: rgb(0x75808C),
    text: rgb(0x14191F),
    text2: rgb(0x46515D),
    text_disabled: rgb(0x7F8994),
    accent: rgb(0x0B5CAD),
    on_accent: rgb(0xFFFFFF),
    accent_soft: rgb(0xDCEBFA),
    focus: rgb(0x0B5CAD),
    scrim: Color32::from_black_alpha(120),
    series: [rgb(0x0B5CAD), rgb(0xB85C00), rgb(0x6B3FA0), rgb(0x007A7A), rgb(0xA0306E), rgb(0x5A6672)],
    neutral: tone(0x5A6672, 0xFFFFFF, 0xEDF0F3, 0x46515D),
    active: tone(0x0B5CAD, 0xFFFFFF, 0xDCEBFA, 0x0A4A8C),
    pass: tone(0x00705A, 0xFFFFFF, 0xDAF1EB, 0x00523F),
    warn: tone(0xF2A900, 0x14191F, 0xFFF1CC, 0x7A4A00),
    fail: tone(0xC4231C, 0xFFFFFF, 0xFCE3E1, 0x9C1710),
};

const DARK: Palette = Palette {
    dark: true,
    high_contrast: false,
    canvas: rgb(0x14181D),
    surface: rgb(0x1E242B),
    raised: rgb(0x283039),
    sunken: rgb(0x0E1115),
    border: rgb(0x3A444F),
    border_control: rgb(0x7D8995),
    text: rgb(0xEEF2F6),
    text2: rgb(0xB3BDC7),
    text_disabled: rgb(0x7D8995),
    accent: rgb(0x4C9BE8),
    on_accent: rgb(0x0B1118),
    accent_soft: rgb(0x16324D),
    focus: rgb(0x8CC4FF),
    scrim: Color32::from_black_alpha(170),
    series: [rgb(0x6CB4F5), rgb(0xFFA94D), rgb(0xBFA0F5), rgb(0x4FD1C5), rgb(0xF58AC0), rgb(0xA9B4BF)],
    neutral: tone(0x8E9AA6, 0x0B1118, 0x2A323B, 0xB3BDC7),
    active: tone(0x4C9BE8, 0x0B1118, 0x16324D, 0x8CC4FF),
    pass: tone(0x2FC79A, 0x04140F, 0x0D352B, 0x7BE3C4),
    warn: tone(0xFFB92E, 0x14191F, 0x3D2C05, 0xFFD37A),
    fail: tone(0xFF6B61, 0x1A0504, 0x451A17, 0xFF9D96),
};

const HIGH_CONTRAST_DARK: Palette = Palette {
    dark: true,
    high_contrast: true,
    canvas: rgb(0x000000),
    surface: rgb(0x000000),
    raised: rgb(0x000000),
    sunken: rgb(0x000000),
    border: rgb(0xFFFFFF),
    border_control: rgb(0xFFFFFF),
    text: rgb(0xFFFFFF),
    text2: rgb(0xFFFFFF),
    text_disabled: rgb(0xB0B0B0),
    accent: rgb(0x66D9FF),
    on_accent: rgb(0x000000),
    accent_soft: rgb(0x00303D),
    focus: rgb(0xFFE600),
    scrim: Color32::from_black_alpha(200),
    series: [rgb(0x66D9FF), rgb(0xFFD500), rgb(0xD9B3FF), rgb(0x3DF5C8), rgb(0xFF9ED2), rgb(0xFFFFFF)],
    neutral: tone(0xFFFFFF, 0x000000, 0x000000, 0xFFFFFF),
    active: tone(0x66D9FF, 0x000000, 0x000000, 0x66D9FF),
    pass: tone(0x3DF5C8, 0x000000, 0x000000, 0x3DF5C8),
    warn: tone(0xFFD500, 0x000000, 0x000000, 0xFFD500),
    fail: tone(0xFF8A80, 0x000000, 0x000000, 0xFF8A80),
};

const HIGH_CONTRAST_LIGHT: Palette = Palette {
    dark: false,
    high_contrast: true,
    canvas: rgb(0xFFFFFF),
    surface: rgb(0xFFFFFF),
    raised: rgb(0xFFFFFF),
    sunken: rgb(0xFFFFFF),
    border: rgb(0x000000),
    border_control: rgb(0x000000),
    text: rgb(0x000000),
    text2: rgb(0x000000),
    text_disabled: rgb(0x595959),
    accent: rgb(0x003A80),
    on_accent: rgb(0xFFFFFF),
    accent_soft: rgb(0xE0EDFF),
    focus: rgb(0x6A00A8),
    scrim: Color32::from_black_alpha(160),
    series: [rgb(0x003A80), rgb(0x7A3B00), rgb(0x4B2080), rgb(0x005050), rgb(0x7A1450), rgb(0x000000)],
    neutral: tone(0x000000, 0xFFFFFF, 0xFFFFFF, 0x000000),
    active: tone(0x003A80, 0xFFFFFF, 0xFFFFFF, 0x003A80),
    pass: tone(0x005A46, 0xFFFFFF, 0xFFFFFF, 0x005A46),
    warn: tone(0xFFC800, 0x000000, 0xFFFFFF, 0x5C3600),
    fail: tone(0x8A0F09, 0xFFFFFF, 0xFFFFFF, 0x8A0F09),
};

/// Names of the font families; the regular weight is the proportional one, the numerals the monospaced one.
pub mod family {
    /// Inter Medium.
    pub const MEDIUM: &str = "inter-medium";
    /// Inter SemiBold.
    pub const SEMIBOLD: &str = "inter-semibold";
    /// Inter Bold.
    pub const BOLD: &str = "inter-bold";
}

/// The steps of the type scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Notes under something.
    Caption,
    /// Running text.
    Body,
    /// Buttons and names of fields.
    Label,
    /// Heading of a card.
    H3,
    /// Heading of a part of a screen.
    H2,
    /// Heading of a screen, the instruction of a step.
    H1,
    /// A reading on a tile.
    Value,
    /// The one reading of a calibration.
    BigValue,
    /// PASS and FAIL, legible from three metres.
    Verdict,
    /// Addresses, serial numbers.
    Serial,
    /// Payloads, codes.
    Code,
}

impl Type {
    /// Its font.
    pub fn font(self) -> FontId {
        let named = |size, name: &str| FontId::new(size, FontFamily::Name(name.into()));
        match self {
            Type::Caption => named(14.0, family::MEDIUM),
            Type::Body => FontId::proportional(17.0),
            Type::Label => named(17.0, family::SEMIBOLD),
            Type::H3 => named(20.0, family::SEMIBOLD),
            Type::H2 => named(22.0, family::SEMIBOLD),
            Type::H1 => named(28.0, family::BOLD),
            Type::Value => FontId::monospace(40.0),
            Type::BigValue => FontId::monospace(64.0),
            Type::Verdict => named(104.0, family::BOLD),
            Type::Serial => FontId::monospace(20.0),
            Type::Code => FontId::monospace(15.0),
        }
    }
}

/// Measures, pt.
pub mod metric {
    /// Steps of the spacing scale.
    pub const SPACE: [f32; 7] = [4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0];
    /// Corner of a chip.
    pub const RADIUS_CHIP: u8 = 4;
    /// Corner of a control.
    pub const RADIUS_CONTROL: u8 = 6;
    /// Corner of a card.
    pub const RADIUS_CARD: u8 = 8;
    /// Corner of a dialog.
    pub const RADIUS_MODAL: u8 = 12;
    /// Width of the focus ring.
    pub const FOCUS_WIDTH: f32 = 3.0;
    /// An icon in running text.
    pub const ICON_INLINE: f32 = 20.0;
    /// An icon on a button.
    pub const ICON_BUTTON: f32 = 24.0;
    /// An icon on the rail.
    pub const ICON_RAIL: f32 = 30.0;
    /// The sign of a verdict.
    pub const ICON_VERDICT: f32 = 200.0;
    /// Height of a control.
    pub const CONTROL: f32 = 44.0;
    /// Height of the primary action.
    pub const PRIMARY: f32 = 64.0;
    /// Least width of the primary action.
    pub const PRIMARY_WIDTH: f32 = 200.0;
    /// Height of a chip.
    pub const CHIP: f32 = 28.0;
    /// Height of a row of a list.
    pub const ROW: f32 = 48.0;
    /// Height of a row of a table.
    pub const TABLE_ROW: f32 = 40.0;
    /// Width of the rail at the left.
    pub const RAIL: f32 = 88.0;
    /// Height of the bar at the top.
    pub const TOP_BAR: f32 = 48.0;
    /// Height of the bar with the actions.
    pub const ACTION_BAR: f32 = 80.0;
    /// Width of a dialog.
    pub const MODAL: f32 = 480.0;
    /// Width of a toast.
    pub const TOAST: f32 = 400.0;
    /// Steps of the text size, percent.
    pub const ZOOM_PERCENT: [u32; 4] = [100, 110, 125, 150];
    /// Text size for a hand in a glove, percent.
    pub const GLOVE_PERCENT: u32 = 125;
}

/// Relative luminance after WCAG 2.
fn luminance(color: Color32) -> f32 {
    let channel = |value: u8| {
        let share = f32::from(value) / 255.0;
        if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(color.r()) + 0.7152 * channel(color.g()) + 0.0722 * channel(color.b())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contrast(a: Color32, b: Color32) -> f32 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_pair_that_is_painted_has_its_contrast() {
        for look in Look::ALL {
            let p = look.palette();
            let grounds = [("canvas", p.canvas), ("surface", p.surface), ("raised", p.raised)];
            let mut pairs = vec![
                ("text on sunken".to_owned(), p.text, p.sunken, 4.5),
                ("text on accent_soft".into(), p.text, p.accent_soft, 4.5),
                ("text2 on accent_soft".into(), p.text2, p.accent_soft, 4.5),
                ("focus on accent_soft".into(), p.focus, p.accent_soft, 3.0),
                ("on_accent".into(), p.on_accent, p.accent, 4.5),
                ("on_accent, hovered".into(), p.on_accent, emphasised(p.accent, p.on_accent, 0.12), 4.5),
                ("on_accent, pressed".into(), p.on_accent, emphasised(p.accent, p.on_accent, 0.24), 4.5),
                ("progress in its track".into(), p.accent, p.sunken, 3.0),
            ];
            for (ground_name, ground) in grounds {
                pairs.push((format!("text on {ground_name}"), p.text, ground, 4.5));
                pairs.push((format!("text2 on {ground_name}"), p.text2, ground, 4.5));
                pairs.push((format!("control on {ground_name}"), p.border_control, ground, 3.0));
                pairs.push((format!("focus on {ground_name}"), p.focus, ground, 3.0));
                pairs.push((format!("accent on {ground_name}"), p.accent, ground, 3.0));
                for tone in Tone::ALL {
                    let name = format!("{tone:?} text on {ground_name}");
                    pairs.push((name, p.tone(tone).text, ground, 4.5));
                }
            }
            for tone in Tone::ALL {
                let colors = p.tone(tone);
                pairs.push((format!("{tone:?} on fill"), colors.on_fill, colors.fill, 4.5));
                pairs.push((format!("{tone:?} on soft"), colors.text, colors.soft, 4.5));
                // A fill that is too pale for its ground is outlined in the tone's text colour.
                let edge = contrast(colors.fill, p.surface).max(contrast(colors.text, p.surface));
                assert!(edge >= 3.0, "{look:?}: {tone:?} has no edge on a card: {edge:.2}");
            }
            for (index, series) in p.series.into_iter().enumerate() {
                pairs.push((format!("series {index}"), series, p.surface, 3.0));
            }
            pairs.push(("disabled text".into(), p.text_disabled, p.surface, 3.0));
            for (name, front, ground, least) in pairs {
                let found = contrast(front, ground);
                assert!(found >= least, "{look:?}: {name} has {found:.2}, needs {least}");
            }
        }
    }

    #[test]
    fn nothing_is_set_smaller_than_14_points() {
        let all = [Type::Caption, Type::Body, Type::Label, Type::H3, Type::Code, Type::Serial];
        assert!(all.into_iter().all(|step| step.font().size >= 14.0));
    }
}
