//! The window: an egui front end over [`crate::app`].
//!
//! - [`tokens`] holds every colour and measure, [`theme`] puts them on the toolkit.
//! - [`widgets`] are the parts, each with a name for a screen reader.
//! - [`app`] is the frame round the screens, `view` what it remembers.

pub mod app;
mod dialogs;
pub mod fonts;
pub mod icons;
pub mod open;
mod picture;
mod screens;
pub mod text;
pub mod theme;
pub mod tokens;
mod view;
pub mod widgets;
