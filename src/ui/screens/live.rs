//! The readings of a board as they arrive: the driver's light, big numbers, plots of a day, the proof.

use eframe::egui::{
    Align, ColorImage, CursorIcon, Key, Layout, Rect, Sense, Ui, ViewportCommand, style::ScrollAnimation, vec2,
};
use egui_plot::{Line, LineStyle, MarkerShape, Plot, PlotPoint, PlotPoints, Points, Span, VLine};
use time::OffsetDateTime;

use super::board_tabs;
use crate::{
    app::{
        command::Command,
        live::{Light, Live, Path, Row},
        proof::ProofState,
        readings_file,
        state::AppState,
        trace::Trace,
    },
    ui::{
        dialogs::{FileAsk, Purpose},
        icons::Icon,
        picture, text,
        theme::Themed,
        tokens::{Tone, Type},
        view::{Action, Bar, Deed, Place, View},
        widgets::{self, Button, Lamp, Status, Tile, card, chip, code_drawer, key_value, lamps, note, say, tabs},
    },
};

/// Stretches that can be shown, minutes.
const STRETCHES: [(u32, &str); 4] = [(10, "10 min"), (60, "1 h"), (360, "6 h"), (1440, "24 h")];
/// Height of a tile, pt.
const TILE_HEIGHT: f32 = 136.0;
/// The shortest stretch that can be zoomed to, seconds.
const SHORTEST_SECS: f64 = 30.0;
/// The longest: a day and some room beside it, seconds.
const LONGEST_SECS: f64 = 26.0 * 3600.0;
/// Late readings and gaps that are marked in one plot; more would hide the line.
const MAX_MARKS: usize = 200;

/// What the plots show.
#[derive(Debug, Clone)]
pub struct LiveView {
    /// Stretch up to now, minutes.
    pub minutes: u32,
    /// The stretch that was panned or zoomed to, seconds since 1970; `None` runs with the time.
    span: Option<(f64, f64)>,
    /// Frames until a picture is taken; `0` for none. The plots must be in sight first.
    picture_in: u8,
    plots: [Drawn; 2],
}

/// The points of a plot as they were drawn last, and what they were made of.
#[derive(Debug, Clone, Default)]
struct Drawn {
    of: Option<(String, u32, u32, usize, u32, usize)>,
    points: Vec<PlotPoint>,
    late: Vec<PlotPoint>,
}

impl Default for LiveView {
    fn default() -> Self {
        LiveView { minutes: 10, span: None, picture_in: 0, plots: Default::default() }
    }
}

impl LiveView {
    fn span(&self, now: OffsetDateTime) -> (f64, f64) {
        let now_secs = now.unix_timestamp() as f64;
        self.span.unwrap_or((now_secs - f64::from(self.minutes) * 60.0, now_secs))
    }

    /// Zooms about a place in the stretch: below 1 to see less, above 1 to see more.
    fn zoom(&mut self, now: OffsetDateTime, factor: f64, at: f64) {
        let (from, to) = self.span(now);
        let length = ((to - from) * factor).clamp(SHORTEST_SECS, LONGEST_SECS);
        let share = (at - from) / (to - from);
        self.span = Some((at - length * share, at + length * (1.0 - share)));
    }

    /// Moves the stretch by a share of its length, not further than a day back or past now.
    fn pan(&mut self, now: OffsetDateTime, share: f64) {
        let (from, to) = self.span(now);
        let now_secs = now.unix_timestamp() as f64;
        let by = ((to - from) * share).clamp((now_secs - LONGEST_SECS - from).min(0.0), (now_secs - to).max(0.0));
        self.span = Some((from + by, to + by));
    }
}

pub(super) fn bar(state: &AppState, view: &View) -> Bar {
    let Some(thing) = view.thing(state) else {
        return Bar { sentence: "This board has no name in the cloud yet".into(), ..Bar::default() };
    };
    let watched = state.things.get(&thing).is_some_and(|watched| watched.watched);
    let primary = if watched {
        Action::open("Stop following", Deed::Order(Command::Unwatch { thing: thing.clone() }))
    } else {
        Action::open("Follow in the cloud", Deed::Order(Command::WatchThing { thing: thing.clone() }))
    };
    let sentence = if watched { format!("{thing} over USB and MQTT") } else { format!("{thing} over USB only") };
    Bar { sentence, primary: Some(primary), secondary: Some(Action::open("See shadow", Deed::Go(Place::Shadow))) }
}

