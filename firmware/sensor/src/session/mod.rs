//! The board's MQTT 3.1.1 session, the same code on the chip and behind the imitated board.
//!
//! The caller opens a line to the broker (TCP and TLS are its affair), gives it to [`Session::run`] and gets an
//! [`Outcome`] when the session is over; it then waits for [`Backoff`] and opens the next line. What is to be sent
//! lies in an [`Outbox`], which outlives sessions. In a session:
//!
//! 1. CONNECT with the thing name as client id, a clean session and the last will, if any;
//! 2. SUBSCRIBE to the answers of the thing's shadow, then [`Event::Online`];
//! 3. an empty message to the shadow's `get`, so that a change made while the board was away is not missed;
//! 4. the outbox, message by message with QoS 1, the next one when the last one is acknowledged.
//!
//! One message under way at a time keeps the order and the memory small; at one reading every five seconds nothing
//! is gained by more. There is no task, no thread and no global: the session is one future.

use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;
use core::num::NonZeroU16;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};

use embedded_io_async::{Read, Write};
use mqtt_protocol_core::mqtt::packet::v3_1_1::{Connack, Connect, Disconnect, Puback, Publish, Suback, Subscribe};
use mqtt_protocol_core::mqtt::packet::{Packet, Qos, SubEntry, SubOpts};
use mqtt_protocol_core::mqtt::result_code::ConnectReturnCode;

mod backoff;
mod clock;
mod error;
mod news;
mod outbox;
mod refusal;
#[cfg(test)]
mod tests;
mod topics;
mod wire;

pub use backoff::Backoff;
pub use clock::Clock;
pub use error::{Phase, Refusal, SessionError};
pub use news::News;
pub use outbox::{Kind, Limits, MAX_PAYLOAD_BYTES, Message, Outbox, TooLong};
pub use refusal::CertificateRefusal;
pub use topics::ShadowNews;

use crate::shared::Shared;
use topics::ShadowTopics;
use wire::{Wake, Wire};

/// The largest packet the board takes from the broker, in bytes. A shadow document is 8 KiB at most.
pub const MAX_PACKET_BYTES: u32 = 16 * 1024;

/// What the broker says of a board that is lost.
pub const LOST: &str = r#"{"online":false}"#;

/// How a board talks to its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// The client id, which is the thing name.
    pub client_id: String,
    /// Where readings go, without wildcards.
    pub readings_topic: String,
    /// After how many seconds of silence the broker gives the board up. The board pings after three quarters of it.
    pub keep_alive_secs: NonZeroU16,
    /// How many seconds the broker may take for each answer.
    pub answer_timeout_secs: NonZeroU16,
    /// What the broker publishes when the board is lost.
    pub will: Option<Will>,
}

/// What the broker publishes, with QoS 1 and not retained, when the board is lost without a DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where to, without wildcards.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
}

impl SessionConfig {
    /// A session with a keep-alive of 60 s, 10 s for each answer and no will.
    pub fn new(thing_name: impl Into<String>, readings_topic: impl Into<String>) -> Self {
        const MINUTE: NonZeroU16 = NonZeroU16::MIN.saturating_add(59);
        const TEN_SECS: NonZeroU16 = NonZeroU16::MIN.saturating_add(9);
        Self {
            client_id: thing_name.into(),
            readings_topic: readings_topic.into(),
            keep_alive_secs: MINUTE,
            answer_timeout_secs: TEN_SECS,
            will: None,
        }
    }

    /// With the will that tells the fleet of a board that is lost: [`LOST`] on `<readings topic>/online`.
    pub fn with_last_will(self) -> Self {
        let will = Will { topic: topics::online(&self.readings_topic), payload: LOST.into() };
        Self { will: Some(will), ..self }
    }

    fn answer_timeout_millis(&self) -> u64 {
        u64::from(self.answer_timeout_secs.get()) * 1_000
    }
}

