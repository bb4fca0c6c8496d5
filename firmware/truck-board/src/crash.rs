//! What is left to do after a panic: say why on the serial line, then let the watchdog start the board anew.

use core::{
    fmt::{self, Write},
    panic::PanicInfo,
};

use esp_hal::{
    peripherals::UART0,
    time::{Duration, Instant},
};

/// A line that takes no byte for this long is given up.
const BYTE_LIMIT: Duration = Duration::from_millis(10);
/// Bytes that the unit's buffer holds.
const BUFFER_LEN: u16 = 128;

/// The serial line's unit, without the driver that may be in use where the panic struck.
struct RawSerial;

impl RawSerial {
    #[allow(unsafe_code, reason = "any byte is valid in the data register, but its type does not say so")]
    fn put(byte: u8) {
        let started = Instant::now();
        while UART0::regs().status().read().txfifo_cnt().bits() >= BUFFER_LEN {
            if started.elapsed() > BYTE_LIMIT {
                return;
            }
        }
        UART0::regs().fifo().write(|w| unsafe { w.rxfifo_rd_byte().bits(byte) });
    }
}

impl Write for RawSerial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(RawSerial::put);
        Ok(())
    }
}

/// Memory may be what ran out, so there is no frame: the text stands between two zeros, where the tool passes over it
/// and a terminal shows it.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // The text of a panic is made by the code that failed and never holds data of a request.
    let _ = write!(RawSerial, "\0\r\n{info}\r\n\0");
    loop {
        core::hint::spin_loop();
    }
}
