//! The app: the board's own logic on imitated peripherals, speaking frames over the serial line.

use std::sync::Arc;

use coldbench_protocol::{
    Answer, Refusal, Response,
    frame::{self, Channel, Decoder},
    tunnel::FromTool,
};
use coldbench_sensor::{
    board::{Board, Effect, Event, ReportDue},
    flash::BoardFlash,
    hardware::BoardFacts,
};

use super::{
    boot,
    control::Shared,
    flash::{Chip, Flash},
    network::Network,
    peripherals::ImitatedPeripherals,
    rom::SYNC_PATTERN,
    store,
};

/// Enough to hold a whole synchronisation packet.
const TAIL_LEN: usize = 64;

/// What the machine has to do after a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Go on.
    Run,
    /// The app asked for a restart.
    Restart,
    /// The app asked for the loader.
    Loader,
    /// A client asks for the loader with these bytes.
    Synchronise(Vec<u8>),
}

/// The running app.
pub(super) struct App {
    board: Board<ImitatedPeripherals, BoardFlash<Chip>>,
    decoder: Decoder,
    tail: Vec<u8>,
}

impl App {
    /// Starts what the boot loader found, and greets.
    pub(super) fn start(
        image: boot::App,
        identity: BoardIdentity,
        reset_reason: &str,
        flash: Arc<Flash>,
        shared: Arc<Shared>,
        say: &mut dyn FnMut(&[u8]),
    ) -> Self {
        let facts = BoardFacts {
            firmware: image.version,
            image_sha256: image.image_sha256,
            mac: identity.mac,
            chip: "esp32c3".to_owned(),
            reset_reason: reset_reason.to_owned(),
        };
        let peripherals = ImitatedPeripherals::new(shared, identity.seed, facts);
        let board = Board::new(peripherals, store::open(flash, &image.partitions));
        answer(0, Ok(Response::Hello(board.hello())), say);
        App { board, decoder: Decoder::new(), tail: Vec::new() }
    }

    /// One turn of the main loop: what arrived, what the sensors say, what the network says.
    pub(super) fn turn(&mut self, heard: &[u8], network: &mut Network, say: &mut dyn FnMut(&[u8])) -> Next {
        if let Some(bytes) = self.synchronisation(heard) {
            return Next::Synchronise(bytes);
        }
        for frame in self.decoder.push(heard).into_iter().flatten() {
            if frame.channel == Channel::Tunnel
                && let Ok(message) = FromTool::decode(&frame.payload)
            {
                network.take_from_tool(message);
            }
            if frame.channel == Channel::Call
                && let Some(effect) = self.call(&frame.payload, say)
            {
                match effect {
                    Effect::Reboot => return Next::Restart,
                    Effect::RebootToLoader => return Next::Loader,
                    Effect::ConnectionChanged => network.connect(self.board.connection()),
                    Effect::SettingsChanged => network.report(self.board.reported()),
                    Effect::RelayOffered(offered) => network.offer_relay(offered),
                    // A pseudo-terminal has no rate.
                    Effect::LineRate(_) => {}
                }
            }
        }
        for event in self.board.poll() {
            match event {
                Event::Reading { json, dated } => {
                    say(&frame::encode(Channel::Reading, json.as_bytes()));
                    if dated {
                        self.board.send_reading(json, network.outbox());
                        network.report(self.board.reported());
                    }
                }
                Event::Log(text) => say(&frame::encode(Channel::Log, text.as_bytes())),
            }
        }
        self.board.tend_backlog(network.outbox());
        self.follow_network(network, say);
        Next::Run
    }

    /// What the session needs at the start.
    pub(super) fn connection(&self) -> Option<coldbench_sensor::identity::Connection> {
        self.board.connection()
    }

    fn call(&mut self, payload: &[u8], say: &mut dyn FnMut(&[u8])) -> Option<Effect> {
        match frame::decode_call(payload) {
            Ok(call) => {
                let (result, effect) = self.board.answer(call.request);
                answer(call.number, result, say);
                effect
            }
            Err(_) => {
                if let Some(number) = frame::call_number(payload) {
                    answer(number, Err(Refusal::NotUnderstood), say);
                }
                None
            }
        }
    }

    fn follow_network(&mut self, network: &mut Network, say: &mut dyn FnMut(&[u8])) {
        while let Some(message) = network.next_to_tool() {
            match message.encode() {
                Ok(line) => say(&line),
                Err(error) => tracing::warn!(%error, "the imitated board says too much at once in the tunnel"),
            }
        }
        while let Some(news) = network.next() {
            let (ReportDue(is_due), text) = self.board.hear(news);
            if is_due {
                network.report(self.board.reported());
            }
            text.iter().for_each(|text| say(&frame::encode(Channel::Log, text.as_bytes())));
        }
    }

    /// The bytes of a loader's synchronisation packet, once one is complete in what arrived.
    fn synchronisation(&mut self, heard: &[u8]) -> Option<Vec<u8>> {
        if heard.is_empty() {
            return None;
        }
        self.tail.extend_from_slice(heard);
        if self.tail.windows(SYNC_PATTERN.len()).any(|window| window == SYNC_PATTERN) {
            return Some(std::mem::take(&mut self.tail));
        }
        let excess = self.tail.len().saturating_sub(TAIL_LEN);
        self.tail.drain(..excess);
        None
    }
}

/// Who the board is, whatever runs on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct BoardIdentity {
    pub(super) mac: [u8; 6],
    pub(super) seed: u64,
}

fn answer(number: u16, result: Result<Response, Refusal>, say: &mut dyn FnMut(&[u8])) {
    match frame::encode_answer(&Answer { number, result }) {
        Ok(bytes) => say(&bytes),
        Err(error) => tracing::warn!(%error, "an answer of the imitated board does not fit in a frame"),
    }
}
