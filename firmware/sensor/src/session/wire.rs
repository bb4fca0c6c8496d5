//! MQTT packets over a byte stream: the sans-I/O protocol, the stream and the clock put together.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};

use embedded_io_async::{Error, ErrorKind, Read, Write};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event, TimerKind};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet};
use mqtt_protocol_core::mqtt::result_code::MqttError;
use mqtt_protocol_core::mqtt::{Connection, Version, role};

use super::clock::Clock;
use super::error::{Phase, SessionError};
use super::{MAX_PACKET_BYTES, SessionConfig};

/// How many bytes one read takes.
const CHUNK_BYTES: usize = 512;

/// Why [`Wire::wait`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// Bytes came; [`Wire::next_packet`] has what they made whole.
    Bytes,
    /// The outbox has something to send.
    Filled,
    /// The caller wants the session to end.
    Stopped,
    /// The deadline, or the moment for a ping, has come.
    Time,
}

/// One MQTT connection over a line.
pub(super) struct Wire<'a, L, C> {
    line: &'a mut L,
    clock: &'a C,
    protocol: Connection<role::Client>,
    arrived: VecDeque<Packet>,
    answer_timeout_millis: u64,
    ping_due_millis: Option<u64>,
    pong_due_millis: Option<u64>,
}

impl<'a, L: Read + Write, C: Clock> Wire<'a, L, C> {
    pub(super) fn new(line: &'a mut L, clock: &'a C, config: &SessionConfig) -> Self {
        let options = ConnectionOptions::new().maximum_packet_size_recv(MAX_PACKET_BYTES);
        let mut protocol = Connection::with_options(Version::V3_1_1, options);
        protocol.set_auto_pub_response(true);
        protocol.set_pingresp_recv_timeout(config.answer_timeout_millis());
        // The broker counts keep-alive from what it received; a ping sent only when the time is up would come late.
        // Nothing is connected yet, so this asks for no timer.
        protocol.set_pingreq_send_interval(Some(u64::from(config.keep_alive_secs.get()) * 750));
        Self {
            line,
            clock,
            protocol,
            arrived: VecDeque::new(),
            answer_timeout_millis: config.answer_timeout_millis(),
            ping_due_millis: None,
            pong_due_millis: None,
        }
    }

    /// When an answer to something sent now is overdue.
    pub(super) fn answer_deadline_millis(&self) -> u64 {
        self.clock.now_millis() + self.answer_timeout_millis
    }

    /// Whether the moment has come.
    pub(super) fn is_past(&self, moment_millis: u64) -> bool {
        self.clock.now_millis() >= moment_millis
    }

    /// A packet id for the next SUBSCRIBE or PUBLISH. With one packet under way at a time they do not run out.
    pub(super) fn packet_id(&mut self) -> Result<u16, SessionError> {
        self.protocol.acquire_packet_id().map_err(|_| SessionError::Malformed)
    }

    /// Sends a packet, within the answer time-out.
    pub(super) async fn send(&mut self, packet: impl Into<Packet>) -> Result<(), SessionError> {
        let events = self.protocol.send(packet.into());
        self.follow(events).await
    }

    /// The next whole packet among the bytes that came.
    pub(super) fn next_packet(&mut self) -> Option<Packet> {
        self.arrived.pop_front()
    }

