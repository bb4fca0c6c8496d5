//! One client's connection, from CONNECT to the end.

use std::sync::Arc;
use std::time::Duration;

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait as _, Packet, Qos, v3_1_1};
use mqtt_protocol_core::mqtt::result_code::{ConnectReturnCode, SubackReturnCode};
use mqtt_protocol_core::mqtt::{Connection, Version, role};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use super::hub::{Delivery, Hub, Identity, Ticket};
use super::topic;
use crate::sandbox::cloud::service::ShadowName;
use crate::sandbox::cloud::told_to_stop;

/// How soon CONNECT must come, and how long a write may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The keep-alive AWS assumes where a client asks for none, and the longest it grants.
const KEEP_ALIVE_MAX_SECS: u16 = 1200;
/// The most a message may carry.
const PAYLOAD_LIMIT_BYTES: usize = 128 * 1024;
/// The most one packet may take: a full message with its topic and header.
const PACKET_LIMIT_BYTES: u32 = PAYLOAD_LIMIT_BYTES as u32 + 1024;
/// Filters in one SUBSCRIBE.
const FILTERS_PER_SUBSCRIBE: usize = 8;

/// Why a session ends. Only `Goodbye` spares the last will.
enum End {
    Goodbye,
    Cut,
}

/// The last will, kept until the session's end.
struct Will {
    topic: String,
    payload: Vec<u8>,
    acknowledged: bool,
}

struct Session<S> {
    stream: S,
    mqtt: Connection<role::Server>,
    identity: Identity,
    hub: Arc<Hub>,
}

