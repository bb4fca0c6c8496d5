//! The two ways to the tool as byte streams: the serial line and the chip's own USB connection.

use alloc::collections::VecDeque;
use core::cell::RefCell;

use coldbench_protocol::LINE_RATES;
use critical_section::Mutex;
use esp_hal::{
    Blocking, handler,
    peripherals::{GPIO20, GPIO21, UART0, USB_DEVICE},
    uart::{Config, ConfigError, RxConfig, Uart, UartInterrupt},
    usb::usb_serial_jtag::UsbSerialJtag,
};

/// Rate at which the serial line starts.
const BAUD: u32 = LINE_RATES[0];
/// Bytes after which the unit interrupts; its own buffer has 128.
const FULL_THRESHOLD: u16 = 64;
/// Bytes kept between two rounds of the main loop: one whole frame.
const RECEIVED_LEN: usize = coldbench_protocol::frame::MAX_FRAME_LEN;

/// Bytes in and out, without waiting.
pub trait Wire {
    /// Takes what has arrived, as much as fits; returns how many bytes.
    fn receive(&mut self, bytes: &mut [u8]) -> usize;

    /// Sends as much as the hardware takes now; returns how many bytes.
    fn send(&mut self, bytes: &[u8]) -> usize;

    /// Whether the last byte has left.
    fn is_idle(&mut self) -> bool;

    /// Speaks at this rate in baud from now on, or at the usual one. Means nothing where there is no rate.
    fn set_rate(&mut self, _baud: Option<u32>) {}
}

/// The serial line and what it has received; shared with the interrupt, because reading a probe takes longer than the
/// unit's own buffer lasts.
static SERIAL: Mutex<RefCell<Option<SerialState>>> = Mutex::new(RefCell::new(None));

struct SerialState {
    uart: Uart<'static, Blocking>,
    received: VecDeque<u8>,
}

impl SerialState {
    /// Moves what the unit holds. What does not fit is lost; the frame's checksum shows it.
    fn take_in(&mut self) {
        let mut bytes = [0; 64];
        while let Ok(count @ 1..) = self.uart.read_buffered(&mut bytes) {
            let room = RECEIVED_LEN - self.received.len();
            self.received.extend(bytes.iter().take(count.min(room)));
        }
    }
}

#[handler]
fn on_serial() {
    critical_section::with(|section| {
        if let Some(serial) = SERIAL.borrow_ref_mut(section).as_mut() {
            serial.take_in();
            serial.uart.clear_interrupts(UartInterrupt::RxFifoFull | UartInterrupt::RxTimeout);
        }
    });
}

/// The serial line on UART0.
pub struct SerialWire(());

impl SerialWire {
    /// Sets the unit up.
    ///
    /// # Errors
    /// The unit cannot make the rate.
    pub fn new(uart: UART0<'static>, rx: GPIO20<'static>, tx: GPIO21<'static>) -> Result<Self, ConfigError> {
        let mut uart = Uart::new(uart, config(BAUD))?.with_rx(rx).with_tx(tx);
        uart.set_interrupt_handler(on_serial);
        uart.listen(UartInterrupt::RxFifoFull | UartInterrupt::RxTimeout);
        let state = SerialState { uart, received: VecDeque::with_capacity(RECEIVED_LEN) };
        critical_section::with(|section| SERIAL.borrow_ref_mut(section).replace(state));
        Ok(SerialWire(()))
    }

    fn with<R: Default>(&mut self, action: impl FnOnce(&mut SerialState) -> R) -> R {
        critical_section::with(|section| SERIAL.borrow_ref_mut(section).as_mut().map(action).unwrap_or_default())
    }
}

impl Wire for SerialWire {
    fn receive(&mut self, bytes: &mut [u8]) -> usize {
        self.with(|serial| {
            serial.take_in();
            let count = serial.received.len().min(bytes.len());
            for (byte, received) in bytes.iter_mut().zip(serial.received.drain(..count)) {
                *byte = received;
            }
            count
        })
    }

    fn send(&mut self, bytes: &[u8]) -> usize {
        self.with(|serial| if serial.uart.write_ready() { serial.uart.write(bytes).unwrap_or_default() } else { 0 })
    }

    fn is_idle(&mut self) -> bool {
        self.with(|serial| {
            // The unit's buffer has 128 bytes: this wait is 11 ms at most.
            serial.uart.flush().is_ok()
        })
    }

    fn set_rate(&mut self, baud: Option<u32>) {
        self.with(|serial| {
            // A rate that the unit cannot make leaves the old one; the tool goes back to it too.
            let _ = serial.uart.apply_config(&config(baud.unwrap_or(BAUD)));
            serial.received.clear();
        });
    }
}

fn config(baud: u32) -> Config {
    Config::default().with_baudrate(baud).with_rx(RxConfig::default().with_fifo_full_threshold(FULL_THRESHOLD))
}

/// The chip's own USB connection.
pub struct UsbWire(UsbSerialJtag<'static, Blocking>);

impl UsbWire {
    /// Sets the unit up.
    pub fn new(usb: USB_DEVICE<'static>) -> Self {
        UsbWire(UsbSerialJtag::new(usb))
    }
}

impl Wire for UsbWire {
    fn receive(&mut self, bytes: &mut [u8]) -> usize {
        // The host waits while the unit's buffer is full, so nothing is lost.
        bytes.iter_mut().map_while(|byte| self.0.read_byte().ok().map(|received| *byte = received)).count()
    }

    fn send(&mut self, bytes: &[u8]) -> usize {
        let sent = bytes.iter().map_while(|byte| self.0.write_byte_nb(*byte).ok()).count();
        if sent > 0 {
            // Hands the packet over to the host; whether it takes it shows next time.
            let _ = self.0.flush_tx_nb();
        }
        sent
    }

    fn is_idle(&mut self) -> bool {
        self.0.flush_tx_nb().is_ok()
    }
}