pub(super) fn show(ui: &mut Ui, state: &AppState, view: &mut View) {
    board_tabs(ui, state, view);
    let readings = view.readings(state).and_then(|live| Some((live, live.last()?)));
    let Some((live, last)) = readings else {
        let sentence = "A board measures every 5 seconds once its firmware runs";
        widgets::empty(ui, Icon::Activity, "No reading yet", sentence, None);
        return;
    };
    let now = OffsetDateTime::now_utc();
    let port = view.station(state).map_or_else(String::new, |station| station.port.port.clone());
    head(ui, live, now);
    tiles(ui, live, now);
    plots(ui, live, view, &port, now);
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        key_value(ui, "Measured", &text::utc_and_local(last.measured()));
        for (path, name) in [(Path::Usb, "Over USB"), (Path::Mqtt, "Over MQTT")] {
            key_value(ui, name, &way(live, path));
        }
        key_value(ui, "Readings of a day", &text::count(live.rows().len(), "kept", "kept"));
        code_drawer(ui, "Payload as sent", &String::from_utf8_lossy(&last.payload));
    });
}

fn way(live: &Live, path: Path) -> String {
    match (live.count(path), live.latency(path)) {
        (0, _) => "no reading yet".to_owned(),
        (count, None) => format!("{}, without a time", text::count(count as usize, "reading", "readings")),
        (count, Some(late)) => {
            let millis = text::number(Some(late.whole_milliseconds() as f64), 0);
            format!("{}, the last {millis} ms after measuring", text::count(count as usize, "reading", "readings"))
        }
    }
}

fn head(ui: &mut Ui, live: &Live, now: OffsetDateTime) {
    ui.horizontal_wrapped(|ui| {
        let lit = match live.light() {
            Light::Green => Some(Lamp::Green),
            Light::Amber => Some(Lamp::Amber),
            Light::Red => Some(Lamp::Red),
            Light::Unknown => None,
        };
        lamps(ui, lit);
        ui.vertical(|ui| {
            ui.set_min_width(ui.available_width().min(360.0));
            say(ui, Type::H2, live.light().words());
            let alerts = live.last().map(|last| last.reading.alerts.as_slice()).unwrap_or_default();
            if !alerts.is_empty() {
                let words: Vec<String> = alerts.iter().map(|alert| text::sentence_case(alert)).collect();
                note(ui, words.join(", "));
            }
            let proof = live.proof();
            let status = match proof {
                ProofState::Proven { .. } => Status::Pass,
                ProofState::Differs { .. } => Status::Fail,
                ProofState::Waiting | ProofState::Partly(_) => Status::Idle,
            };
            chip(ui, status, &proof.words());
            if live.is_stale(now) {
                let age = live.age(now).map_or(0.0, time::Duration::as_seconds_f64);
                chip(ui, Status::Stale, &format!("Last reading {} ago", text::duration(age)));
            }
        });
    });
}

fn tiles(ui: &mut Ui, live: &Live, now: OffsetDateTime) {
    let Some(last) = live.last() else { return };
    let reading = &last.reading;
    let fault = |sensor: &str| reading.faults.iter().any(|fault| fault.sensor == sensor);
    let stale = live.is_stale(now).then_some((Status::Stale, "Old"));
    let abnormal = |sensor: &str| if fault(sensor) { Some((Status::Fail, "No value")) } else { stale };
    let door = match reading.door_open {
        Some(true) => "Open",
        Some(false) => "Closed",
        None => text::NO_VALUE,
    };
    let openings = text::count(reading.door_openings as usize, "opening", "openings");
    let measured = format!("Measured {}", text::both_clocks(last.measured(), crate::ui::open::local_offset()));
    let outside = if reading.outside_celsius.is_some() { "At the outside probe" } else { "No probe is fitted" };
    let lowest = format!("Lowest {}", text::volts(reading.supply_min_volts));
    let all = [
        ("Freezer", text::number(reading.freezer_celsius, 1), "°C", abnormal("freezer"), measured),
        ("Supply", text::number(reading.supply_volts, 1), "V", abnormal("supply"), lowest),
        ("Door", door.to_owned(), "", stale, format!("{openings} since the last")),
        ("Outside", text::number(reading.outside_celsius, 1), "°C", abnormal("outside"), outside.to_owned()),
    ];
    let columns = if ui.available_width() > 860.0 { 4 } else { 2 };
    let width = (ui.available_width() - (columns as f32 - 1.0) * 16.0) / columns as f32;
    for row in all.chunks(columns) {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 16.0;
            for (name, value, unit, abnormal, below) in row {
                let (value, below) = (value.clone(), below.clone());
                let tile = Tile { name, value, unit, abnormal: *abnormal, below };
                ui.allocate_ui_with_layout(vec2(width, TILE_HEIGHT), Layout::top_down(Align::Min), |ui| {
                    tile.show(ui, width)
                });
            }
        });
    }
}

