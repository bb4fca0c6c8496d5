//! The board's main thread: power, reset, loader or app, orders and faults.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    BoardFault, BoardOptions,
    app::{App, BoardIdentity, Next},
    boot,
    chip::Chip,
    control::{Activity, Order, Shared},
    flash::Flash,
    line::{Heard, Line},
    network::Network,
    rom::{self, Loader, Outcome, RESET_BAUD},
    seed::Seeded,
};

/// How often the app's main loop turns.
const APP_TURN: Duration = Duration::from_millis(10);
/// How long the loader waits for bytes before it looks for orders.
const LOADER_WAIT: Duration = Duration::from_millis(50);
/// How long a board without power or with a broken line waits.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// How long a client may leave the loader's answers in its buffer.
const LOADER_PATIENCE: Duration = Duration::from_secs(2);
/// How long a client may leave the app's frames there; longer, and sampling would stand still.
const APP_PATIENCE: Duration = Duration::from_millis(100);
/// Most bytes of noise at once.
const MAX_GARBAGE: usize = 64 * 1024;

/// Why the board starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reset {
    PowerOn,
    Software,
    Watchdog,
}

impl Reset {
    /// As the ROM prints it, and as the hello says it.
    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Reset::PowerOn => ("0x1 (POWERON)", "power-on"),
            Reset::Software => ("0x3 (RTC_SW_SYS_RST)", "software"),
            Reset::Watchdog => ("0x10 (RTCWDT_RTC_RST)", "watchdog"),
        }
    }
}

enum State {
    Unpowered,
    Loader { loader: Box<Loader>, decoder: rom::Decoder },
    App(Box<App>),
}

/// The whole board.
pub(super) struct Machine {
    state: State,
    line: Line,
    flash: Arc<Flash>,
    shared: Arc<Shared>,
    network: Network,
    identity: BoardIdentity,
    faults: Vec<BoardFault>,
    heard_bytes: u64,
    hung_until: Option<Instant>,
    plug_at: Option<Instant>,
    noise: Seeded,
    fail_next_write: bool,
    silent_erase: bool,
}

