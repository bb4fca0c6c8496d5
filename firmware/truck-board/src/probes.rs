//! The data line of the temperature probes: when it goes low and for how long.
//!
//! Times are those of the DS18B20's data sheet at standard speed. Interrupts are held off only where a late edge would
//! change a bit, at most 70 µs at a time, so that the serial line loses nothing.

use coldbench_sensor::one_wire::{Line, Presence};
use esp_hal::{
    delay::Delay,
    gpio::{DriveMode, Flex, InputConfig, OutputConfig, Pin, Pull},
    ram,
};

/// The line must be high this long after everybody let go; a long cable charges slowly.
const RISE_MICROS: u32 = 50;
const RESET_LOW_MICROS: u32 = 480;
const PRESENCE_MICROS: u32 = 70;
const RESET_REST_MICROS: u32 = 410;

/// The line, driven as open drain.
pub struct ProbeLine {
    pin: Flex<'static>,
    delay: Delay,
}

impl ProbeLine {
    /// Lets go of the line. The chip's own pull-up keeps an open line high; probes need the stronger one outside.
    pub fn new(pin: impl Pin + 'static) -> Self {
        let mut pin = Flex::new(pin);
        pin.set_high();
        pin.apply_output_config(&OutputConfig::default().with_drive_mode(DriveMode::OpenDrain).with_pull(Pull::Up));
        pin.apply_input_config(&InputConfig::default().with_pull(Pull::Up));
        pin.set_output_enable(true);
        pin.set_input_enable(true);
        ProbeLine { pin, delay: Delay::new() }
    }
}

impl Line for ProbeLine {
    fn reset(&mut self) -> Presence {
        self.pin.set_high();
        self.delay.delay_micros(RISE_MICROS);
        if self.pin.is_low() {
            return Presence::Shorted;
        }
        self.pin.set_low();
        self.delay.delay_micros(RESET_LOW_MICROS);
        let answered = critical_section::with(|_| {
            self.pin.set_high();
            self.delay.delay_micros(PRESENCE_MICROS);
            self.pin.is_low()
        });
        self.delay.delay_micros(RESET_REST_MICROS);
        match (answered, self.pin.is_low()) {
            (_, true) => Presence::Shorted,
            (true, false) => Presence::Probes,
            (false, false) => Presence::Nobody,
        }
    }

    #[ram]
    fn write_bit(&mut self, bit: bool) {
        let (low_micros, high_micros) = if bit { (6, 64) } else { (60, 10) };
        critical_section::with(|_| {
            self.pin.set_low();
            self.delay.delay_micros(low_micros);
            self.pin.set_high();
        });
        self.delay.delay_micros(high_micros);
    }

    #[ram]
    fn read_bit(&mut self) -> bool {
        let high = critical_section::with(|_| {
            self.pin.set_low();
            self.delay.delay_micros(3);
            self.pin.set_high();
            self.delay.delay_micros(9);
            self.pin.is_high()
        });
        self.delay.delay_micros(55);
        high
    }
}
