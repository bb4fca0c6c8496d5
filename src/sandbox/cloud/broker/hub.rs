//! Who is connected, who listens to what, and who may.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use super::topic;
use crate::sandbox::cloud::faults::Faults;
use crate::sandbox::cloud::service::{Service, ShadowName};

/// Messages that may wait for one client.
const QUEUE_MESSAGES: usize = 256;

/// Who is on the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox::cloud) enum Identity {
    /// A device, by the id of its certificate.
    Certificate(String),
    /// A technician's AWS login, allowed everything.
    Technician,
}

/// A message on its way to one client.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) topic: Arc<str>,
    pub(super) payload: Arc<[u8]>,
    pub(super) acknowledged: bool,
}

/// A connected client. Its session ends when the seat is gone.
struct Seat {
    number: u64,
    identity: Identity,
    /// Filters with whether QoS 1 was granted.
    filters: BTreeMap<String, bool>,
    queue: mpsc::Sender<Delivery>,
}

/// The session's ticket to its seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) client_id: String,
    number: u64,
}

/// The broker's switchboard.
pub(in crate::sandbox::cloud) struct Hub {
    service: Arc<Service>,
    pub(super) faults: Faults,
    pub(super) stopped: watch::Receiver<bool>,
    seats: Mutex<HashMap<String, Seat>>,
    numbers: AtomicU64,
    dropped: AtomicU64,
}

impl Hub {
    pub(in crate::sandbox::cloud) fn new(
        service: Arc<Service>,
        faults: Faults,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            service,
            faults,
            stopped,
            seats: Mutex::default(),
            numbers: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    pub(in crate::sandbox::cloud) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether a client may do something, by its certificate's policies now.
    pub(super) fn allows(&self, identity: &Identity, client_id: &str, action: &str, resource: &str) -> bool {
        match identity {
            Identity::Technician => true,
            Identity::Certificate(id) => self.service.authorizes(id, client_id, action, resource),
        }
    }

    /// Seats a client; whoever had the client id before loses it.
    pub(super) fn seat(&self, identity: Identity, client_id: &str) -> (Ticket, mpsc::Receiver<Delivery>) {
        let (queue, deliveries) = mpsc::channel(QUEUE_MESSAGES);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { number, identity, filters: BTreeMap::new(), queue };
        self.seats().insert(client_id.to_owned(), seat);
        (Ticket { client_id: client_id.to_owned(), number }, deliveries)
    }

    /// Gives the seat back, unless it was taken.
    pub(super) fn leave(&self, ticket: &Ticket) {
        let mut seats = self.seats();
        if seats.get(&ticket.client_id).is_some_and(|seat| seat.number == ticket.number) {
            seats.remove(&ticket.client_id);
        }
    }

    pub(super) fn subscribe(&self, ticket: &Ticket, filter: &str, acknowledged: bool) {
        if let Some(seat) = self.seats().get_mut(&ticket.client_id).filter(|seat| seat.number == ticket.number) {
            seat.filters.insert(filter.to_owned(), acknowledged);
        }
    }

    pub(super) fn unsubscribe(&self, ticket: &Ticket, filter: &str) {
        if let Some(seat) = self.seats().get_mut(&ticket.client_id).filter(|seat| seat.number == ticket.number) {
            seat.filters.remove(filter);
        }
    }

    /// Ends the sessions of certificates that are no longer active.
    pub(in crate::sandbox::cloud) fn cut_inactive(&self) {
        self.seats().retain(|_, seat| match &seat.identity {
            Identity::Certificate(id) => self.service.is_active(id),
            Identity::Technician => true,
        });
    }

    /// Takes what a client publishes: to its subscribers, and to the shadow service where that is asked.
    pub(super) fn take(&self, topic: &str, payload: &[u8], acknowledged: bool) {
        self.deliver(topic, payload, acknowledged);
        if let Some((name, verb)) = ShadowName::from_topic(topic) {
            let (_, messages) = self.service.shadow(&name, verb, payload);
            for message in messages {
                self.publish(&message.topic, &message.payload);
            }
        }
    }

    /// Publishes in the service's own name.
    pub(in crate::sandbox::cloud) fn publish(&self, topic: &str, payload: &[u8]) {
        self.deliver(topic, payload, true);
    }

    fn deliver(&self, topic: &str, payload: &[u8], acknowledged: bool) {
        let delivery = Delivery { topic: topic.into(), payload: payload.into(), acknowledged };
        for (client_id, seat) in self.seats().iter() {
            let granted =
                seat.filters.iter().filter(|(filter, _)| topic::matches(filter, topic)).map(|(_, granted)| granted);
            let Some(granted) = granted.max() else { continue };
            if !self.allows(&seat.identity, client_id, "iot:Receive", &format!("topic/{topic}")) {
                continue;
            }
            let delivery = Delivery { acknowledged: acknowledged && *granted, ..delivery.clone() };
            if seat.queue.try_send(delivery).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<String, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
