//! Firmware of the truck board: the board's logic ([`coldbench_sensor`]) on an ESP32-C3.
//!
//! - [`wiring`]: the pin map.
//! - [`peripherals`], [`analog`], [`probes`]: sensors and lights.
//! - [`storage`]: what is kept in flash memory, and the image that runs.
//! - [`wire`], [`link`]: bytes and frames to and from the tool.
//! - [`reset`]: watchdog, button, reset reason, ROM loader.
//! - [`crash`]: what is left to do after a panic.
//!
//! # Invariants
//! - Nothing waits for the outside world without an end: with nothing attached the board starts and says hello.
//! - The main loop is the only thread. The one interrupt moves bytes of the serial line and does nothing else.
#![no_std]
#![no_main]

extern crate alloc;

mod analog;
mod crash;
mod link;
mod peripherals;
mod probes;
mod reset;
mod storage;
mod wire;
mod wiring;

use alloc::format;

use coldbench_protocol::{Answer, Call, Request, Response, frame::Channel};
use coldbench_sensor::{
    board::{Board, Effect, Event},
    hardware::BoardFacts,
};
use esp_hal::{
    clock::CpuClock,
    efuse,
    time::{Duration, Instant},
};

use crate::{
    link::Link,
    peripherals::TruckPeripherals,
    reset::{Button, Watchdog},
    storage::{BoardStore, Storage},
    wire::{SerialWire, UsbWire, Wire},
    wiring::Wiring,
};

/// Time between two polls of the sensors. A contact bounces for 1 ms, and a crank is as short as 15 ms.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Memory for frames, certificates and the making of keys.
const HEAP_LEN: usize = 144 * 1024;

// Fixed texts instead of the build's date keep the image the same for the same sources.
esp_bootloader_esp_idf::esp_app_desc!(
    env!("CARGO_PKG_VERSION"),
    env!("CARGO_PKG_NAME"),
    "00:00:00",
    "2026-01-01",
    esp_bootloader_esp_idf::ESP_IDF_COMPATIBLE_VERSION,
    esp_bootloader_esp_idf::MMU_PAGE_SIZE,
    0,
    u16::MAX,
    esp_bootloader_esp_idf::SECURE_VERSION
);

type TruckBoard = Board<TruckPeripherals, BoardStore>;

#[esp_hal::main]
fn main() -> ! {
    let wiring = Wiring::new(esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max())));
    esp_alloc::heap_allocator!(size: HEAP_LEN);

    let mut watchdog = Watchdog::new(wiring.rtc_timer);
    let mut button = Button::new(wiring.button);
    let mut links = Links {
        serial: SerialWire::new(wiring.link.uart, wiring.link.rx, wiring.link.tx).ok().map(Link::new),
        usb: Link::new(UsbWire::new(wiring.link.usb)),
    };
    let storage = Storage::open(wiring.flash);
    links.say_what_is_wrong(&storage);
    let facts = facts(&storage);
    let mut board = Board::new(TruckPeripherals::new(wiring.sensors, facts), storage.store);
    links.hello(&board);

    let mut next_poll = Instant::now();
    loop {
        watchdog.feed();
        board.peripherals().listen_to_receiver();
        if Instant::now() >= next_poll {
            next_poll = Instant::now() + POLL_INTERVAL;
            board.poll().into_iter().for_each(|event| links.pass_on(event));
        }
        if button.was_held() {
            let (result, _) = board.answer(Request::EraseCredentials);
            links.log(if result.is_ok() { "credentials erased by the button" } else { "credentials not erased" });
        }
        links.serve(&mut board);
    }
}

fn facts(storage: &Storage) -> BoardFacts {
    let mut mac = [0; 6];
    mac.iter_mut().zip(efuse::base_mac_address().as_bytes()).for_each(|(to, from)| *to = *from);
    BoardFacts {
        firmware: env!("CARGO_PKG_VERSION").into(),
        image_sha256: storage.image_sha256.unwrap_or_default(),
        mac,
        chip: "esp32c3".into(),
        reset_reason: reset::reason().into(),
    }
}

/// The two ways to the tool. Readings and log text go both ways, an answer goes where the question came from.
struct Links {
    serial: Option<Link<SerialWire>>,
    usb: Link<UsbWire>,
}

impl Links {
    fn hello(&mut self, board: &TruckBoard) {
        let hello = Answer { number: 0, result: Ok(Response::Hello(board.hello())) };
        self.serial.iter_mut().for_each(|link| link.answer(&hello));
        self.usb.answer(&hello);
    }

    fn say_what_is_wrong(&mut self, storage: &Storage) {
        if storage.image_sha256.is_none() {
            self.log("flash memory does not show the app image that runs");
        }
        if !storage.store.is_usable() {
            self.log("the partition table has no place for what the board keeps");
        }
    }

    fn pass_on(&mut self, event: Event) {
        match event {
            Event::Reading { json, .. } => self.send(Channel::Reading, &json),
            Event::Log(text) => self.log(&text),
        }
    }

    fn log(&mut self, text: &str) {
        self.send(Channel::Log, text);
    }

    fn send(&mut self, channel: Channel, text: &str) {
        self.serial.iter_mut().for_each(|link| link.send(channel, text.as_bytes()));
        self.usb.send(channel, text.as_bytes());
    }

    /// Moves bytes and answers what was asked.
    fn serve(&mut self, board: &mut TruckBoard) {
        self.serial.iter_mut().for_each(|link| serve(link, board));
        serve(&mut self.usb, board);
    }
}

/// Moves bytes on one link and answers what was asked there. A reset waits until its answer has left.
fn serve<W: Wire>(link: &mut Link<W>, board: &mut TruckBoard) {
    for Call { number, request } in link.calls() {
        let (result, effect) = board.answer(request);
        link.answer(&Answer { number, result });
        match effect {
            Some(Effect::Reboot) => {
                link.flush();
                reset::reboot();
            }
            Some(Effect::RebootToLoader) => {
                link.flush();
                reset::reboot_to_loader();
            }
            // No network of its own yet: nobody else has to know.
            Some(Effect::ConnectionChanged | Effect::SettingsChanged) | None => (),
        }
    }
    if let Some(dropped) = link.take_dropped() {
        let text = format!("{dropped} times something was dropped because nobody took it");
        link.send(Channel::Log, text.as_bytes());
    }
    link.pump();
}