/// What the session tells the board while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The broker has accepted the connection and every subscription.
    Online,
    /// The shadow service says something; the payload is its JSON document.
    Shadow(ShadowNews, &'a [u8]),
    /// The broker has acknowledged this message, and it has left the outbox.
    Acknowledged(Kind),
}

/// How a session went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `Ok` when the caller stopped it, else why it ended.
    pub end: Result<(), SessionError>,
    /// Whether it got as far as [`Event::Online`].
    pub was_online: bool,
    /// How many messages of the outbox the broker acknowledged.
    pub acknowledged: u32,
    /// How many messages came on topics the board had not asked for, and were dropped.
    pub ignored: u32,
}

impl Outcome {
    /// Whether the broker took at least one message: then [`Backoff`] may start again.
    pub fn was_useful(&self) -> bool {
        self.acknowledged > 0
    }
}

/// A board's session, ready to run over one line after another.
#[derive(Debug)]
pub struct Session<'a, C, O> {
    /// Who the board is and how it talks.
    pub config: &'a SessionConfig,
    /// The time.
    pub clock: &'a C,
    /// What is to be sent.
    pub outbox: &'a O,
}

impl<C: Clock, O: Shared<Outbox>> Session<'_, C, O> {
    /// Runs one session over `line` until `stop` is ready or something fails.
    ///
    /// A stop sends DISCONNECT, so that no will is published; dropping this future does not. `handle` is called
    /// between two packets and must not wait; it may push to the outbox. The line is not closed.
    ///
    /// The `read` of the line must be cancel safe: when it is dropped before it is ready, no byte is lost. That holds
    /// for sockets and TLS streams of tokio and embassy.
    pub async fn run<L: Read + Write>(
        &self,
        line: &mut L,
        stop: impl Future<Output = ()>,
        handle: impl FnMut(Event<'_>),
    ) -> Outcome {
        let mut running = Running {
            wire: Wire::new(line, self.clock, self.config),
            outbox: self.outbox,
            config: self.config,
            topics: ShadowTopics::new(&self.config.client_id),
            handle,
            awaiting: Awaiting::Connack,
            deadline_millis: None,
            outcome: Outcome { end: Ok(()), was_online: false, acknowledged: 0, ignored: 0 },
        };
        let _offline = OfflineAtEnd(self.outbox);
        let end = running.run(pin!(stop)).await;
        Outcome { end, ..running.outcome }
    }
}

/// Tells the outbox that the session is over, however it ends.
struct OfflineAtEnd<'a, O: Shared<Outbox>>(&'a O);

impl<O: Shared<Outbox>> Drop for OfflineAtEnd<'_, O> {
    fn drop(&mut self) {
        self.0.with(|outbox| outbox.set_online(false));
    }
}

/// The one answer the session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaiting {
    Connack,
    Suback,
    /// For the question for the shadow.
    GetPuback(u16),
    /// For the message of the outbox with this ticket.
    Puback {
        packet_id: u16,
        ticket: u64,
        kind: Kind,
    },
    Nothing,
}

impl Awaiting {
    fn phase(self) -> Phase {
        match self {
            Self::Connack => Phase::Connecting,
            Self::Suback => Phase::Subscribing,
            Self::GetPuback(_) | Self::Puback { .. } => Phase::Publishing,
            Self::Nothing => Phase::Listening,
        }
    }
}

/// A session under way.
struct Running<'a, L, C, O, H> {
    wire: Wire<'a, L, C>,
    outbox: &'a O,
    config: &'a SessionConfig,
    topics: ShadowTopics,
    handle: H,
    awaiting: Awaiting,
    /// When the awaited answer is overdue.
    deadline_millis: Option<u64>,
    outcome: Outcome,
}

