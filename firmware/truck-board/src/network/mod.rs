//! The board's way to its broker: what the main thread tells it and hears from it. The work is done in [`worker`].

use alloc::{boxed::Box, string::String};

use coldbench_protocol::tunnel::{FromBoard, FromTool};
use coldbench_sensor::{
    identity::Connection,
    relay::Relay,
    session::{Limits, News, Outbox},
    shared::Shared,
};
use embassy_sync::{blocking_mutex::raw::CriticalSectionRawMutex, channel::Channel, signal::Signal};
use esp_hal::{peripherals::WIFI, time::Instant};
use zeroize::Zeroizing;

use crate::locked::Locked;

mod radio;
mod thread;
mod worker;

/// What may wait in memory. A reading that is not sent in time goes to the flash memory.
const OUTBOX: Limits = Limits { readings: 16, reports: 2 };
/// News that may wait for the main thread.
const MAX_NEWS: usize = 16;

/// What both threads share.
struct State {
    outbox: Locked<Outbox>,
    relay: Locked<Relay>,
    /// UTC at the start of the board, milliseconds since 1970; `None` until the clock was set.
    unix_millis_at_start: Locked<Option<u64>>,
    /// The identity to connect with, if any, and that it changed.
    wanted: Locked<Option<Connection>>,
    changed: Signal<CriticalSectionRawMutex, ()>,
    news: Channel<CriticalSectionRawMutex, News, MAX_NEWS>,
}

/// The main thread's end.
pub struct Network(&'static State);

impl Network {
    /// Starts the network's thread. `seed` is what its random numbers come from.
    pub fn start(seed: Zeroizing<[u8; 32]>, wifi: WIFI<'static>) -> Self {
        let state: &'static State = Box::leak(Box::new(State {
            outbox: Locked::new(Outbox::new(OUTBOX)),
            relay: Locked::new(Relay::new()),
            unix_millis_at_start: Locked::new(None),
            wanted: Locked::new(None),
            changed: Signal::new(),
            news: Channel::new(),
        }));
        thread::start(state, seed, wifi);
        Network(state)
    }

    /// Connects with this identity from now on; `None` disconnects. What the last identity did not send is dropped.
    pub fn connect(&self, connection: Option<Connection>) {
        self.0.outbox.with(|outbox| *outbox = Outbox::new(OUTBOX));
        self.0.wanted.with(|wanted| *wanted = connection);
        self.0.changed.signal(());
    }

    /// What is to be sent, for the board's logic to fill.
    pub fn outbox(&self) -> &impl Shared<Outbox> {
        &self.0.outbox
    }

    /// Queues the reported state while an identity is installed.
    pub fn report(&self, json: String) {
        if self.is_wanted() {
            // A report is a few hundred bytes; one beyond the limit of MQTT cannot come from the board's own code.
            let _ = self.0.outbox.with(|outbox| outbox.push_report(json));
        }
    }

    /// What the network has to say, if anything.
    pub fn next(&self) -> Option<News> {
        self.0.news.try_receive().ok()
    }

    /// UTC in milliseconds since 1970, for the dates in certificates.
    pub fn tell_time(&self, unix_millis: Option<u64>) {
        let at_start = unix_millis.map(|now| now.saturating_sub(uptime_millis()));
        self.0.unix_millis_at_start.with(|known| *known = at_start);
    }

    /// The tool offers a way to the broker, or not any more.
    pub fn offer_relay(&self, offered: bool) {
        self.0.relay.with(|relay| relay.offer(offered));
    }

    /// Takes what the tool says in the tunnel.
    pub fn hear_tunnel(&self, message: FromTool) {
        self.0.relay.with(|relay| relay.on_message(message));
    }

    /// What the board has to say in the tunnel, if anything.
    pub fn next_in_tunnel(&self) -> Option<FromBoard> {
        self.0.relay.with(Relay::to_send)
    }

    fn is_wanted(&self) -> bool {
        self.0.wanted.with(|wanted| wanted.is_some())
    }
}

impl State {
    /// Without waiting: what the main thread does not fetch is not told.
    fn say(&self, news: News) {
        let _ = self.news.try_send(news);
    }
}

fn uptime_millis() -> u64 {
    Instant::now().duration_since_epoch().as_millis()
}