fn plots(ui: &mut Ui, live: &Live, view: &mut View, port: &str, now: OffsetDateTime) {
    tools(ui, live, view, now);
    let shown = card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        plot(ui, "Freezer, °C", live, live.freezer(), &mut view.live, 0, port, now);
        plot(ui, "Supply, V", live, live.supply(), &mut view.live, 1, port, now);
        legend(ui, live, view.live.span(now), view.live.span.is_some());
    });
    if view.live.picture_in > 0 {
        let rect = shown.response.rect;
        ui.scroll_to_rect_animation(rect, Some(Align::Min), ScrollAnimation::none());
        view.live.picture_in -= 1;
        if view.live.picture_in == 0 {
            take_picture(ui, view, rect.intersect(ui.clip_rect()));
        }
        ui.ctx().request_repaint();
    }
}

fn tools(ui: &mut Ui, live: &Live, view: &mut View, now: OffsetDateTime) {
    ui.horizontal_wrapped(|ui| {
        if tabs(ui, &mut view.live.minutes, &STRETCHES) {
            view.live.span = None;
        }
        let (from, to) = view.live.span(now);
        let middle = (from + to) / 2.0;
        for (icon, name, share) in [(Icon::ChevronLeft, "Earlier", -0.5), (Icon::ChevronRight, "Later", 0.5)] {
            if ui.add(Button::ghost(name).icon(icon).icon_only()).clicked() {
                view.live.pan(now, share);
            }
        }
        for (icon, name, factor) in [(Icon::Plus, "Zoom in", 0.5), (Icon::Minus, "Zoom out", 2.0)] {
            if ui.add(Button::ghost(name).icon(icon).icon_only()).clicked() {
                view.live.zoom(now, factor, middle);
            }
        }
        let is_moved = view.live.span.is_some();
        widgets::make_room(ui, 120.0);
        if ui.add(Button::ghost("Now").icon(Icon::RotateCcw).enabled(is_moved)).clicked() {
            view.live.span = None;
        }
        widgets::make_room(ui, 280.0);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.add(Button::secondary("Picture…").icon(Icon::FileDown)).clicked() {
                view.live.picture_in = 3;
            }
            if ui.add(Button::secondary("CSV…").icon(Icon::FileDown)).clicked() {
                let rows: Vec<Row> = live.rows().iter().copied().collect();
                let make = move || readings_file::csv(&rows).into_bytes();
                view.errands.prepare(ui.ctx(), "Export the readings", "readings.csv".to_owned(), make);
            }
        });
    });
}

/// The next frame as a picture, cut to the plots; made and compressed beside the screen.
fn take_picture(ui: &Ui, view: &View, rect: Rect) {
    let pixels_per_point = ui.ctx().pixels_per_point();
    let ask = view.errands.later(ui.ctx());
    let callback = eframe::egui::ScreenshotCallback::new(move |screen: std::sync::Arc<ColorImage>| {
        let work = move || {
            if let Some(bytes) = picture::png(&screen, rect, pixels_per_point) {
                ask(FileAsk::new("Save the picture of the plots", Purpose::Write(bytes.into()), "readings.png"));
            }
        };
        if let Err(error) = std::thread::Builder::new().name("picture".to_owned()).spawn(work) {
            tracing::warn!(%error, "no thread for a picture");
        }
    });
    ui.ctx().send_viewport_cmd(ViewportCommand::Screenshot(callback));
}

