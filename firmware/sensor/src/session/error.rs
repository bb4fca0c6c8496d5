//! Why a session ended before it was asked to.

use alloc::string::String;
use core::fmt;

use embedded_io_async::ErrorKind;

use super::CertificateRefusal;

/// Why the broker's CONNACK turned the board away (MQTT 3.1.1, table 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 1: the broker does not speak MQTT 3.1.1.
    ProtocolVersion,
    /// 2: the broker does not accept the board's thing name as client id.
    ClientId,
    /// 3: the broker is reachable but out of service.
    Unavailable,
    /// 4: user name or password missing or wrong.
    Credentials,
    /// 5: the certificate's policy does not allow this client id to connect.
    NotAuthorised,
}

/// What the session was doing when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// CONNECT was sent; CONNACK had not come.
    Connecting,
    /// SUBSCRIBE was sent; SUBACK had not come.
    Subscribing,
    /// A message was sent; its PUBACK had not come.
    Publishing,
    /// PINGREQ was sent; PINGRESP had not come.
    Pinging,
    /// Bytes were handed to the line, which did not take them.
    Writing,
    /// Nothing was outstanding.
    Listening,
}

/// Why a session ended before it was asked to. Every message that was not acknowledged is still in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// A client id, topic or will of the configuration cannot be put into an MQTT packet. Names the field.
    Config(&'static str),
    /// The broker answered CONNECT with a refusal.
    Refused(Refusal),
    /// The broker refused the subscription to this topic.
    Denied(String),
    /// The other side did not answer in time.
    Timeout(Phase),
    /// The broker closed the line instead of answering CONNECT. AWS IoT does so when the certificate is not active or no
    /// policy allows the thing to connect.
    NotAdmitted,
    /// The broker ended the TLS line because of the board's certificate. In TLS 1.3 that comes after the handshake.
    CertificateRefused,
    /// The broker closed the line later than that.
    Closed(Phase),
    /// The broker sent something that is not MQTT 3.1.1, or not allowed at this point.
    Malformed,
    /// The broker sent a packet of more than [`MAX_PACKET_BYTES`](super::MAX_PACKET_BYTES).
    TooLarge,
    /// The line itself failed. A TLS line that the broker cuts without a TLS farewell fails too.
    Io(ErrorKind, Phase),
}

impl SessionError {
    /// The broker closed the line in this phase.
    pub(super) fn closed(phase: Phase) -> Self {
        match phase {
            Phase::Connecting => Self::NotAdmitted,
            phase => Self::Closed(phase),
        }
    }

    /// What the error is when it came of sending CONNECT.
    pub(super) fn of_connect(self) -> Self {
        match self {
            Self::Closed(_) => Self::NotAdmitted,
            other => other,
        }
    }

    /// The stable code for logs and support.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "session.config",
            Self::Refused(_) => "session.refused",
            Self::Denied(_) => "session.denied",
            Self::Timeout(_) => "session.timeout",
            Self::NotAdmitted => "session.not-admitted",
            Self::CertificateRefused => "session.certificate",
            Self::Closed(_) => "session.closed",
            Self::Malformed => "session.malformed",
            Self::TooLarge => "session.too-large",
            Self::Io(..) => "session.io",
        }
    }

    /// What a technician can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Config(_) => "Install the board's identity and network again.",
            Self::Refused(Refusal::Unavailable) => "Wait; the board tries again by itself.",
            Self::Refused(Refusal::ProtocolVersion) => "Check the endpoint: it must speak MQTT 3.1.1.",
            Self::Refused(_) | Self::NotAdmitted => {
                "Check that the certificate is active and that its policy allows this thing to connect."
            }
            Self::CertificateRefused => CertificateRefusal::Unread.advice(),
            Self::Denied(_) | Self::Closed(Phase::Subscribing) | Self::Io(_, Phase::Subscribing) => {
                "Check that the policy allows the thing to subscribe to its own shadow."
            }
            Self::Closed(Phase::Publishing) | Self::Io(_, Phase::Publishing) => {
                "Check that the policy allows the thing to publish to its own topics."
            }
            Self::Closed(Phase::Listening) => {
                "Check that no other client uses the thing's name; the board tries again by itself."
            }
            Self::Timeout(_) | Self::Closed(_) | Self::Io(..) => {
                "Check the board's network; the board tries again by itself."
            }
            Self::Malformed | Self::TooLarge => "Check that the endpoint and port are those of the MQTT broker.",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProtocolVersion => "it does not speak MQTT 3.1.1",
            Self::ClientId => "it does not accept the client id",
            Self::Unavailable => "it is out of service",
            Self::Credentials => "user name or password are wrong",
            Self::NotAuthorised => "the board is not authorised",
        })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "while connecting",
            Self::Subscribing => "while subscribing",
            Self::Publishing => "while a message awaited its acknowledgement",
            Self::Pinging => "while a ping awaited its answer",
            Self::Writing => "while sending",
            Self::Listening => "while listening",
        })
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(field) => write!(f, "The {field} cannot be used in MQTT."),
            Self::Refused(refusal) => write!(f, "The broker refused the connection: {refusal}."),
            Self::Denied(topic) => write!(f, "The broker denied the subscription to {topic}."),
            Self::Timeout(phase) => write!(f, "The broker did not answer in time {phase}."),
            Self::NotAdmitted => f.write_str("The broker closed the connection instead of admitting the board."),
            Self::CertificateRefused => write!(f, "{}", CertificateRefusal::Unread),
            Self::Closed(phase) => write!(f, "The broker closed the connection {phase}."),
            Self::Malformed => f.write_str("The broker sent something that is not MQTT 3.1.1."),
            Self::TooLarge => write!(f, "The broker sent a packet of more than {} bytes.", super::MAX_PACKET_BYTES),
            Self::Io(kind, phase) => write!(f, "The network connection failed {phase}: {kind}."),
        }
    }
}

impl core::error::Error for SessionError {}
