//! Firmware of the truck board: the board's logic ([`coldbench_sensor`]) on an ESP32-C3.
//!
//! - [`wiring`]: the pin map.
//! - [`peripherals`], [`analog`], [`probes`]: sensors and lights.
//! - [`storage`]: what is kept in flash memory, and the image that runs.
//! - [`wire`], [`link`], [`links`]: bytes and frames to and from the tool.
//! - [`network`]: the session with the broker, on a thread of its own.
//! - [`locked`]: what both threads use in turns.
//! - [`reset`]: watchdog, button, reset reason, ROM loader.
//! - [`crash`]: what is left to do after a panic.
//!
//! # Invariants
//! - Nothing waits for the outside world without an end: with nothing attached the board starts and says hello.
//! - Two threads. The main one samples, answers the tool and goes before; the other one talks to the broker and may
//!   compute for a second without disturbing a reading. The serial line's interrupt moves bytes and does nothing else.
#![no_std]
#![no_main]

extern crate alloc;

mod analog;
mod crash;
mod link;
mod links;
mod locked;
mod network;
mod peripherals;
mod probes;
mod reset;
mod storage;
mod wire;
mod wiring;

use coldbench_protocol::Request;
use coldbench_sensor::{
    board::{Board, Event},
    hardware::{BoardFacts, Peripherals as _},
};
use esp_hal::{
    clock::CpuClock,
    efuse,
    sha::Sha,
    time::{Duration, Instant},
    timer::systimer::SystemTimer,
};
use esp_rtos::CurrentThreadHandle;
use tinyrlibc as _;
use zeroize::Zeroizing;

use crate::{
    links::Links,
    network::Network,
    peripherals::TruckPeripherals,
    reset::{Button, Watchdog},
    storage::{BoardStore, Storage},
    wiring::Wiring,
};

/// Time between two polls of the sensors. A contact bounces for 1 ms, and a crank is as short as 15 ms.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Rest of the main thread between two turns, so that the other one gets its time: short while a link has bytes to
/// move, so that a fast line is kept busy.
const BUSY_REST: Duration = Duration::from_millis(1);
const IDLE_REST: Duration = Duration::from_millis(2);

/// Before the other thread, behind the radio's own.
const MAIN_PRIORITY: usize = 1;

/// Memory for frames, certificates, readings that wait, the network's stack and the radio's buffers.
const HEAP_LEN: usize = 160 * 1024;

/// More of it: what the boot loader used and nobody needs any more.
const RECLAIMED_LEN: usize = 60 * 1024;

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
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: RECLAIMED_LEN);

    esp_rtos::start(SystemTimer::new(wiring.threads.timer).alarm0, wiring.threads.switch);
    CurrentThreadHandle::get().set_priority(MAIN_PRIORITY);

    reset::watch_supply();
    let mut watchdog = Watchdog::new(wiring.rtc_timer);
    let mut button = Button::new(wiring.button);
    let mut links = Links::new(wiring.link);
    let storage = Storage::open(wiring.flash, Sha::new(wiring.sha));
    links.say_what_is_wrong(&storage);
    let facts = facts(&storage);
    let mut board = Board::new(TruckPeripherals::new(wiring.sensors, facts), storage.store);
    links.hello(&board);

    let mut seed = Zeroizing::new([0; 32]);
    board.peripherals().fill_random(&mut *seed);
    let network = Network::start(seed, wiring.wifi);
    network.connect(board.connection());

    let mut next_poll = Instant::now();
    loop {
        watchdog.feed();
        board.peripherals().listen_to_receiver();
        if Instant::now() >= next_poll {
            next_poll = Instant::now() + POLL_INTERVAL;
            poll(&mut board, &mut links, &network);
        }
        if button.was_held() {
            let (result, _) = board.answer(Request::EraseCredentials);
            network.connect(board.connection());
            links.log(if result.is_ok() { "credentials erased by the button" } else { "credentials not erased" });
        }
        links.serve(&mut board, &network);
        CurrentThreadHandle::get().delay(if links.are_busy() { BUSY_REST } else { IDLE_REST });
    }
}

/// What the sensors say goes to tool and broker, what the broker says to the board.
fn poll(board: &mut TruckBoard, links: &mut Links, network: &Network) {
    for event in board.poll() {
        links.pass_on(&event);
        if let Event::Reading { json, dated: true } = event {
            board.send_reading(json, network.outbox());
            network.report(board.reported());
        }
    }
    board.tend_backlog(network.outbox());
    while let Some(news) = network.next() {
        let (report_due, log) = board.hear(news);
        if report_due.0 {
            network.report(board.reported());
        }
        log.iter().for_each(|text| links.log(text));
    }
    network.tell_time(board.unix_millis());
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