impl Machine {
    pub(super) fn new(options: &BoardOptions, flash: Arc<Flash>, line: Line, shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Machine {
            state: State::Unpowered,
            line,
            flash,
            network: Network::start(&options.name, options.seed, options.network, shared.clone())?,
            shared,
            identity: BoardIdentity { mac: Chip::from_seed(options.seed).mac(), seed: options.seed },
            faults: options.faults.clone(),
            heard_bytes: 0,
            hung_until: None,
            plug_at: None,
            noise: Seeded::new(options.seed, "garbage"),
            fail_next_write: false,
            silent_erase: false,
        })
    }

    /// Runs until the board is stopped.
    pub(super) fn run(mut self) {
        self.reset(Reset::PowerOn);
        while !self.shared.is_stopped() {
            while let Some(order) = self.shared.next_order() {
                self.obey(order);
            }
            if self.plug_at.is_some_and(|moment| Instant::now() >= moment) {
                self.plug_at = None;
                self.plug();
            }
            let turn = match self.hung_until {
                Some(moment) if Instant::now() < moment => self.line.hear(APP_TURN).map(drop),
                _ => self.turn(),
            };
            if let Err(error) = turn {
                tracing::warn!(%error, "the imitated board's line failed; it is made anew");
                self.line.unplug();
                self.plug();
                thread::sleep(IDLE_WAIT);
            }
        }
        self.network.connect(None);
        self.shared.set_activity(Activity::Stopped);
    }

    fn turn(&mut self) -> io::Result<()> {
        let wait = match self.state {
            State::Unpowered => {
                thread::sleep(IDLE_WAIT);
                return Ok(());
            }
            State::Loader { .. } => LOADER_WAIT,
            State::App(_) => APP_TURN,
        };
        let heard = match self.line.hear(wait)? {
            Heard::Bytes(bytes) => bytes,
            Heard::Silence | Heard::NoClient => Vec::new(),
        };
        self.count(heard.len());
        match self.state {
            State::Unpowered => {}
            State::Loader { .. } => self.loader_turn(&heard),
            State::App(_) => self.app_turn(&heard),
        }
        Ok(())
    }

    fn loader_turn(&mut self, heard: &[u8]) {
        let State::Loader { loader, decoder } = &mut self.state else { return };
        if std::mem::take(&mut self.fail_next_write) {
            loader.fail_next_write();
        }
        if std::mem::take(&mut self.silent_erase) {
            loader.fall_silent_at_erase();
        }
        for packet in decoder.push(heard) {
            let line = &mut self.line;
            match loader.handle(&packet, &mut |answer| line.say(&rom::encode(answer), LOADER_PATIENCE)) {
                Outcome::Stay => {}
                Outcome::Baud(baud) => self.line.set_baud(baud),
                Outcome::Restart => return self.reset(Reset::Software),
            }
        }
        if loader.watchdog().is_some_and(|moment| Instant::now() >= moment) {
            self.reset(Reset::Watchdog);
        }
    }

    fn app_turn(&mut self, heard: &[u8]) {
        let State::App(app) = &mut self.state else { return };
        let line = &mut self.line;
        match app.turn(heard, &mut self.network, &mut |bytes| line.say(bytes, APP_PATIENCE)) {
            Next::Run => {}
            Next::Restart => self.reset(Reset::Software),
            Next::Loader => self.enter_loader(Reset::Software, true),
            Next::Synchronise(bytes) => {
                self.enter_loader(Reset::PowerOn, false);
                self.loader_turn(&bytes);
            }
        }
    }

    /// What the ROM does after a reset: start what is flashed, or say why not and wait in the loader.
    fn reset(&mut self, reset: Reset) {
        self.shared.set_activity(Activity::Starting);
        self.network.cut_power();
        self.line.set_baud(RESET_BAUD);
        let (printed, reason) = reset.texts();
        match boot::find_app(&self.flash) {
            Ok(image) => {
                self.print(&format!(
                    "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\nrst:{printed},boot:0xc (SPI_FAST_FLASH_BOOT)\r\n\
                     I (24) boot: ESP-IDF 2nd stage bootloader\r\nI (68) boot: Loaded app from partition {}\r\n",
                    image.label
                ));
                self.shared.set_activity(Activity::App(image.version.clone()));
                let (flash, shared) = (self.flash.clone(), self.shared.clone());
                let line = &mut self.line;
                let mut say = |bytes: &[u8]| line.say(bytes, APP_PATIENCE);
                let app = App::start(image, self.identity, reason, flash, shared, &mut say);
                self.network.connect(app.connection());
                self.state = State::App(Box::new(app));
            }
            Err(error) => {
                self.print(&format!("{error}\r\n"));
                self.enter_loader(reset, true);
            }
        }
    }

    /// Starts the ROM loader. It says so, unless a client that asked is waiting for something else.
    fn enter_loader(&mut self, reset: Reset, greet: bool) {
        self.network.cut_power();
        self.line.set_baud(RESET_BAUD);
        if greet {
            let (printed, _) = reset.texts();
            self.print(&format!(
                "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\nrst:{printed},boot:0x4 (DOWNLOAD(USB/UART0/1))\r\n\
                 waiting for download\r\n"
            ));
        }
        let loader = Loader::new(self.flash.clone(), Chip::from_seed(self.identity.seed));
        self.state = State::Loader { loader: Box::new(loader), decoder: rom::Decoder::default() };
        self.shared.set_activity(Activity::Loader);
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Reset => self.reset(Reset::PowerOn),
            Order::EnterLoader => self.enter_loader(Reset::PowerOn, true),
            Order::Unplug => {
                self.line.unplug();
                self.network.cut_power();
                self.state = State::Unpowered;
                self.shared.set_activity(Activity::Starting);
            }
            Order::Plug => {
                self.plug();
                if matches!(self.state, State::Unpowered) {
                    self.reset(Reset::PowerOn);
                }
            }
            Order::DropLink(duration) => {
                self.line.unplug();
                self.plug_at = Some(Instant::now() + duration);
            }
            Order::Hang(duration) => self.hung_until = Some(Instant::now() + duration),
            Order::Garbage(bytes) => {
                let mut garbage = vec![0; bytes.min(MAX_GARBAGE)];
                self.noise.fill(&mut garbage);
                self.line.say(&garbage, APP_PATIENCE);
            }
            Order::FailNextWrite => self.fail_next_write = true,
            Order::SilentErase => self.silent_erase = true,
        }
    }

    fn plug(&mut self) {
        if let Err(error) = self.line.plug() {
            tracing::warn!(%error, "the imitated board's serial device could not be made");
            self.plug_at = Some(Instant::now() + Duration::from_secs(1));
        }
    }

    /// Counts what arrived, and lets the faults happen that are due.
    fn count(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.heard_bytes += bytes as u64;
        let (due, later) = self.faults.drain(..).partition(|fault: &BoardFault| fault.after_bytes < self.heard_bytes);
        self.faults = later;
        let due: Vec<BoardFault> = due;
        for fault in due {
            self.obey(fault.kind.order());
        }
    }

    fn print(&mut self, text: &str) {
        self.line.say(text.as_bytes(), APP_PATIENCE);
    }
}