    /// Waits for bytes, for `filled`, for `stop` or for `deadline_millis`, and keeps the connection alive meanwhile.
    ///
    /// `phase` is what an error is reported with. The line's `read` is dropped when something else comes first.
    pub(super) async fn wait(
        &mut self,
        phase: Phase,
        deadline_millis: Option<u64>,
        mut filled: impl FnMut(&mut Context<'_>) -> Poll<()>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Wake, SessionError> {
        self.keep_alive().await?;
        let due_millis = [deadline_millis, self.ping_due_millis, self.pong_due_millis].into_iter().flatten().min();
        let due_millis = due_millis.unwrap_or_else(|| self.answer_deadline_millis());
        let phase = if self.pong_due_millis.is_some() && phase == Phase::Listening { Phase::Pinging } else { phase };

        let mut chunk = [0; CHUNK_BYTES];
        let mut taken = 0;
        let wake = {
            let mut read = pin!(self.line.read(&mut chunk));
            let mut sleep = pin!(self.clock.sleep_until(due_millis));
            poll_fn(|context| {
                if stop.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Ok(Wake::Stopped));
                }
                match read.as_mut().poll(context) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(SessionError::closed(phase))),
                    Poll::Ready(Ok(bytes)) => {
                        taken = bytes;
                        return Poll::Ready(Ok(Wake::Bytes));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(line_error(error.kind(), phase))),
                    Poll::Pending => {}
                }
                if filled(context).is_ready() {
                    return Poll::Ready(Ok(Wake::Filled));
                }
                sleep.as_mut().poll(context).map(|()| Ok(Wake::Time))
            })
            .await?
        };
        self.take_bytes(chunk.get(..taken).unwrap_or_default()).await?;
        Ok(wake)
    }

    /// Gives the bytes to the protocol, and sends what it answers by itself.
    async fn take_bytes(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.remaining_slice().is_empty() {
            let events = self.protocol.recv(&mut cursor);
            self.follow(events).await?;
        }
        Ok(())
    }

    /// Sends a ping that is due; fails when the answer to the last one is overdue.
    async fn keep_alive(&mut self) -> Result<(), SessionError> {
        if self.pong_due_millis.is_some_and(|due_millis| self.is_past(due_millis)) {
            return Err(SessionError::Timeout(Phase::Pinging));
        }
        if self.ping_due_millis.is_some_and(|due_millis| self.is_past(due_millis)) {
            self.ping_due_millis = None;
            let events = self.protocol.notify_timer_fired(TimerKind::PingreqSend);
            self.follow(events).await?;
        }
        Ok(())
    }

    /// Does what the protocol asks for.
    async fn follow(&mut self, events: Vec<Event>) -> Result<(), SessionError> {
        for event in events {
            match event {
                Event::RequestSendPacket { packet, .. } => self.write(&packet.to_continuous_buffer()).await?,
                Event::NotifyPacketReceived(packet) => self.arrived.push_back(packet),
                Event::RequestTimerReset { kind, duration_ms } => {
                    let due_millis = self.clock.now_millis() + duration_ms;
                    self.set_timer(kind, Some(due_millis));
                }
                Event::RequestTimerCancel(kind) => self.set_timer(kind, None),
                Event::NotifyError(MqttError::PacketTooLarge) => return Err(SessionError::TooLarge),
                Event::NotifyError(_) => return Err(SessionError::Malformed),
                // Asked for after DISCONNECT, which ends the session anyway, or together with an error.
                Event::RequestClose | Event::NotifyPacketIdReleased(_) => {}
            }
        }
        Ok(())
    }

    fn set_timer(&mut self, kind: TimerKind, due_millis: Option<u64>) {
        match kind {
            TimerKind::PingreqSend => self.ping_due_millis = due_millis,
            TimerKind::PingrespRecv => self.pong_due_millis = due_millis,
            // A server's timer.
            TimerKind::PingreqRecv => {}
        }
    }

    /// Writes all bytes and flushes them, within the answer time-out.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let mut sleep = pin!(self.clock.sleep_until(self.answer_deadline_millis()));
        let mut write = pin!(write_all(self.line, bytes));
        poll_fn(|context| {
            if let Poll::Ready(result) = write.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            sleep.as_mut().poll(context).map(|()| Err(SessionError::Timeout(Phase::Writing)))
        })
        .await
    }
}

/// The trait's own `write_all` panics on a line that takes nothing; here that is a closed line.
async fn write_all<L: Write>(line: &mut L, mut bytes: &[u8]) -> Result<(), SessionError> {
    let failed = |error: L::Error| line_error(error.kind(), Phase::Writing);
    while !bytes.is_empty() {
        let written = line.write(bytes).await.map_err(failed)?;
        if written == 0 {
            return Err(SessionError::Closed(Phase::Writing));
        }
        bytes = bytes.get(written..).unwrap_or_default();
    }
    line.flush().await.map_err(failed)
}

/// A line reset by the other side is closed by it; one that was not permitted is a TLS line that ended because of the
/// certificate; everything else is a fault of the line.
fn line_error(kind: ErrorKind, phase: Phase) -> SessionError {
    match kind {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            SessionError::closed(phase)
        }
        ErrorKind::PermissionDenied => SessionError::CertificateRefused,
        kind => SessionError::Io(kind, phase),
    }
}