#[expect(clippy::too_many_arguments, reason = "what is drawn, where, and from when to when")]
fn plot(
    ui: &mut Ui,
    name: &str,
    live: &Live,
    trace: &Trace,
    shown: &mut LiveView,
    series: usize,
    port: &str,
    now: OffsetDateTime,
) {
    say(ui, Type::Label, name);
    let (from, to) = shown.span(now);
    draw(&mut shown.plots[series], live, trace, (from, to), ui.available_width(), port, series);
    let (low, high) = bounds(trace, (from, to), if series == 0 { 2.0 } else { 1.0 });
    let palette = ui.palette();
    let color = palette.series[series];
    let warn = palette.tone(Tone::Warn);
    let drawn = &shown.plots[series];
    let answer = Plot::new(name)
        .height(170.0)
        .allow_scroll(false)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .show_background(false)
        .grid_color(palette.border)
        .sense(Sense::click_and_drag())
        .y_axis_min_width(64.0)
        .y_axis_formatter(|mark, _| text::number(Some(mark.value), usize::from(mark.step_size < 1.0)))
        .y_grid_spacer(|input| value_marks(input.bounds))
        .x_grid_spacer(|input| clock_marks(input.bounds, to - from))
        .x_axis_formatter(|mark, _| text::clock_of(mark.value, mark.step_size < 60.0))
        .label_formatter(move |position| match position {
            egui_plot::HoverPosition::NearDataPoint { position, .. } => {
                Some(format!("{}  {}", text::clock_of(position.x, true), text::number(Some(position.y), 2)))
            }
            egui_plot::HoverPosition::Elsewhere { .. } => None,
        })
        .show(ui, |plot| {
            plot.set_plot_bounds_x(from..=to);
            plot.set_plot_bounds_y(low..=high);
            let in_sight = live.gaps().filter(|gap| f64::from(gap.to_secs) >= from && f64::from(gap.from_secs) <= to);
            for gap in in_sight.take(MAX_MARKS) {
                let range = f64::from(gap.from_secs)..=f64::from(gap.to_secs);
                plot.add(Span::new("", range).fill(warn.soft).border(eframe::egui::Stroke::new(1.0, warn.text)));
            }
            // A gap is a point that is no number, which the plot cannot draw: each stretch between gaps is a line of its own.
            for stretch in drawn.points.split(|point| point.y.is_nan()) {
                plot.line(Line::new(name, PlotPoints::Borrowed(stretch)).color(color).width(2.0));
            }
            let late = Points::new("", PlotPoints::Borrowed(&drawn.late));
            plot.add(late.shape(MarkerShape::Diamond).radius(5.0).color(warn.text));
            plot.add(
                VLine::new("", now.unix_timestamp() as f64).color(palette.border).style(LineStyle::dotted_dense()),
            );
        });
    let response = answer.response.on_hover_cursor(CursorIcon::Grab);
    let response = response.accessible_name(format!("Plot of {name}"));
    widgets::keep_in_sight(&response);
    if response.dragged() && response.rect.width() > 0.0 {
        let share = -f64::from(response.drag_delta().x / response.rect.width());
        shown.pan(now, share);
    }
    if let Some(pointer) = response.hover_pos() {
        let factor = f64::from(ui.input(eframe::egui::InputState::zoom_delta));
        if factor != 1.0 {
            shown.zoom(now, 1.0 / factor, answer.transform.value_from_position(pointer).x);
        }
    }
    if response.double_clicked() || response.hovered() && ui.input(|input| input.key_pressed(Key::Home)) {
        shown.span = None;
    }
}

/// Makes the points of a plot anew when what they are made of has changed.
fn draw(drawn: &mut Drawn, live: &Live, trace: &Trace, (from, to): (f64, f64), width: f32, port: &str, series: usize) {
    let (from_secs, to_secs) = (from.max(0.0) as u32, to.max(0.0) as u32);
    let max_points = (width as usize).max(200) * 2;
    let rows = live.rows();
    let newest = rows.back().map_or(0, |row| row.unix_secs);
    let of = (port.to_owned(), from_secs, to_secs, rows.len(), newest, max_points);
    if drawn.of.as_ref() == Some(&of) {
        return;
    }
    drawn.of = Some(of);
    drawn.points.clear();
    drawn.points.extend(trace.points(from_secs, to_secs, max_points).map(|[secs, value]| PlotPoint::new(secs, value)));
    let first = rows.partition_point(|row| row.unix_secs < from_secs);
    let in_sight = rows.range(first..).take_while(|row| row.unix_secs <= to_secs).filter(|row| row.late);
    let value = |row: &Row| if series == 0 { row.freezer_celsius } else { row.supply_volts };
    drawn.late.clear();
    let marks = in_sight.take(MAX_MARKS).map(|row| PlotPoint::new(f64::from(row.unix_secs), f64::from(value(row))));
    drawn.late.extend(marks);
}

