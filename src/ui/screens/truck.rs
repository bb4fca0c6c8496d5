//! The imitated truck of the demo, beside the screen: its instruments, and what a hand can do to it.

use eframe::egui::Ui;

use crate::{
    app::{
        command::Command,
        state::AppState,
        truck::{Handling, MULTIMETER_SERIAL, ProbeSpot, THERMOMETER_SERIAL, TruckView},
    },
    ui::{
        icons::Icon,
        text,
        tokens::Type,
        view::View,
        widgets::{Button, note, say},
    },
};

/// Voltage of a truck whose engine charges the battery, V.
const CHARGING_VOLTS: f64 = 14.4;

/// The port whose truck a hand is needed at: the chosen board's from its job's first question on, else one without its
/// plug.
pub fn port<'a>(state: &'a AppState, view: &View) -> Option<&'a str> {
    let asks = view.station(state).filter(|station| station.is_busy());
    let asks = asks.and_then(|station| state.trucks.get_key_value(&station.port.port));
    let unplugged = || state.trucks.iter().find(|(_, truck)| !truck.usb_plugged);
    asks.or_else(unplugged).map(|(port, _)| port.as_str())
}

pub fn show(ui: &mut Ui, port: &str, truck: &TruckView, view: &mut View) {
    ui.add_space(8.0);
    ui.separator();
    say(ui, Type::H3, "Imitated truck");
    if !truck.usb_plugged {
        note(ui, "The board's USB plug is out");
        hand(ui, view, port, "Plug it in again", Icon::Usb, Handling::Usb { plugged: true });
        return;
    }
    instrument(ui, &format!("Thermometer {THERMOMETER_SERIAL}"), truck.thermometer_celsius, "°C");
    instrument(ui, &format!("Multimeter {MULTIMETER_SERIAL}"), truck.multimeter_volts, "V");

    note(ui, where_words(truck.probes));
    for row in [
        &[(ProbeSpot::Hand, "In the hand"), (ProbeSpot::Fitted, "Let go")][..],
        &[(ProbeSpot::BrineBath, "Cold brine"), (ProbeSpot::IceBath, "Ice bath")],
        &[(ProbeSpot::WarmBath, "Warm bath")],
    ] {
        ui.horizontal(|ui| {
            for (spot, words) in row {
                let button = Button::secondary(words).enabled(*spot != truck.probes);
                if ui.add(button).clicked() {
                    handle(view, port, Handling::Probes(*spot));
                }
            }
        });
    }
    note(ui, if truck.door_open { "The door is open" } else { "The door is closed" });
    match truck.door_open {
        true => hand(ui, view, port, "Close door", Icon::DoorClosed, Handling::Door { open: false }),
        false => hand(ui, view, port, "Open door", Icon::DoorOpen, Handling::Door { open: true }),
    }
    note(ui, if truck.supply_volts.is_some() { "The engine charges" } else { "The engine is off" });
    match truck.supply_volts {
        Some(_) => hand(ui, view, port, "Engine off", Icon::Zap, Handling::Supply { volts: None }),
        None => hand(ui, view, port, "Engine on", Icon::Zap, Handling::Supply { volts: Some(CHARGING_VOLTS) }),
    }
    ui.collapsing("Make trouble", |ui| {
        let plugged = !truck.probe_plugged;
        let words = if plugged { "Put the probe back" } else { "Pull the probe" };
        hand(ui, view, port, words, Icon::Unplug, Handling::FreezerProbe { plugged });
        let stuck = !truck.switch_stuck;
        let words = if stuck { "Stick the switch" } else { "Mend the switch" };
        hand(ui, view, port, words, Icon::Wrench, Handling::DoorSwitch { stuck });
        hand(ui, view, port, "Unplug USB", Icon::Usb, Handling::Usb { plugged: false });
    });
}

fn instrument(ui: &mut Ui, name: &str, value: f64, unit: &str) {
    note(ui, format!("{name}: {} {unit}", text::number(Some(value), 2)));
}

fn where_words(spot: ProbeSpot) -> &'static str {
    match spot {
        ProbeSpot::Fitted => "The probes are at their places",
        ProbeSpot::Hand => "The freezer's probe is in your hand",
        ProbeSpot::IceBath => "Both probes are in ice and water",
        ProbeSpot::BrineBath => "Both probes are in cold brine",
        ProbeSpot::WarmBath => "Both probes are in warm water",
    }
}

fn hand(ui: &mut Ui, view: &mut View, port: &str, words: &str, icon: Icon, handling: Handling) {
    if ui.add(Button::secondary(words).icon(icon)).clicked() {
        handle(view, port, handling);
    }
}

fn handle(view: &mut View, port: &str, handling: Handling) {
    view.order(Command::HandleTruck { port: port.to_owned(), handling });
}
