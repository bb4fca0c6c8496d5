//! How the window is to look and behave on this computer.

use serde::{Deserialize, Serialize};

/// Key under which the record remembers them.
pub(super) const KEY: &str = "window-settings";

/// Settings of the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Colours.
    pub theme: Theme,
    /// Size of everything, per cent.
    pub zoom_percent: u16,
    /// Larger controls, for gloves.
    pub gloves: bool,
    /// A sound on PASS and FAIL.
    pub sound: bool,
    /// A scanned truck number starts the job.
    pub start_on_scan: bool,
    /// Site settings are hidden and cannot be changed.
    pub technician: bool,
    /// New boards are calibrated with the person at the bench; else calibration is left for later.
    pub calibrate: bool,
}

/// Colours of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Theme {
    /// For a bright depot.
    #[default]
    Light,
    /// For the night.
    Dark,
    /// White on black, strong lines.
    HighContrastDark,
    /// Black on white, strong lines.
    HighContrastLight,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            theme: Theme::Light,
            zoom_percent: 100,
            gloves: false,
            sound: true,
            start_on_scan: false,
            technician: false,
            calibrate: true,
        }
    }
}
