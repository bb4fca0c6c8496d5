//! A probe on its way to being steady: its last two minutes, and the band it must stay in.

use eframe::egui::Ui;
use egui_plot::{Axis, Line, Plot, PlotPoint, PlotPoints, Span};

use crate::ui::{text, theme::Themed, tokens::Tone};

/// What the plot shows.
#[derive(Debug, Clone, PartialEq)]
pub struct SteadyPlot<'a> {
    /// Its name for a screen reader.
    pub name: &'a str,
    /// Seconds before now, and °C.
    pub points: Vec<(f64, f64)>,
    /// How long the probe must be steady, seconds.
    pub window_secs: f64,
    /// How far apart its highest and lowest value may be meanwhile, °C.
    pub band_celsius: f64,
    /// It is steady now.
    pub is_steady: bool,
}

/// Narrower than this the plot shows nothing that can be read, pt.
const LEAST_WIDTH: f32 = 160.0;

impl SteadyPlot<'_> {
    /// Shows it, this high.
    pub fn show(&self, ui: &mut Ui, height: f32) {
        if ui.available_width() < LEAST_WIDTH {
            // The number beside it says enough.
            return;
        }
        let palette = ui.palette();
        let recent = self.points.iter().filter(|(secs, _)| *secs >= -self.window_secs).map(|(_, celsius)| *celsius);
        let (low, high) =
            recent.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let middle = if low <= high { (low + high) / 2.0 } else { 0.0 };
        let band = middle - self.band_celsius / 2.0..=middle + self.band_celsius / 2.0;
        let tone = palette.tone(if self.is_steady { Tone::Pass } else { Tone::Active });
        let points = self.points.iter().map(|(secs, celsius)| PlotPoint::new(*secs, *celsius)).collect();
        let reach = (self.band_celsius * 2.0).max(high - middle).max(0.1) * 1.1;
        let plot = Plot::new("steady")
            .height(height)
            .allow_zoom(false)
            .allow_scroll(false)
            .allow_drag(false)
            .allow_boxed_zoom(false)
            .show_background(false)
            .grid_color(palette.border)
            .include_x(-self.window_secs * 2.0)
            .include_x(0.0)
            .include_y(middle - reach)
            .include_y(middle + reach)
            .y_axis_min_width(56.0)
            .x_axis_formatter(|mark, _| format!("{} s", text::number(Some(mark.value), 0)))
            .y_axis_formatter(|mark, _| text::number(Some(mark.value), 2));
        let response = plot.show(ui, |plot| {
            let span = Span::new("Band", band).axis(Axis::Y).fill(tone.soft).border_color(tone.text);
            plot.span(span);
            plot.line(Line::new(self.name.to_owned(), PlotPoints::Owned(points)).color(palette.series[0]).width(2.0));
        });
        response.response.accessible_name(self.name);
    }
}
