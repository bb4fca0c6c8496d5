//! The window: an egui front end over [`crate::app`].
//!
//! - [`tokens`] holds every colour and measure, [`theme`] puts them on the toolkit.
//! - [`widgets`] are the parts, each with a name for a screen reader.

pub mod fonts;
pub mod icons;
pub mod text;
pub mod theme;
pub mod tokens;
pub mod widgets;
