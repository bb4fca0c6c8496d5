//! One MQTT connection with its subscriptions granted.

use std::time::Duration;

use async_tungstenite::tungstenite;
use rumqttc::{
    AsyncClient, ClientError, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS,
    SubscribeFilter, SubscribeReasonCode,
};
use time::OffsetDateTime;

use super::sink::Sink;
use crate::ports::broker::{BrokerError, Message};

/// AWS IoT takes no more filters in one SUBSCRIBE.
const FILTERS_AT_ONCE: usize = 8;
/// A connection must stand within this time, TLS and CONNACK included.
const CONNECT_LIMIT_SECS: u64 = 10;
/// A farewell must be sent within this time.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);
/// A silent broker is found out after at most twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// AWS IoT's messages have up to 128 KiB; the rest is for topic and header.
const PACKET_BYTES: usize = 160 * 1024;

/// A connection.
pub(super) struct Link {
    client: AsyncClient,
    events: EventLoop,
}

/// Why a connection with its subscriptions did not come about.
#[derive(Debug)]
pub(super) enum Failure {
    /// This way leads nowhere; another may.
    NoWay(String),
    /// The broker is there and says no; another way changes nothing.
    Broker(BrokerError),
}

impl Link {
    /// Connects and subscribes. Messages that come before the last grant go to the sink already.
    pub(super) async fn open(mut options: MqttOptions, topics: &[String], sink: &mut Sink) -> Result<Link, Failure> {
        options.set_clean_session(true).set_keep_alive(KEEP_ALIVE).set_max_packet_size(PACKET_BYTES, PACKET_BYTES);
        let (client, mut events) = AsyncClient::new(options, FILTERS_AT_ONCE);
        events.network_options.set_connection_timeout(CONNECT_LIMIT_SECS).set_tcp_nodelay(true);
        let mut link = Link { client, events };
        loop {
            if let Event::Incoming(Packet::ConnAck(_)) = link.events.poll().await.map_err(connect_failure)? {
                break;
            }
        }
        for filters in topics.chunks(FILTERS_AT_ONCE) {
            link.subscribe(filters, sink).await?;
        }
        Ok(link)
    }

    async fn subscribe(&mut self, filters: &[String], sink: &mut Sink) -> Result<(), Failure> {
        let wanted = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        self.client.try_subscribe_many(wanted).map_err(|error: ClientError| Failure::NoWay(error.to_string()))?;
        let denied = |filter: &str| Failure::Broker(BrokerError::Denied { topic: filter.to_owned() });
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::SubAck(answer))) => {
                    let mut answers = filters.iter().zip(&answer.return_codes);
                    let refused = answers.find(|(_, code)| **code == SubscribeReasonCode::Failure);
                    return refused.map_or(Ok(()), |(filter, _)| Err(denied(filter)));
                }
                Ok(event) => accept(event, sink),
                // AWS IoT answers a subscription that a policy forbids by closing the connection.
                Err(_) => return Err(denied(&filters.join(", "))),
            }
        }
    }

    /// Passes on the next message, or does what else the connection needs. May be dropped at any time, but then the
    /// connection must not be used again, other than for a farewell.
    pub(super) async fn attend(&mut self, sink: &mut Sink) -> Result<(), String> {
        let event = self.events.poll().await.map_err(|error| causes(&error))?;
        accept(event, sink);
        Ok(())
    }

    /// Says goodbye, so that the broker does not take the silence for a fault.
    pub(super) async fn farewell(mut self) {
        if self.client.try_disconnect().is_err() {
            return;
        }
        let said = async {
            while let Ok(event) = self.events.poll().await {
                if matches!(event, Event::Outgoing(rumqttc::Outgoing::Disconnect)) {
                    break;
                }
            }
        };
        if tokio::time::timeout(FAREWELL_LIMIT, said).await.is_err() {
            tracing::debug!("the broker did not take the farewell in time");
        }
    }
}

fn accept(event: Event, sink: &mut Sink) {
    if let Event::Incoming(Packet::Publish(publish)) = event {
        sink.pass(Message {
            topic: publish.topic,
            payload: publish.payload.to_vec(),
            received: OffsetDateTime::now_utc(),
        });
    }
}

fn connect_failure(error: ConnectionError) -> Failure {
    let refused = |why: String| Failure::Broker(BrokerError::Refused { why });
    match &error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::ServiceUnavailable) => Failure::NoWay(causes(&error)),
        ConnectionError::ConnectionRefused(code) => refused(format!("CONNACK {code:?}")),
        ConnectionError::Websocket(tungstenite::Error::Http(answer))
            if matches!(answer.status().as_u16(), 401 | 403) =>
        {
            refused(format!("HTTP {}", answer.status()))
        }
        _ => Failure::NoWay(causes(&error)),
    }
}

/// All causes in one line. The libraries put no URL into them, so no signature either.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// A broker that sends one answer after each packet it gets. An empty answer closes the connection.
    async fn open_against(answers: &'static [&'static [u8]]) -> Result<Link, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let options = MqttOptions::new("coldbench-test", "127.0.0.1", listener.local_addr().unwrap().port());
        let broker = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                // CONNECT and SUBSCRIBE are short: one length byte after the type.
                let mut head = [0; 2];
                stream.read_exact(&mut head).await.unwrap();
                let mut rest = vec![0; usize::from(head[1])];
                stream.read_exact(&mut rest).await.unwrap();
                if answer.is_empty() {
                    return;
                }
                stream.write_all(answer).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let (mut sink, _messages) = Sink::new();
        let opened = Link::open(options, &["mine".to_owned(), "theirs".to_owned()], &mut sink).await;
        broker.abort();
        opened
    }

    const CONNACK: &[u8] = &[0x20, 2, 0, 0];

    #[tokio::test]
    async fn both_topics_must_be_granted() {
        assert!(open_against(&[CONNACK, &[0x90, 4, 0, 1, 1, 1]]).await.is_ok());
        let Err(Failure::Broker(BrokerError::Denied { topic })) =
            open_against(&[CONNACK, &[0x90, 4, 0, 1, 1, 0x80]]).await
        else {
            panic!("the second topic was not granted")
        };
        assert_eq!(topic, "theirs");
    }

    #[tokio::test]
    async fn a_connection_that_ends_at_a_subscription_is_a_denial() {
        let opened = open_against(&[CONNACK, &[]]).await;
        assert!(matches!(opened, Err(Failure::Broker(BrokerError::Denied { .. }))), "{:?}", opened.err());
    }

    #[tokio::test]
    async fn a_refusal_is_told_from_a_broker_that_is_busy() {
        let refused = open_against(&[&[0x20, 2, 0, 5]]).await;
        assert!(matches!(refused, Err(Failure::Broker(BrokerError::Refused { .. }))), "{:?}", refused.err());
        let busy = open_against(&[&[0x20, 2, 0, 3]]).await;
        assert!(matches!(busy, Err(Failure::NoWay(_))), "{:?}", busy.err());
    }
}
