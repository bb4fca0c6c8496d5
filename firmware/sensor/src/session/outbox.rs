//! What waits to be sent: readings and reports, kept until the broker has acknowledged them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::task::{Context, Poll, Waker};

/// The largest payload the outbox takes, in bytes: the limit of a shadow document in AWS IoT.
pub const MAX_PAYLOAD_BYTES: usize = 8 * 1024;

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To the readings topic.
    Reading,
    /// To the readings topic, too: one that was kept without a connection.
    LateReading,
    /// To the shadow's `update` topic.
    Report,
}

/// A message that waits for the broker's acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Names the message towards [`Outbox::acknowledge`]; never used twice.
    pub ticket: u64,
    /// Where it goes.
    pub kind: Kind,
    /// One JSON document.
    pub payload: Vec<u8>,
}

/// A payload of more than [`MAX_PAYLOAD_BYTES`] was refused; nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The length of the payload that was refused, in bytes.
    pub payload_bytes: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A message of {} bytes is over the limit of {MAX_PAYLOAD_BYTES}.", self.payload_bytes)
    }
}

impl core::error::Error for TooLong {}

/// How many messages wait at most. The oldest gives way to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Readings; 720 are one hour at an interval of 5 s.
    pub readings: usize,
    /// Reports of the shadow's reported state.
    pub reports: usize,
}

/// What waits to be sent. A message leaves when the broker has acknowledged it, so a broken session loses none; it
/// may arrive twice, and readings carry a sequence number for that. Readings keep their order, and reports theirs;
/// reports go first, because an operator waits for them, and late readings last, one at a time.
#[derive(Debug)]
pub struct Outbox {
    reports: Lane,
    readings: Lane,
    late: Lane,
    late_acknowledged: bool,
    is_online: bool,
    next_ticket: u64,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Lane {
    limit: usize,
    waiting: VecDeque<Message>,
    dropped: u32,
}

impl Outbox {
    /// An empty outbox. A limit of 0 counts as 1.
    pub fn new(limits: Limits) -> Self {
        Self {
            reports: Lane::new(limits.reports),
            readings: Lane::new(limits.readings),
            late: Lane::new(1),
            late_acknowledged: false,
            is_online: false,
            next_ticket: 0,
            waker: None,
        }
    }

    /// Queues a reading. When the outbox is full the oldest reading is dropped and counted.
    ///
    /// # Errors
    /// [`TooLong`] when the payload is over [`MAX_PAYLOAD_BYTES`].
    pub fn push_reading(&mut self, payload: impl Into<Vec<u8>>) -> Result<(), TooLong> {
        self.push(Kind::Reading, payload.into())
    }

    /// Queues a report for the shadow. When the outbox is full the oldest report is dropped and counted.
    ///
    /// # Errors
    /// [`TooLong`] when the payload is over [`MAX_PAYLOAD_BYTES`].
    pub fn push_report(&mut self, payload: impl Into<Vec<u8>>) -> Result<(), TooLong> {
        self.push(Kind::Report, payload.into())
    }

    /// Puts a late reading, shorter than [`MAX_PAYLOAD_BYTES`], in its only place.
    pub fn push_late(&mut self, payload: impl Into<Vec<u8>>) {
        let payload = payload.into();
        debug_assert!(payload.len() <= MAX_PAYLOAD_BYTES, "a reading is made by the board");
        // Too long, it would be refused; nothing else can be wrong with it.
        let _ = self.push(Kind::LateReading, payload);
    }

    /// Whether a late reading waits.
    pub fn has_late(&self) -> bool {
        !self.late.waiting.is_empty()
    }

    /// Whether the broker acknowledged a late reading since this was last asked.
    pub fn take_late_acknowledged(&mut self) -> bool {
        core::mem::take(&mut self.late_acknowledged)
    }

    /// Takes out the readings that wait, oldest first: for whoever keeps them over a loss of power.
    pub fn take_readings(&mut self) -> Vec<Vec<u8>> {
        self.readings.waiting.drain(..).map(|message| message.payload).collect()
    }

    /// How many readings wait, the late one aside.
    pub fn readings(&self) -> usize {
        self.readings.waiting.len()
    }

    /// Whether a session is up.
    pub fn is_online(&self) -> bool {
        self.is_online
    }

    /// Notes that a session is up, or over. With its end the late reading leaves: it is kept elsewhere.
    pub fn set_online(&mut self, is_online: bool) {
        self.is_online = is_online;
        if !is_online {
            self.late.waiting.clear();
        }
    }