impl<L: Read + Write, C: Clock, O: Shared<Outbox>, H: FnMut(Event<'_>)> Running<'_, L, C, O, H> {
    async fn run(&mut self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Result<(), SessionError> {
        // A topic that cannot be used must show at once, not with the first reading.
        publish(&self.config.readings_topic, Vec::new(), NO_PACKET_ID, "readings topic")?;
        self.wire.send(connect(self.config)?).await.map_err(SessionError::of_connect)?;
        self.await_answer(Awaiting::Connack);
        loop {
            while let Some(packet) = self.wire.next_packet() {
                self.take(packet).await?;
            }
            self.check_deadline()?;
            if self.awaiting == Awaiting::Nothing {
                self.send_next().await?;
            }
            let (outbox, idle) = (self.outbox, self.awaiting == Awaiting::Nothing);
            let filled = |context: &mut Context<'_>| match idle {
                true => outbox.with(|outbox| outbox.poll_filled(context)),
                false => Poll::Pending,
            };
            match self.wire.wait(self.awaiting.phase(), self.deadline_millis, filled, stop.as_mut()).await? {
                Wake::Bytes | Wake::Filled | Wake::Time => {}
                Wake::Stopped => return self.disconnect().await,
            }
        }
    }

    async fn take(&mut self, packet: Packet) -> Result<(), SessionError> {
        match (self.awaiting, packet) {
            (Awaiting::Connack, Packet::V3_1_1Connack(connack)) => {
                accepted(&connack)?;
                self.subscribe().await
            }
            // Nothing may come before CONNACK.
            (Awaiting::Connack, _) => Err(SessionError::Malformed),
            (Awaiting::Suback, Packet::V3_1_1Suback(suback)) => {
                self.check_granted(&suback)?;
                self.outcome.was_online = true;
                self.outbox.with(|outbox| outbox.set_online(true));
                (self.handle)(Event::Online);
                self.ask_for_shadow().await
            }
            (_, Packet::V3_1_1Puback(puback)) => self.take_puback(&puback),
            (_, Packet::V3_1_1Publish(message)) => {
                self.take_message(&message);
                Ok(())
            }
            (_, Packet::V3_1_1Pingresp(_)) => Ok(()),
            _ => Err(SessionError::Malformed),
        }
    }

    fn check_granted(&self, suback: &Suback) -> Result<(), SessionError> {
        let codes = suback.return_codes();
        if codes.len() != ShadowNews::ALL.len() {
            return Err(SessionError::Malformed);
        }
        match ShadowNews::ALL.into_iter().zip(codes).find(|(_, code)| code.is_failure()) {
            Some((news, _)) => Err(SessionError::Denied(self.topics.news(news))),
            None => Ok(()),
        }
    }

    fn take_puback(&mut self, puback: &Puback) -> Result<(), SessionError> {
        match self.awaiting {
            Awaiting::GetPuback(packet_id) if packet_id == puback.packet_id() => self.await_nothing(),
            Awaiting::Puback { packet_id, ticket, kind } if packet_id == puback.packet_id() => {
                self.outbox.with(|outbox| outbox.acknowledge(ticket));
                self.outcome.acknowledged = self.outcome.acknowledged.saturating_add(1);
                self.await_nothing();
                (self.handle)(Event::Acknowledged(kind));
            }
            _ => return Err(SessionError::Malformed),
        }
        Ok(())
    }

    fn take_message(&mut self, message: &Publish) {
        match self.topics.recognise(message.topic_name()) {
            Some(news) => (self.handle)(Event::Shadow(news, message.payload().as_slice())),
            None => self.outcome.ignored = self.outcome.ignored.saturating_add(1),
        }
    }

    async fn subscribe(&mut self) -> Result<(), SessionError> {
        let unusable = |_| SessionError::Config("thing name");
        let mut entries = Vec::with_capacity(ShadowNews::ALL.len());
        for news in ShadowNews::ALL {
            let options = SubOpts::new().set_qos(Qos::AtLeastOnce);
            entries.push(SubEntry::new(self.topics.news(news), options).map_err(unusable)?);
        }
        let packet_id = self.wire.packet_id()?;
        let subscribe = Subscribe::builder().packet_id(packet_id).entries(entries).build().map_err(unusable)?;
        self.wire.send(subscribe).await?;
        self.await_answer(Awaiting::Suback);
        Ok(())
    }

    async fn ask_for_shadow(&mut self) -> Result<(), SessionError> {
        let packet_id = self.wire.packet_id()?;
        self.wire.send(publish(&self.topics.get(), Vec::new(), packet_id, "thing name")?).await?;
        self.await_answer(Awaiting::GetPuback(packet_id));
        Ok(())
    }

    /// Sends the next message of the outbox, if there is one.
    async fn send_next(&mut self) -> Result<(), SessionError> {
        let Some(Message { ticket, kind, payload }) = self.outbox.with(|outbox| outbox.next().cloned()) else {
            return Ok(());
        };
        let packet_id = self.wire.packet_id()?;
        let message = match kind {
            Kind::Reading | Kind::LateReading => {
                publish(&self.config.readings_topic, payload, packet_id, "readings topic")?
            }
            Kind::Report => publish(&self.topics.update(), payload, packet_id, "thing name")?,
        };
        self.wire.send(message).await?;
        self.await_answer(Awaiting::Puback { packet_id, ticket, kind });
        Ok(())
    }

    /// Says goodbye, unless the broker has not even answered: nothing may follow CONNECT before CONNACK.
    async fn disconnect(&mut self) -> Result<(), SessionError> {
        if self.awaiting == Awaiting::Connack {
            return Ok(());
        }
        self.wire.send(Disconnect::new()).await
    }

    fn await_answer(&mut self, awaiting: Awaiting) {
        self.awaiting = awaiting;
        self.deadline_millis = Some(self.wire.answer_deadline_millis());
    }

    fn await_nothing(&mut self) {
        self.awaiting = Awaiting::Nothing;
        self.deadline_millis = None;
    }

    fn check_deadline(&self) -> Result<(), SessionError> {
        match self.deadline_millis {
            Some(deadline_millis) if self.wire.is_past(deadline_millis) => {
                Err(SessionError::Timeout(self.awaiting.phase()))
            }
            _ => Ok(()),
        }
    }
}

fn accepted(connack: &Connack) -> Result<(), SessionError> {
    Err(SessionError::Refused(match connack.return_code() {
        ConnectReturnCode::Accepted => return Ok(()),
        ConnectReturnCode::UnacceptableProtocolVersion => Refusal::ProtocolVersion,
        ConnectReturnCode::IdentifierRejected => Refusal::ClientId,
        ConnectReturnCode::ServerUnavailable => Refusal::Unavailable,
        ConnectReturnCode::BadUserNameOrPassword => Refusal::Credentials,
        ConnectReturnCode::NotAuthorized => Refusal::NotAuthorised,
    }))
}

fn connect(config: &SessionConfig) -> Result<Connect, SessionError> {
    if config.client_id.is_empty() {
        return Err(SessionError::Config("thing name"));
    }
    let unusable_name = |_| SessionError::Config("thing name");
    let unusable_will = |_| SessionError::Config("will");
    let mut connect = Connect::builder()
        .client_id(config.client_id.as_str())
        .map_err(unusable_name)?
        .clean_session(true)
        .keep_alive(config.keep_alive_secs.get());
    if let Some(Will { topic, payload }) = &config.will {
        // The rules for a topic are checked where topics are made.
        publish(topic, Vec::new(), NO_PACKET_ID, "will")?;
        connect =
            connect.will_message(topic.as_str(), payload.clone(), Qos::AtLeastOnce, false).map_err(unusable_will)?;
    }
    connect.build().map_err(unusable_name)
}

/// For a message that is only built to see whether it can be.
const NO_PACKET_ID: u16 = 1;

/// A QoS 1 message; `field` is the part of the configuration that is to blame when there can be none.
fn publish(topic: &str, payload: Vec<u8>, packet_id: u16, field: &'static str) -> Result<Publish, SessionError> {
    let unusable = |_| SessionError::Config(field);
    if topic.is_empty() {
        return Err(SessionError::Config(field));
    }
    Publish::builder()
        .topic_name(topic)
        .map_err(unusable)?
        .qos(Qos::AtLeastOnce)
        .packet_id(packet_id)
        .payload(payload)
        .build()
        .map_err(unusable)
}
