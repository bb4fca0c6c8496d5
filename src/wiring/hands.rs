//! Hands on the trucks of the sandbox, for the window of the demo.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    app::truck::{Handling, ProbeSpot, TruckHands, TruckView},
    sandbox::{
        Sandbox,
        board::{BoardControl, DoorSwitch, Probe, ProbePlace, ProbeWire},
    },
};

/// Temperature of a hand around a probe, °C.
const HAND_CELSIUS: f64 = 33.0;

/// Hands on every board of a sandbox.
pub struct SandboxHands {
    trucks: BTreeMap<String, Truck>,
}

struct Truck {
    control: BoardControl,
    held: Mutex<Held>,
}

/// How the hands left a truck.
#[derive(Clone, Copy)]
struct Held {
    probes: ProbeSpot,
    probe_plugged: bool,
    supply_volts: Option<f64>,
    switch_stuck: bool,
    usb_plugged: bool,
}

impl SandboxHands {
    /// Hands on the boards of this sandbox.
    pub fn of(sandbox: &Sandbox) -> Self {
        let held = Held {
            probes: ProbeSpot::Fitted,
            probe_plugged: true,
            supply_volts: None,
            switch_stuck: false,
            usb_plugged: true,
        };
        let truck = |control| Truck { control, held: Mutex::new(held) };
        let boards = sandbox.boards().iter();
        SandboxHands {
            trucks: boards.map(|board| (board.port().display().to_string(), truck(board.control()))).collect(),
        }
    }
}

impl TruckHands for SandboxHands {
    fn handle(&self, port: &str, handling: Handling) {
        let Some(truck) = self.trucks.get(port) else { return };
        let mut held = truck.held.lock().unwrap_or_else(PoisonError::into_inner);
        let control = &truck.control;
        match handling {
            Handling::Door { open: true } => control.open_door(),
            Handling::Door { open: false } => control.close_door(),
            Handling::Probes(spot) => {
                let (freezer, outside) = places(spot);
                control.place_probe(ProbePlace::Freezer, freezer);
                control.place_probe(ProbePlace::Outside, outside);
                held.probes = spot;
            }
            Handling::FreezerProbe { plugged } => {
                let wire = if plugged { ProbeWire::Intact } else { ProbeWire::Broken };
                control.set_probe_wire(ProbePlace::Freezer, wire);
                held.probe_plugged = plugged;
            }
            Handling::Supply { volts } => {
                control.set_supply_volts(volts);
                held.supply_volts = volts;
            }
            Handling::DoorSwitch { stuck } => {
                control.set_door_switch(if stuck { DoorSwitch::StuckClosed } else { DoorSwitch::Working });
                held.switch_stuck = stuck;
            }
            Handling::Usb { plugged } => {
                if plugged {
                    control.plug();
                } else {
                    control.unplug();
                }
                held.usb_plugged = plugged;
            }
        }
    }

    fn look(&self, port: &str) -> Option<TruckView> {
        let truck = self.trucks.get(port)?;
        let held = *truck.held.lock().unwrap_or_else(PoisonError::into_inner);
        let truth = truck.control.true_values();
        Some(TruckView {
            thermometer_celsius: truth.freezer_celsius,
            multimeter_volts: truth.supply_volts,
            door_open: truth.door_open,
            switch_stuck: held.switch_stuck,
            probes: held.probes,
            probe_plugged: held.probe_plugged,
            supply_volts: held.supply_volts,
            usb_plugged: held.usb_plugged,
        })
    }
}

/// Where the freezer's and the other probe are.
fn places(spot: ProbeSpot) -> (Probe, Probe) {
    let both = |celsius| (Probe::InBath(celsius), Probe::InBath(celsius));
    match spot {
        ProbeSpot::Fitted => (Probe::Fitted, Probe::Fitted),
        ProbeSpot::Hand => (Probe::InBath(HAND_CELSIUS), Probe::Fitted),
        ProbeSpot::IceBath => both(0.0),
        ProbeSpot::BrineBath => both(-18.0),
        ProbeSpot::WarmBath => both(25.0),
    }
}