/// Bounds of the values with some room, and not so narrow that noise fills the picture.
fn bounds(trace: &Trace, (from, to): (f64, f64), least: f64) -> (f64, f64) {
    let (low, high) = trace.bounds(from.max(0.0) as u32, to.max(0.0) as u32).unwrap_or((0.0, 0.0));
    let (low, high) = (f64::from(low), f64::from(high));
    let half = ((high - low) * 0.6).max(least / 2.0);
    let middle = (low + high) / 2.0;
    (middle - half, middle + half)
}

/// Marks at whole minutes and hours, some eight over the stretch.
fn clock_marks((from, to): (f64, f64), length: f64) -> Vec<egui_plot::GridMark> {
    const STEPS: [f64; 11] = [5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0];
    let step_size = STEPS.into_iter().find(|step| length / step <= 9.0).unwrap_or(14_400.0);
    marks((from, to), step_size)
}

/// Marks at round values, some four over the height.
fn value_marks((low, high): (f64, f64)) -> Vec<egui_plot::GridMark> {
    const STEPS: [f64; 9] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0];
    let step_size = STEPS.into_iter().find(|step| (high - low) / step <= 5.0).unwrap_or(50.0);
    marks((low, high), step_size)
}

fn marks((from, to): (f64, f64), step_size: f64) -> Vec<egui_plot::GridMark> {
    let first = (from / step_size).ceil() as i64;
    let last = (to / step_size).floor() as i64;
    (first..=last).take(40).map(|number| egui_plot::GridMark { value: number as f64 * step_size, step_size }).collect()
}

fn legend(ui: &mut Ui, live: &Live, (from, to): (f64, f64), is_moved: bool) {
    let gaps = live.gaps().filter(|gap| f64::from(gap.to_secs) >= from && f64::from(gap.from_secs) <= to).count();
    let first = live.rows().partition_point(|row| f64::from(row.unix_secs) < from);
    let seen = live.rows().range(first..).take_while(|row| f64::from(row.unix_secs) <= to);
    let late = seen.filter(|row| row.late).count();
    ui.horizontal_wrapped(|ui| {
        if gaps > 0 {
            chip(ui, Status::Warn, &format!("{}, shaded", text::count(gaps, "gap", "gaps")));
        }
        if late > 0 {
            chip(ui, Status::Stale, &format!("{late} came late, diamonds"));
        }
        let local = crate::ui::open::local_offset();
        let zone = if local.is_utc() { "Times in UTC".to_owned() } else { format!("Times in UTC; here {local}") };
        let moved =
            if is_moved { ". “Now” follows the time again" } else { ". Drag to move, Ctrl and wheel to zoom" };
        note(ui, format!("{zone}{moved}"));
    });
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-27 12:00:00 UTC);

    #[test]
    fn a_stretch_is_zoomed_about_its_place_and_kept_within_a_day() {
        let now_secs = NOW.unix_timestamp() as f64;
        let mut view = LiveView::default();
        view.zoom(NOW, 0.5, now_secs - 300.0);
        assert_eq!(view.span(NOW), (now_secs - 450.0, now_secs - 150.0));
        view.zoom(NOW, 0.0, now_secs - 300.0);
        assert_eq!(view.span(NOW).1 - view.span(NOW).0, SHORTEST_SECS);
        view.zoom(NOW, 1e9, now_secs);
        assert_eq!(view.span(NOW).1 - view.span(NOW).0, LONGEST_SECS);
    }

    #[test]
    fn a_stretch_does_not_move_past_now() {
        let now_secs = NOW.unix_timestamp() as f64;
        let mut view = LiveView::default();
        view.pan(NOW, 0.5);
        assert_eq!(view.span(NOW), (now_secs - 600.0, now_secs));
        view.pan(NOW, -0.5);
        assert_eq!(view.span(NOW), (now_secs - 900.0, now_secs - 300.0));
    }

    #[test]
    fn marks_stand_at_whole_minutes() {
        let marks = clock_marks((61.0, 661.0), 600.0);
        let values: Vec<f64> = marks.iter().map(|mark| mark.value).collect();
        assert_eq!(values, [120.0, 240.0, 360.0, 480.0, 600.0]);
    }
}
