//! A hand on an imitated truck: what the demo has where a bench has a door, probes, a supply and a plug.
//!
//! It stands beside the job and never in it. A job learns of it as it does of a real truck: by the board's sensors.

/// Hands on the imitated trucks; a real bench has none. No call waits.
pub trait TruckHands: Send + Sync {
    /// Does something to the truck of the board at a port. Without an imitated truck there, nothing happens.
    fn handle(&self, port: &str, handling: Handling);
    /// What a person sees there; `None` where there is no imitated truck.
    fn look(&self, port: &str) -> Option<TruckView>;
}

/// What a hand can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Handling {
    /// Opens or closes the freezer's door.
    Door {
        /// It is to be open.
        open: bool,
    },
    /// Puts the probes somewhere.
    Probes(ProbeSpot),
    /// Pulls the freezer's probe off its plug, or puts it back.
    FreezerProbe {
        /// It is to be plugged.
        plugged: bool,
    },
    /// Connects a bench supply of this voltage, V; the battery again with `None`.
    Supply {
        /// Its voltage, V.
        volts: Option<f64>,
    },
    /// Lets the door's switch stick at "closed", or mends it.
    DoorSwitch {
        /// It is to stick.
        stuck: bool,
    },
    /// Pulls the USB plug, or plugs it in.
    Usb {
        /// It is to be plugged.
        plugged: bool,
    },
}

/// Where the probes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeSpot {
    /// At their places in the truck.
    #[default]
    Fitted,
    /// The freezer's probe in a hand, the other at its place.
    Hand,
    /// Both in crushed ice and water, 0 °C.
    IceBath,
    /// Both in cold brine, −18 °C.
    BrineBath,
    /// Both in warm water, 25 °C.
    WarmBath,
}

/// What a person sees of an imitated truck.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TruckView {
    /// What the reference thermometer beside the freezer's probe shows, °C.
    pub thermometer_celsius: f64,
    /// What the multimeter at the freezer unit shows, V.
    pub multimeter_volts: f64,
    /// The door is open.
    pub door_open: bool,
    /// The door's switch sticks.
    pub switch_stuck: bool,
    /// Where the probes are.
    pub probes: ProbeSpot,
    /// The freezer's probe is on its plug.
    pub probe_plugged: bool,
    /// Voltage of the bench supply, V; `None` for the battery.
    pub supply_volts: Option<f64>,
    /// The USB plug is in.
    pub usb_plugged: bool,
}

/// What is written on the instruments of the demo.
pub const THERMOMETER_SERIAL: &str = "RT-114";
/// And on its multimeter.
pub const MULTIMETER_SERIAL: &str = "DM-7";
