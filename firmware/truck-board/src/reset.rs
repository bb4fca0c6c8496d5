//! Why the board started, how it starts anew, and what watches over it.

use esp_hal::{
    gpio::{Input, InputConfig, Pull},
    peripherals::{GPIO9, LPWR, RTC_TIMER},
    rtc_cntl::{Rtc, RwdtStage, SocResetReason},
    system,
    time::{Duration, Instant},
};

/// A main loop that takes longer than this hangs. The longest step is making a key, about a second.
const WATCHDOG_LIMIT: Duration = Duration::from_secs(8);

/// How long the button is held to erase the credentials.
const ERASE_HOLD: Duration = Duration::from_secs(10);

/// Resets the chip when it is not fed.
pub struct Watchdog(Rtc<'static>);

impl Watchdog {
    /// Starts to watch.
    pub fn new(timer: RTC_TIMER<'static>) -> Self {
        let mut rtc = Rtc::new(timer);
        rtc.rwdt.set_timeout(RwdtStage::Stage0, WATCHDOG_LIMIT);
        rtc.rwdt.enable();
        Watchdog(rtc)
    }

    /// All is well for another while.
    pub fn feed(&mut self) {
        self.0.rwdt.feed();
    }
}

/// The button that erases the credentials when it is held.
pub struct Button {
    pin: Input<'static>,
    held_since: Option<Instant>,
}

impl Button {
    /// The button to ground at this pin.
    pub fn new(pin: GPIO9<'static>) -> Self {
        Button { pin: Input::new(pin, InputConfig::default().with_pull(Pull::Up)), held_since: None }
    }

    /// `true` once after the button was held for ten seconds without a break.
    pub fn was_held(&mut self) -> bool {
        if self.pin.is_high() {
            self.held_since = None;
            return false;
        }
        let since = *self.held_since.get_or_insert_with(Instant::now);
        // While it is held on, the time runs from here again.
        let held = since.elapsed() >= ERASE_HOLD;
        if held {
            self.held_since = Some(Instant::now());
        }
        held
    }
}

/// From now on a supply that sags below the detector's threshold resets the system, flash memory and radio first, so
/// that nothing is written with too little voltage. A reset of the system and not of the whole chip, because only that
/// one says afterwards why it was.
pub fn watch_supply() {
    LPWR::regs().brown_out().modify(|_, w| {
        w.brown_out_close_flash_ena().set_bit();
        w.brown_out_pd_rf_ena().set_bit();
        w.brown_out_rst_sel().clear_bit();
        w.brown_out_rst_ena().set_bit();
        w.brown_out_ena().set_bit()
    });
}

/// Why the board started, in the words of the protocol.
pub fn reason() -> &'static str {
    use SocResetReason as Reason;
    match system::reset_reason() {
        Some(Reason::ChipPowerOn) => "power-on",
        Some(Reason::CoreSw | Reason::Cpu0Sw) => "software",
        Some(
            Reason::CoreMwdt0
            | Reason::CoreMwdt1
            | Reason::CoreRtcWdt
            | Reason::Cpu0Mwdt0
            | Reason::Cpu0Mwdt1
            | Reason::Cpu0RtcWdt
            | Reason::SysRtcWdt
            | Reason::SysSuperWdt,
        ) => "watchdog",
        Some(Reason::SysBrownOut | Reason::CorePwrGlitch) => "brown-out",
        _ => "unknown",
    }
}

/// Starts anew.
pub fn reboot() -> ! {
    system::software_reset()
}

/// Starts the ROM loader. The flag outlives the reset, so the loader's user has to clear it, or pull the reset line,
/// before the firmware starts again.
pub fn reboot_to_loader() -> ! {
    LPWR::regs().option1().modify(|_, w| w.force_download_boot().set_bit());
    system::software_reset()
}
