//! Lucide's icons as characters: tinted by the text colour, sharp at every size.
//!
//! An icon is painted, never part of a control's name, so that a screen reader does not stumble over it.

use std::sync::{Arc, OnceLock};

use eframe::egui::{Color32, Context, FontFamily, FontId, FontPriority, GlyphRasterizer, Painter, Pos2};
use egui_extras::SvgGlyph;

/// First character of the icons, in Unicode's private area.
const FIRST: u32 = 0xE900;

macro_rules! icons {
    ($($name:ident => $file:literal,)*) => {
        /// The icons, by Lucide's names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Icon {
            $(#[doc = $file] $name,)*
        }

        const SOURCES: &[&[u8]] = &[
            $(include_bytes!(concat!("../../assets/icons/", $file, ".svg")),)*
        ];
    };
}

icons! {
    Activity => "activity",
    ArrowLeft => "arrow-left",
    ArrowRight => "arrow-right",
    BadgeCheck => "badge-check",
    BatteryWarning => "battery-warning",
    Calendar => "calendar",
    Check => "check",
    ChevronDown => "chevron-down",
    ChevronLeft => "chevron-left",
    ChevronRight => "chevron-right",
    ChevronUp => "chevron-up",
    Circle => "circle",
    CircleCheck => "circle-check",
    CircleDot => "circle-dot",
    CircleHelp => "circle-help",
    CircleStop => "circle-stop",
    CircleX => "circle-x",
    ClipboardList => "clipboard-list",
    Clock => "clock",
    Cloud => "cloud",
    CloudOff => "cloud-off",
    Contrast => "contrast",
    Copy => "copy",
    Cpu => "cpu",
    DoorClosed => "door-closed",
    DoorClosedLocked => "door-closed-locked",
    DoorOpen => "door-open",
    Download => "download",
    Ellipsis => "ellipsis",
    ExternalLink => "external-link",
    Eye => "eye",
    EyeOff => "eye-off",
    FileDown => "file-down",
    FileText => "file-text",
    Folder => "folder",
    FolderOpen => "folder-open",
    Gauge => "gauge",
    GitCompare => "git-compare",
    Hand => "hand",
    HardDrive => "hard-drive",
    Hash => "hash",
    Info => "info",
    Key => "key",
    Keyboard => "keyboard",
    List => "list",
    Loader => "loader",
    Lock => "lock",
    LockOpen => "lock-open",
    LogIn => "log-in",
    MapPin => "map-pin",
    Minus => "minus",
    Moon => "moon",
    Network => "network",
    OctagonAlert => "octagon-alert",
    PanelLeft => "panel-left",
    Pause => "pause",
    Pencil => "pencil",
    Play => "play",
    Plug => "plug",
    Plus => "plus",
    Printer => "printer",
    QrCode => "qr-code",
    Radio => "radio",
    RefreshCw => "refresh-cw",
    RotateCcw => "rotate-ccw",
    Save => "save",
    ScanLine => "scan-line",
    Search => "search",
    Settings => "settings",
    ShieldCheck => "shield-check",
    SkipForward => "skip-forward",
    SlidersHorizontal => "sliders-horizontal",
    Snowflake => "snowflake",
    Square => "square",
    Stethoscope => "stethoscope",
    Sun => "sun",
    Thermometer => "thermometer",
    ThermometerSnowflake => "thermometer-snowflake",
    Trash2 => "trash-2",
    TriangleAlert => "triangle-alert",
    Truck => "truck",
    Undo2 => "undo-2",
    Unplug => "unplug",
    Usb => "usb",
    User => "user",
    Volume2 => "volume-2",
    VolumeX => "volume-x",
    Wifi => "wifi",
    WifiOff => "wifi-off",
    Wrench => "wrench",
    X => "x",
    Zap => "zap",
}

impl Icon {
    /// The character that stands for it.
    pub fn character(self) -> char {
        char::from_u32(FIRST + self as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Paints it, `size` points high and wide, with its middle at `center`.
    pub fn paint(self, painter: &Painter, center: Pos2, size: f32, color: Color32) {
        let font = FontId::new(size, FontFamily::Proportional);
        let galley = painter.layout_no_wrap(self.character().to_string(), font, color);
        // The bitmap's middle, not the line's: a line has room above and below its letters.
        let middle = galley.mesh_bounds.center();
        let middle = if middle.is_finite() { middle } else { galley.rect.center() };
        painter.galley(center - middle.to_vec2(), galley, color);
    }
}

/// Teaches a context the icons. Each is read when it is first painted.
pub fn install(context: &Context) {
    let parsed: Arc<[OnceLock<Option<SvgGlyph>>]> = SOURCES.iter().map(|_| OnceLock::new()).collect();
    let rasterizer = GlyphRasterizer::new("coldbench::icons", move |request| {
        let mut characters = request.cluster.chars();
        let character = characters.next()?;
        if characters.next().is_some() {
            return None;
        }
        let index = (character as u32).checked_sub(FIRST)? as usize;
        let glyph = parsed.get(index)?.get_or_init(|| SvgGlyph::from_bytes(SOURCES[index]).ok());
        glyph.as_ref()?.rasterize(request.font_size_px)
    });
    context.add_glyph_rasterizer(rasterizer.with_priority(FontPriority::Highest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_can_be_drawn_at_the_size_of_a_verdict() {
        for (index, source) in SOURCES.iter().enumerate() {
            let glyph = SvgGlyph::from_bytes(source);
            let drawn = glyph.ok().and_then(|glyph| glyph.rasterize(600.0));
            let inked = drawn.is_some_and(|drawn| drawn.bitmap.image.pixels.iter().any(|pixel| pixel.a() > 0));
            assert!(inked, "icon {index} is empty");
        }
    }
}