/// Serves a client until either side ends it.
pub(in crate::sandbox::cloud) async fn session<S>(stream: S, identity: Identity, hub: Arc<Hub>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limits = ConnectionOptions::new().maximum_packet_size_recv(PACKET_LIMIT_BYTES);
    let mqtt = Connection::with_options(Version::V3_1_1, limits);
    let mut stopped = hub.stopped.clone();
    let mut session = Session { stream, mqtt, identity, hub };
    tokio::select! {
        () = session.run() => {}
        () = told_to_stop(&mut stopped) => {}
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    async fn run(&mut self) {
        let Ok(Ok((connect, early))) = timeout(PATIENCE, self.connect()).await else { return };
        // A client that may not connect is cut without an answer, as AWS does it.
        let client_id = connect.client_id().to_owned();
        let resource = format!("client/{client_id}");
        if client_id.is_empty() || !self.hub.allows(&self.identity, &client_id, "iot:Connect", &resource) {
            return;
        }
        if self.hub.faults.refuses_connect() {
            // It is refused either way; the client may not even wait for the answer.
            let _ = self.answer_connect(ConnectReturnCode::ServerUnavailable).await;
            return;
        }
        let (ticket, deliveries) = self.hub.seat(self.identity.clone(), &client_id);
        let end = match self.answer_connect(ConnectReturnCode::Accepted).await {
            Ok(()) => self.serve(&connect, &ticket, deliveries, early).await,
            Err(end) => Err(end),
        };
        self.hub.leave(&ticket);
        if let (Err(End::Cut), Some(will)) = (end, will_of(&connect)) {
            let resource = format!("topic/{}", will.topic);
            if self.hub.allows(&self.identity, &client_id, "iot:Publish", &resource) {
                self.hub.take(&will.topic, &will.payload, will.acknowledged);
            }
        }
    }

    /// Waits for CONNECT; also returns what the client sent right behind it.
    async fn connect(&mut self) -> Result<(v3_1_1::Connect, Vec<Packet>), End> {
        loop {
            let mut packets = self.receive().await?.into_iter();
            match packets.next() {
                Some(Packet::V3_1_1Connect(connect)) => return Ok((connect, packets.collect())),
                Some(_) => return Err(End::Cut),
                None => {}
            }
        }
    }

    async fn answer_connect(&mut self, code: ConnectReturnCode) -> Result<(), End> {
        let connack = v3_1_1::Connack::builder().session_present(false).return_code(code).build();
        self.send(connack.map_err(|_| End::Cut)?.into()).await
    }

    async fn serve(
        &mut self,
        connect: &v3_1_1::Connect,
        ticket: &Ticket,
        mut deliveries: tokio::sync::mpsc::Receiver<Delivery>,
        early: Vec<Packet>,
    ) -> Result<(), End> {
        let keep_alive = match connect.keep_alive() {
            0 => KEEP_ALIVE_MAX_SECS,
            asked => asked.min(KEEP_ALIVE_MAX_SECS),
        };
        let silence = Duration::from_secs(keep_alive.into()).mul_f32(1.5);
        let mut deadline = Instant::now() + silence;
        for packet in early {
            self.handle(packet, ticket).await?;
        }
        loop {
            tokio::select! {
                packets = self.receive() => {
                    deadline = Instant::now() + silence;
                    for packet in packets? {
                        self.handle(packet, ticket).await?;
                    }
                }
                delivery = deliveries.recv() => match delivery {
                    Some(delivery) => self.deliver(delivery).await?,
                    // The seat is gone: taken by another, or the certificate is no longer active.
                    None => return Err(End::Cut),
                },
                () = sleep_until(deadline) => return Err(End::Cut),
            }
        }
    }

    /// Reads what has come, which may be several packets or less than one. Nothing is lost if it is abandoned.
    async fn receive(&mut self) -> Result<Vec<Packet>, End> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.map_err(|_| End::Cut)?;
        if count == 0 {
            return Err(End::Cut);
        }
        let mut cursor = Cursor::new(&buffer[..count]);
        let mut packets = Vec::new();
        while cursor.position() < count as u64 {
            for event in self.mqtt.recv(&mut cursor) {
                match event {
                    Event::NotifyPacketReceived(packet) => packets.push(packet),
                    // A goodbye closes the connection too; it is among the packets.
                    Event::NotifyError(_) | Event::RequestClose if !says_goodbye(&packets) => return Err(End::Cut),
                    _ => {}
                }
            }
        }
        Ok(packets)
    }

    async fn handle(&mut self, packet: Packet, ticket: &Ticket) -> Result<(), End> {
        match packet {
            Packet::V3_1_1Publish(publish) => self.published(publish, ticket).await,
            Packet::V3_1_1Subscribe(subscribe) => self.subscribed(subscribe, ticket).await,
            Packet::V3_1_1Unsubscribe(unsubscribe) => {
                for filter in unsubscribe.entries() {
                    self.hub.unsubscribe(ticket, filter.as_str());
                }
                let unsuback = v3_1_1::Unsuback::builder().packet_id(unsubscribe.packet_id()).build();
                self.send(unsuback.map_err(|_| End::Cut)?.into()).await
            }
            Packet::V3_1_1Pingreq(_) => {
                let pong = v3_1_1::Pingresp::builder().build().map_err(|_| End::Cut)?;
                self.send(pong.into()).await
            }
            Packet::V3_1_1Disconnect(_) => Err(End::Goodbye),
            _ => Ok(()),
        }
    }

    async fn published(&mut self, publish: v3_1_1::Publish, ticket: &Ticket) -> Result<(), End> {
        if self.hub.faults.drops_publish() {
            return Err(End::Cut);
        }
        let (name, payload) = (publish.topic_name(), publish.payload().as_slice());
        let fits = topic::is_topic(name) && payload.len() <= PAYLOAD_LIMIT_BYTES && publish.qos() != Qos::ExactlyOnce;
        // Of the reserved topics clients may publish to requests only, never to answers.
        let open = !name.starts_with('$') || ShadowName::from_topic(name).is_some() || name.starts_with("$aws/rules/");
        let resource = format!("topic/{name}");
        if !fits || !open || !self.hub.allows(&self.identity, &ticket.client_id, "iot:Publish", &resource) {
            return Err(End::Cut);
        }
        let acknowledged = publish.qos() == Qos::AtLeastOnce;
        self.hub.take(name, payload, acknowledged);
        if let Some(id) = publish.packet_id().filter(|_| acknowledged) {
            let puback = v3_1_1::Puback::builder().packet_id(id).build().map_err(|_| End::Cut)?;
            self.send(puback.into()).await?;
        }
        Ok(())
    }

    async fn subscribed(&mut self, subscribe: v3_1_1::Subscribe, ticket: &Ticket) -> Result<(), End> {
        if subscribe.entries().len() > FILTERS_PER_SUBSCRIBE {
            return Err(End::Cut);
        }
        let mut codes = Vec::new();
        for entry in subscribe.entries() {
            let filter = entry.topic_filter();
            let resource = format!("topicfilter/{filter}");
            if !topic::is_filter(filter)
                || entry.sub_opts().qos() == Qos::ExactlyOnce
                || !self.hub.allows(&self.identity, &ticket.client_id, "iot:Subscribe", &resource)
            {
                return Err(End::Cut);
            }
            let acknowledged = entry.sub_opts().qos() == Qos::AtLeastOnce;
            self.hub.subscribe(ticket, filter, acknowledged);
            codes.push(match acknowledged {
                true => SubackReturnCode::SuccessMaximumQos1,
                false => SubackReturnCode::SuccessMaximumQos0,
            });
        }
        let suback = v3_1_1::Suback::builder().packet_id(subscribe.packet_id()).return_codes(codes).build();
        self.send(suback.map_err(|_| End::Cut)?.into()).await
    }

    async fn deliver(&mut self, delivery: Delivery) -> Result<(), End> {
        let builder = v3_1_1::Publish::builder().topic_name(&*delivery.topic).map_err(|_| End::Cut)?;
        let builder = builder.payload(&*delivery.payload);
        let builder = match delivery.acknowledged {
            false => builder.qos(Qos::AtMostOnce),
            true => {
                // Every id in flight: the client acknowledges nothing.
                let id = self.mqtt.acquire_packet_id().map_err(|_| End::Cut)?;
                builder.qos(Qos::AtLeastOnce).packet_id(id)
            }
        };
        self.send(builder.build().map_err(|_| End::Cut)?.into()).await
    }

    async fn send(&mut self, packet: Packet) -> Result<(), End> {
        for event in self.mqtt.send(packet) {
            match event {
                Event::RequestSendPacket { packet, .. } => self.write(&packet).await?,
                Event::NotifyError(_) => return Err(End::Cut),
                _ => {}
            }
        }
        Ok(())
    }

    async fn write(&mut self, packet: &Packet) -> Result<(), End> {
        let bytes = packet.to_continuous_buffer();
        let written = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        timeout(PATIENCE, written).await.map_err(|_| End::Cut)?.map_err(|_| End::Cut)
    }
}

fn says_goodbye(packets: &[Packet]) -> bool {
    packets.iter().any(|packet| matches!(packet, Packet::V3_1_1Disconnect(_)))
}

fn will_of(connect: &v3_1_1::Connect) -> Option<Will> {
    let topic = connect.will_topic().filter(|_| connect.will_flag())?.to_owned();
    Some(Will {
        payload: connect.will_payload().unwrap_or_default().to_vec(),
        acknowledged: connect.will_qos() != Qos::AtMostOnce,
        topic,
    })
}