    /// The message to send next. It stays where it is until [`acknowledge`](Self::acknowledge).
    pub fn next(&self) -> Option<&Message> {
        [&self.reports, &self.readings, &self.late].into_iter().find_map(|lane| lane.waiting.front())
    }

    /// Takes out a message that the broker has acknowledged; one that was dropped meanwhile is passed over.
    pub fn acknowledge(&mut self, ticket: u64) {
        self.late_acknowledged |= self.late.waiting.iter().any(|message| message.ticket == ticket);
        for lane in [&mut self.reports, &mut self.readings, &mut self.late] {
            lane.waiting.retain(|message| message.ticket != ticket);
        }
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.reports.waiting.len() + self.readings.waiting.len() + self.late.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.next().is_none()
    }

    /// How many readings gave way to newer ones before they were acknowledged.
    pub fn dropped_readings(&self) -> u32 {
        self.readings.dropped
    }

    /// How many reports gave way to newer ones before they were acknowledged.
    pub fn dropped_reports(&self) -> u32 {
        self.reports.dropped
    }

    /// Ready as soon as something waits. One session at a time watches an outbox: the last waker is kept.
    pub fn poll_filled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_empty() {
            return Poll::Ready(());
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn push(&mut self, kind: Kind, payload: Vec<u8>) -> Result<(), TooLong> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(TooLong { payload_bytes: payload.len() });
        }
        let message = Message { ticket: self.next_ticket, kind, payload };
        self.next_ticket += 1;
        match kind {
            Kind::Reading => self.readings.push(message),
            Kind::LateReading => self.late.push(message),
            Kind::Report => self.reports.push(message),
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }
}

impl Lane {
    fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), waiting: VecDeque::new(), dropped: 0 }
    }

    fn push(&mut self, message: Message) {
        if self.waiting.len() == self.limit {
            self.waiting.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
        self.waiting.push_back(message);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;
    use proptest::prelude::*;

    fn outbox(readings: usize) -> Outbox {
        Outbox::new(Limits { readings, reports: 2 })
    }

    #[test]
    fn a_message_stays_until_it_is_acknowledged() {
        let mut outbox = outbox(4);
        outbox.push_reading("1").unwrap();
        outbox.push_reading("2").unwrap();
        let first = outbox.next().unwrap().clone();
        assert_eq!((first.kind, first.payload.as_slice()), (Kind::Reading, b"1".as_slice()));
        assert_eq!(outbox.next(), Some(&first));
        outbox.acknowledge(first.ticket);
        assert_eq!(outbox.next().unwrap().payload, b"2");
    }

    #[test]
    fn a_report_goes_before_the_readings() {
        let mut outbox = outbox(4);
        outbox.push_reading("reading").unwrap();
        outbox.push_report("report").unwrap();
        assert_eq!(outbox.next().unwrap().kind, Kind::Report);
        assert_eq!(outbox.len(), 2);
    }

    #[test]
    fn a_payload_over_the_limit_is_refused() {
        let mut outbox = outbox(4);
        assert_eq!(outbox.push_report(vec![b' '; MAX_PAYLOAD_BYTES + 1]), Err(TooLong { payload_bytes: 8_193 }));
        assert!(outbox.is_empty());
        outbox.push_report(vec![b' '; MAX_PAYLOAD_BYTES]).unwrap();
    }

    #[test]
    fn acknowledging_a_dropped_message_takes_no_other() {
        let mut outbox = outbox(1);
        outbox.push_reading("1").unwrap();
        let ticket = outbox.next().unwrap().ticket;
        outbox.push_reading("2").unwrap();
        outbox.acknowledge(ticket);
        assert_eq!(outbox.next().unwrap().payload, b"2");
        assert_eq!(outbox.dropped_readings(), 1);
    }

    proptest! {
        #[test]
        fn what_is_not_dropped_comes_out_in_order(limit in 1usize..20, pushed in 0usize..60) {
            let mut outbox = outbox(limit);
            for number in 0..pushed {
                outbox.push_reading(format!("{number}")).unwrap();
            }
            let dropped = pushed.saturating_sub(limit);
            prop_assert_eq!(outbox.dropped_readings() as usize, dropped);
            for number in dropped..pushed {
                let message = outbox.next().unwrap().clone();
                prop_assert_eq!(message.payload, format!("{number}").into_bytes());
                outbox.acknowledge(message.ticket);
            }
            prop_assert!(outbox.is_empty());
        }
    }
}
