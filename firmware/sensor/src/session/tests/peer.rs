//! A broker that says what the test tells it to. It packs and unpacks bytes by hand, so that board and test do not
//! share their mistakes.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A SUBACK that grants all five subscriptions with QoS 1.
pub(super) const ALL_GRANTED: [u8; 5] = [1; 5];

/// The broker's end of the line.
pub(super) struct Peer(pub(super) DuplexStream);

impl Peer {
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// One packet: its first byte and what follows the remaining length.
    pub(super) async fn receive(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.unwrap();
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.0.read_u8().await.unwrap();
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (first, body)
    }

    /// A QoS 1 PUBLISH: packet id, topic, payload.
    pub(super) async fn receive_publish(&mut self) -> ([u8; 2], String, Vec<u8>) {
        let (first, body) = self.receive().await;
        assert_eq!(first, 0x32, "QoS 1, neither retained nor a duplicate");
        let (topic, rest) = split_text(&body);
        (rest[..2].try_into().unwrap(), topic, rest[2..].to_vec())
    }

    pub(super) async fn acknowledge(&mut self, packet_id: [u8; 2]) {
        self.send(&[0x40, 2, packet_id[0], packet_id[1]]).await;
    }

    pub(super) async fn accept(&mut self) {
        assert_eq!(self.receive().await.0, 0x10);
        self.send(&[0x20, 2, 0, 0]).await;
    }

    pub(super) async fn grant(&mut self, codes: [u8; 5]) -> Vec<u8> {
        let (first, body) = self.receive().await;
        assert_eq!(first, 0x82);
        let mut suback = vec![0x90, 7, body[0], body[1]];
        suback.extend(codes);
        self.send(&suback).await;
        body
    }

    /// Everything up to the acknowledged question for the shadow.
    pub(super) async fn bring_online(&mut self) {
        self.accept().await;
        self.grant(ALL_GRANTED).await;
        let (packet_id, topic, payload) = self.receive_publish().await;
        assert_eq!((topic.as_str(), payload.len()), ("$aws/things/truckSensor01/shadow/get", 0));
        self.acknowledge(packet_id).await;
    }

    /// Takes one message, acknowledges it and returns its payload.
    pub(super) async fn take_message(&mut self) -> (String, String) {
        let (packet_id, topic, payload) = self.receive_publish().await;
        self.acknowledge(packet_id).await;
        (topic, String::from_utf8(payload).unwrap())
    }
}

pub(super) fn split_text(bytes: &[u8]) -> (String, &[u8]) {
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    (String::from_utf8(bytes[2..2 + length].to_vec()).unwrap(), &bytes[2 + length..])
}

pub(super) fn publish_bytes(first: u8, topic: &str, packet_id: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, (2 + topic.len() + packet_id.len() + payload.len()).try_into().unwrap()];
    bytes.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
    bytes.extend(topic.as_bytes());
    bytes.extend(packet_id);
    bytes.extend(payload);
    bytes
}

/// A line that takes everything and fails when it is read.
pub(super) struct Failing(pub(super) ErrorKind);

impl ErrorType for Failing {
    type Error = ErrorKind;
}

impl Read for Failing {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize, ErrorKind> {
        Err(self.0)
    }
}

impl Write for Failing {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
