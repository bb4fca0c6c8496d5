//! The pin map: which pin and which unit of the chip does what. `firmware/README.md` has the connector and the parts.
//!
//! Left alone: GPIO2 and GPIO8 (strapping, pulled up on the board), GPIO10 (free), GPIO11 to GPIO17 (flash memory),
//! GPIO18 and GPIO19 (USB).

use esp_hal::peripherals as chip;

/// Sensors and lights.
pub struct SensorWiring {
    /// Supply voltage behind the divider, ADC1 channel 0.
    pub supply: chip::GPIO0<'static>,
    /// Door switch to ground; pulled up.
    pub door: chip::GPIO1<'static>,
    /// Data line of the temperature probes; pulled up.
    pub probes: chip::GPIO3<'static>,
    /// What the position receiver sends.
    pub receiver_rx: chip::GPIO4<'static>,
    /// Green light, on when high.
    pub green: chip::GPIO5<'static>,
    /// Amber light, on when high.
    pub amber: chip::GPIO6<'static>,
    /// Red light, on when high.
    pub red: chip::GPIO7<'static>,
    /// Unit of the position receiver.
    pub receiver_uart: chip::UART1<'static>,
    /// The converter that measures the supply and makes noise for random numbers.
    pub adc: chip::ADC1<'static>,
    /// The random number generator.
    pub rng: chip::RNG<'static>,
}

/// The two ways to the tool.
pub struct LinkWiring {
    /// Serial line from the tool.
    pub rx: chip::GPIO20<'static>,
    /// Serial line to the tool.
    pub tx: chip::GPIO21<'static>,
    /// Unit of the serial line.
    pub uart: chip::UART0<'static>,
    /// The chip's own USB connection.
    pub usb: chip::USB_DEVICE<'static>,
}

/// What makes two threads of one processor.
pub struct ThreadWiring {
    /// The timer that ends waits.
    pub timer: chip::SYSTIMER<'static>,
    /// The interrupt that changes threads.
    pub switch: chip::FROM_CPU_INTR0<'static>,
}

/// Everything of the chip that the firmware uses.
pub struct Wiring {
    /// Sensors and lights.
    pub sensors: SensorWiring,
    /// The two ways to the tool.
    pub link: LinkWiring,
    /// What makes two threads of one processor.
    pub threads: ThreadWiring,
    /// Button to ground; held during a reset it selects the ROM loader.
    pub button: chip::GPIO9<'static>,
    /// The radio.
    pub wifi: chip::WIFI<'static>,
    /// The flash memory.
    pub flash: chip::FLASH<'static>,
    /// What computes the digest of the app image.
    pub sha: chip::SHA<'static>,
    /// The watchdog's timer.
    pub rtc_timer: chip::RTC_TIMER<'static>,
}

impl Wiring {
    /// Takes what is used from the chip.
    pub fn new(chip: chip::Peripherals) -> Self {
        Wiring {
            sensors: SensorWiring {
                supply: chip.GPIO0,
                door: chip.GPIO1,
                probes: chip.GPIO3,
                receiver_rx: chip.GPIO4,
                green: chip.GPIO5,
                amber: chip.GPIO6,
                red: chip.GPIO7,
                receiver_uart: chip.UART1,
                adc: chip.ADC1,
                rng: chip.RNG,
            },
            link: LinkWiring { rx: chip.GPIO20, tx: chip.GPIO21, uart: chip.UART0, usb: chip.USB_DEVICE },
            threads: ThreadWiring { timer: chip.SYSTIMER, switch: chip.FROM_CPU_INTR0 },
            button: chip.GPIO9,
            wifi: chip.WIFI,
            flash: chip.FLASH,
            sha: chip.SHA,
            rtc_timer: chip.RTC_TIMER,
        }
    }
}
