//! The readings of a board as they arrive.

use eframe::egui::{Ui, vec2};
use egui_plot::{Line, Plot, PlotPoint, PlotPoints};
use time::OffsetDateTime;

use crate::{
    app::{
        command::Command,
        live::{Light, Live, Path},
        proof::ProofState,
        state::AppState,
        trace::Trace,
    },
    ui::{
        icons::Icon,
        text,
        theme::Themed,
        tokens::Type,
        view::{Action, Bar, Deed, Place, View},
        widgets::{self, Lamp, Status, Tile, card, chip, code_drawer, key_value, lamps, say, tabs},
    },
};

/// Stretches that can be shown.
const STRETCHES: [(u32, &str); 4] = [(0, "10 min"), (60, "1 h"), (360, "6 h"), (1440, "24 h")];

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
    let live = view.live(state).filter(|live| live.last().is_some());
    let Some((live, last)) = live.and_then(|live| Some((live, live.last()?))) else {
        widgets::empty(
            ui,
            Icon::Activity,
            "No reading yet",
            "A board measures every 5 seconds once its firmware runs",
            None,
        );
        return;
    };
    let now = OffsetDateTime::now_utc();
    head(ui, live, now);
    tiles(ui, live, now);
    tabs(ui, &mut view.minutes, &STRETCHES);
    let minutes = if view.minutes == 0 { 10 } else { view.minutes };
    plot(ui, "Freezer, °C", live.freezer(), now, minutes, 0);
    plot(ui, "Supply, V", live.supply(), now, minutes, 1);
    card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        key_value(ui, "Measured", &text::utc(last.measured()));
        for (path, name) in [(Path::Usb, "Over USB"), (Path::Mqtt, "Over MQTT")] {
            let latency = live
                .latency(path)
                .map_or(text::NO_VALUE.to_owned(), |late| format!("{} ms", late.whole_milliseconds()));
            key_value(
                ui,
                name,
                &format!(
                    "{}, {latency} after measuring",
                    text::count(live.count(path) as usize, "reading", "readings")
                ),
            );
        }
        code_drawer(ui, "Payload as sent", &String::from_utf8_lossy(&last.payload));
    });
}

fn board_tabs(ui: &mut Ui, state: &AppState, view: &mut View) {
    if state.stations.len() < 2 {
        return;
    }
    let Some(chosen) = view.station(state).map(|station| station.port.port.clone()) else { return };
    let ports: Vec<&str> = state.stations.keys().map(String::as_str).collect();
    let mut open = ports.iter().position(|port| *port == chosen).unwrap_or(0);
    let names: Vec<(usize, &str)> = ports.iter().copied().enumerate().collect();
    if tabs(ui, &mut open, &names) {
        view.port = ports.get(open).map(|port| (*port).to_owned());
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
            ui.set_min_width(360.0);
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
    let door = if reading.door_open == Some(true) { "Open" } else { "Closed" };
    let openings = text::count(reading.door_openings as usize, "opening", "openings");
    let all = [
        ("Freezer", text::number(reading.freezer_celsius, 1), "°C", abnormal("freezer"), String::new()),
        (
            "Supply",
            text::number(reading.supply_volts, 1),
            "V",
            abnormal("supply"),
            format!("Lowest {}", text::volts(reading.supply_min_volts)),
        ),
        ("Door", door.to_owned(), "", stale, format!("{openings} since the last reading")),
        ("Outside", text::number(reading.outside_celsius, 1), "°C", abnormal("outside"), String::new()),
    ];
    let columns = if ui.available_width() > 1000.0 { 4.0 } else { 2.0 };
    let width = (ui.available_width() - (columns - 1.0) * 16.0) / columns;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(16.0, 16.0);
        for (name, value, unit, abnormal, below) in all {
            Tile { name, value, unit, abnormal, below }.show(ui, width);
        }
    });
}

fn plot(ui: &mut Ui, name: &str, trace: &Trace, now: OffsetDateTime, minutes: u32, series: usize) {
    say(ui, Type::Label, name);
    let to_secs = u32::try_from(now.unix_timestamp()).unwrap_or(u32::MAX);
    let from_secs = to_secs.saturating_sub(minutes * 60);
    let max_points = (ui.available_width() as usize).max(200) * 2;
    let points = trace.points(from_secs, to_secs, max_points);
    // Minutes before now: near zero, so that nothing is lost to rounding.
    let points: Vec<PlotPoint> =
        points.map(|[secs, value]| PlotPoint::new((secs - f64::from(to_secs)) / 60.0, value)).collect();
    let color = ui.palette().series[series];
    let response = Plot::new(name)
        .height(170.0)
        .allow_scroll(false)
        .default_x_bounds(-f64::from(minutes), 0.0)
        .show_background(false)
        .x_axis_formatter(|mark, _| format!("{:.0} min", mark.value))
        .show(ui, |plot| {
            // A gap is no number, which a line cannot hold: each stretch between gaps is a line of its own.
            for stretch in points.split(|point| point.y.is_nan()) {
                plot.line(Line::new(name.to_owned(), PlotPoints::Borrowed(stretch)).color(color).width(2.0));
            }
        });
    response.response.accessible_name(format!("Plot of {name}"));
}
