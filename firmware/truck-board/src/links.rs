//! The two ways to the tool, used at once.

use alloc::{format, string::String};

use coldbench_protocol::{Answer, Call, Response, frame::Channel};
use coldbench_sensor::board::{Effect, Event};

use crate::{
    TruckBoard,
    link::{Link, Said},
    network::Network,
    reset,
    storage::Storage,
    wire::{SerialWire, UsbWire, Wire},
    wiring::LinkWiring,
};

/// The two ways to the tool. Readings and log text go both ways, an answer goes where the question came from, and the
/// tunnel to the broker goes where it was offered last.
pub struct Links {
    serial: Option<Link<SerialWire>>,
    usb: Link<UsbWire>,
    tunnel: Way,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Serial,
    Usb,
}

impl Links {
    /// Sets both up.
    pub fn new(wiring: LinkWiring) -> Self {
        Links {
            serial: SerialWire::new(wiring.uart, wiring.rx, wiring.tx).ok().map(Link::new),
            usb: Link::new(UsbWire::new(wiring.usb)),
            tunnel: Way::Serial,
        }
    }

    /// Says who the board is, unasked.
    pub fn hello(&mut self, board: &TruckBoard) {
        let hello = Answer { number: 0, result: Ok(Response::Hello(board.hello())) };
        self.serial.iter_mut().for_each(|link| link.answer(&hello));
        self.usb.answer(&hello);
    }

    /// Says what is wrong with the flash memory, if anything.
    pub fn say_what_is_wrong(&mut self, storage: &Storage) {
        if storage.image_sha256.is_none() {
            self.log("flash memory does not show the app image that runs");
        }
        if !storage.store.is_usable() {
            self.log("the partition table has no place for what the board keeps");
        }
    }

    /// Passes on what the board's logic says.
    pub fn pass_on(&mut self, event: &Event) {
        match event {
            Event::Reading { json, .. } => self.send(Channel::Reading, json),
            Event::Log(text) => self.log(text),
        }
    }

    /// Sends a line of log text.
    pub fn log(&mut self, text: &str) {
        self.send(Channel::Log, text);
    }

    /// Whether bytes wait to leave.
    pub fn are_busy(&self) -> bool {
        self.serial.as_ref().is_some_and(Link::is_busy) || self.usb.is_busy()
    }

    /// Moves bytes and answers what was asked.
    pub fn serve(&mut self, board: &mut TruckBoard, network: &Network) {
        let mut offered = None;
        if let Some(link) = &mut self.serial {
            offered = serve(link, board, network).then_some(Way::Serial);
        }
        offered = serve(&mut self.usb, board, network).then_some(Way::Usb).or(offered);
        self.tunnel = offered.unwrap_or(self.tunnel);
        match (self.tunnel, &mut self.serial) {
            (Way::Serial, Some(link)) => carry(link, network),
            (Way::Serial, None) => {}
            (Way::Usb, _) => carry(&mut self.usb, network),
        }
        self.serial.iter_mut().for_each(Link::pump);
        self.usb.pump();
    }

    fn send(&mut self, channel: Channel, text: &str) {
        self.serial.iter_mut().for_each(|link| link.send(channel, text.as_bytes()));
        self.usb.send(channel, text.as_bytes());
    }
}

/// Takes what came on one link and answers what was asked there; `true` when a way to the broker was offered. A reset
/// waits until its answer has left.
fn serve<W: Wire>(link: &mut Link<W>, board: &mut TruckBoard, network: &Network) -> bool {
    let mut offered = false;
    for said in link.hear() {
        let Call { number, request } = match said {
            Said::Call(call) => call,
            Said::Tunnel(message) => {
                network.hear_tunnel(message);
                continue;
            }
        };
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
            Some(Effect::ConnectionChanged) => network.connect(board.connection()),
            Some(Effect::SettingsChanged) => network.report(board.reported()),
            Some(Effect::RelayOffered(yes)) => {
                network.offer_relay(yes);
                offered = yes;
            }
            Some(Effect::LineRate(baud)) => link.set_rate(baud),
            None => {}
        }
    }
    if let Some(dropped) = link.take_dropped() {
        let text: String = format!("{dropped} times something was dropped because nobody took it");
        link.send(Channel::Log, text.as_bytes());
    }
    offered
}

/// Puts on the link what the network says in the tunnel, as long as there is room.
fn carry<W: Wire>(link: &mut Link<W>, network: &Network) {
    while link.has_room()
        && let Some(message) = network.next_in_tunnel()
    {
        link.tunnel(&message);
    }
}
