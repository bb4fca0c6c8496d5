//! Where the messages of an observation go: a bounded queue that drops and counts when it is full.

use tokio::sync::mpsc::{self, error::TrySendError};

use crate::ports::broker::{BrokerError, Message};

/// Messages that wait for a slow receiver. At one message each five seconds from a board this is many minutes.
const QUEUE: usize = 256;

/// The sending end.
pub(super) struct Sink {
    queue: mpsc::Sender<Result<Message, BrokerError>>,
    dropped: u64,
}

impl Sink {
    /// Makes a queue.
    pub(super) fn new() -> (Sink, mpsc::Receiver<Result<Message, BrokerError>>) {
        let (queue, messages) = mpsc::channel(QUEUE);
        (Sink { queue, dropped: 0 }, messages)
    }

    /// Passes a message on, or drops and counts it.
    pub(super) fn pass(&mut self, message: Message) {
        if let Err(TrySendError::Full(Ok(message))) = self.queue.try_send(Ok(message)) {
            self.dropped += 1;
            tracing::warn!(topic = message.topic, dropped = self.dropped, "a message was dropped, nobody reads them");
        }
    }

    /// Ends the observation with an error, when the receiver has taken what came before.
    pub(super) async fn fail(self, error: BrokerError) {
        // A receiver that is gone does not need to know.
        let _ = self.queue.send(Err(error)).await;
    }

    /// Whether nobody listens any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.queue.is_closed()
    }

    /// Waits until nobody listens any more.
    pub(super) fn abandoned(&self) -> impl Future<Output = ()> + use<> {
        let queue = self.queue.clone();
        async move { queue.closed().await }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    #[tokio::test]
    async fn a_full_queue_drops_the_newest_and_counts_them() {
        let (mut sink, mut messages) = Sink::new();
        for number in 0..QUEUE + 3 {
            let payload = number.to_string().into_bytes();
            sink.pass(Message { topic: "t".to_owned(), payload, received: OffsetDateTime::UNIX_EPOCH });
        }
        assert_eq!(sink.dropped, 3);
        assert_eq!(messages.recv().await.unwrap().unwrap().payload, b"0");
        sink.fail(BrokerError::Lost { why: "test".to_owned() }).await;
        let mut last = None;
        while let Some(message) = messages.recv().await {
            last = Some(message);
        }
        assert!(matches!(last, Some(Err(BrokerError::Lost { .. }))));
    }
}
