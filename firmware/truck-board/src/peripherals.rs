//! The board's sensors and lights, as its logic sees them.

use alloc::vec::Vec;

use coldbench_protocol::{Position, ProbeRom};
use coldbench_sensor::{
    hardware::{BoardFacts, Light, Peripherals},
    one_wire,
    position::Receiver,
};
use esp_hal::{
    Blocking,
    gpio::{Input, InputConfig, Level, Output, OutputConfig, Pull},
    time::Instant,
    uart::{Config, UartRx},
};

use crate::{analog::Analog, probes::ProbeLine, wiring::SensorWiring};

/// Rate of nearly every position receiver as it comes.
const RECEIVER_BAUD: u32 = 9600;

/// Sensors, lights and facts of this board.
pub struct TruckPeripherals {
    door: Input<'static>,
    analog: Analog,
    probes: ProbeLine,
    /// `None` when the unit could not be set up; then there is no position.
    receiver_line: Option<UartRx<'static, Blocking>>,
    receiver: Receiver,
    lights: Lights,
    facts: BoardFacts,
}

impl TruckPeripherals {
    /// Sets the units up. Nothing is measured yet.
    pub fn new(wiring: SensorWiring, facts: BoardFacts) -> Self {
        let receiver_line = UartRx::new(wiring.receiver_uart, Config::default().with_baudrate(RECEIVER_BAUD))
            .ok()
            .map(|line| line.with_rx(wiring.receiver_rx));
        TruckPeripherals {
            door: Input::new(wiring.door, InputConfig::default().with_pull(Pull::Up)),
            analog: Analog::new(wiring.adc, wiring.supply, wiring.rng),
            probes: ProbeLine::new(wiring.probes),
            receiver_line,
            receiver: Receiver::new(),
            lights: Lights::new([light(wiring.green), light(wiring.amber), light(wiring.red)]),
            facts,
        }
    }

    /// Empties the receiver's buffer of 128 bytes; called often enough that it does not run over.
    pub fn listen_to_receiver(&mut self) {
        let mut bytes = [0; 64];
        while let Some(Ok(count @ 1..)) = self.receiver_line.as_mut().map(|line| line.read_buffered(&mut bytes)) {
            let uptime_millis = self.uptime_millis();
            self.receiver.push(bytes.get(..count).unwrap_or_default(), uptime_millis);
        }
    }
}

impl Peripherals for TruckPeripherals {
    fn uptime_millis(&mut self) -> u64 {
        Instant::now().duration_since_epoch().as_millis()
    }

    fn door_high(&mut self) -> bool {
        self.door.is_high()
    }

    fn supply_volts(&mut self) -> Option<f32> {
        self.analog.supply_volts()
    }

    fn search_probes(&mut self) -> Vec<ProbeRom> {
        one_wire::search(&mut self.probes)
    }

    fn start_conversion(&mut self) {
        one_wire::start_conversion(&mut self.probes);
    }

    fn scratchpad(&mut self, probe: ProbeRom) -> Option<[u8; 9]> {
        one_wire::scratchpad(&mut self.probes, probe)
    }

    fn position(&mut self) -> Option<Position> {
        let uptime_millis = self.uptime_millis();
        self.receiver.position(uptime_millis)
    }

    fn set_light(&mut self, light: Light) {
        self.lights.show(light);
    }

    fn fill_random(&mut self, bytes: &mut [u8]) {
        self.analog.fill_random(bytes);
    }

    fn facts(&self) -> BoardFacts {
        self.facts.clone()
    }
}

/// The driver's traffic light: one of three is on.
struct Lights([Output<'static>; 3]);

impl Lights {
    fn new(green_amber_red: [Output<'static>; 3]) -> Self {
        Lights(green_amber_red)
    }

    fn show(&mut self, light: Light) {
        let [green, amber, red] = &mut self.0;
        for (pin, shown) in [(green, Light::Green), (amber, Light::Amber), (red, Light::Red)] {
            pin.set_level(if light == shown { Level::High } else { Level::Low });
        }
    }
}

fn light(pin: impl esp_hal::gpio::OutputPin + 'static) -> Output<'static> {
    Output::new(pin, Level::Low, OutputConfig::default())
}
