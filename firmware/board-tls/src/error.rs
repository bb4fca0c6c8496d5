//! Why there is no TLS line to the broker.

use core::fmt;

use coldbench_sensor::session::CertificateRefusal;
use embedded_io_async::ErrorKind;
use mbedtls_rs::{SessionError, sys};

/// Why there is no TLS line to the broker, or no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The board does not know the time, so it cannot tell whether a certificate is valid.
    ClockNotSet,
    /// The installed certificate, key, CA or host name cannot be used. Names the part.
    Identity(&'static str),
    /// The server's certificate does not come from the installed CA.
    UnknownIssuer,
    /// The server's certificate, or one above it, has run out.
    Expired,
    /// The server's certificate, or one above it, is not valid yet.
    NotYetValid,
    /// The server's certificate is for another host name.
    WrongHostName,
    /// The server's certificate fails for another reason; the bits are mbedTLS's `MBEDTLS_X509_BADCERT_…`.
    Certificate(u32),
    /// The server ended the handshake or the line with an alert: it does not take the board's certificate.
    Refused(CertificateRefusal),
    /// The server broke off the handshake with this alert, which is not about the board's certificate.
    Alert(u8),
    /// The server does not speak TLS as the board does; the number is mbedTLS's.
    Handshake(i32),
    /// There is not enough memory.
    OutOfMemory,
    /// The other side closed the line.
    Closed,
    /// The line itself failed.
    Line(ErrorKind),
    /// The handshake took too long.
    TimedOut,
}

impl TlsError {
    /// The stable code for logs and support.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ClockNotSet => "tls.clock",
            Self::Identity(_) => "tls.identity",
            Self::UnknownIssuer => "tls.issuer",
            Self::Expired => "tls.expired",
            Self::NotYetValid => "tls.not-yet-valid",
            Self::WrongHostName => "tls.host-name",
            Self::Certificate(_) => "tls.certificate",
            Self::Refused(why) => why.code(),
            Self::Alert(_) => "tls.alert",
            Self::Handshake(_) => "tls.handshake",
            Self::OutOfMemory => "tls.memory",
            Self::Closed => "tls.closed",
            Self::Line(_) => "tls.line",
            Self::TimedOut => "tls.timeout",
        }
    }

    /// What a technician can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::ClockNotSet => {
                "Connect the tool, which sets the clock, or give the board a network with a time server."
            }
            Self::Identity(_) => "Install the board's identity again.",
            Self::UnknownIssuer => "Check that the installed CA is that of the endpoint.",
            Self::Expired | Self::NotYetValid => {
                "Check the laptop's date; if it is right, the broker needs a new certificate."
            }
            Self::WrongHostName => "Check the endpoint: it must be the name in the broker's certificate.",
            Self::Certificate(_) => "Check the broker's certificate.",
            Self::Refused(why) => why.advice(),
            Self::Alert(_) | Self::Handshake(_) => "Check that the endpoint and port are those of the MQTT broker.",
            Self::OutOfMemory => "Restart the board.",
            Self::Closed | Self::Line(_) | Self::TimedOut => {
                "Check the board's network; the board tries again by itself."
            }
        }
    }

    /// What an error of the library means; `alert` is the number of the server's alert, where it could be read.
    pub(crate) fn of(error: SessionError, alert: Option<u8>) -> Self {
        match error {
            SessionError::MbedTls(error) => Self::of_code(error.code(), alert),
            SessionError::Io(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe) => {
                Self::Closed
            }
            SessionError::Io(kind) => Self::Line(kind),
        }
    }

    /// What an error of the handshake means; `verify_flags` is the library's opinion of the server's certificate.
    pub(crate) fn of_handshake(error: SessionError, verify_flags: u32, alert: Option<u8>) -> Self {
        match error {
            SessionError::MbedTls(error) if error.code() == sys::MBEDTLS_ERR_X509_CERT_VERIFY_FAILED => {
                Self::of_flags(verify_flags)
            }
            error => Self::of(error, alert),
        }
    }

    fn of_code(code: i32, alert: Option<u8>) -> Self {
        match code {
            sys::MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE => match alert {
                Some(number) => CertificateRefusal::of_alert(number).map_or(Self::Alert(number), Self::Refused),
                None => Self::Refused(CertificateRefusal::Unread),
            },
            sys::MBEDTLS_ERR_SSL_ALLOC_FAILED
            | sys::MBEDTLS_ERR_X509_ALLOC_FAILED
            | sys::MBEDTLS_ERR_PK_ALLOC_FAILED
            | sys::MBEDTLS_ERR_MPI_ALLOC_FAILED
            | sys::MBEDTLS_ERR_ECP_ALLOC_FAILED => Self::OutOfMemory,
            sys::MBEDTLS_ERR_SSL_CONN_EOF | sys::MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY => Self::Closed,
            code => Self::Handshake(code),
        }
    }

    /// The cause to name first: who issued the certificate, then for whom, then for how long.
    fn of_flags(flags: u32) -> Self {
        [
            (sys::MBEDTLS_X509_BADCERT_NOT_TRUSTED, Self::UnknownIssuer),
            (sys::MBEDTLS_X509_BADCERT_CN_MISMATCH, Self::WrongHostName),
            (sys::MBEDTLS_X509_BADCERT_EXPIRED, Self::Expired),
            (sys::MBEDTLS_X509_BADCERT_FUTURE, Self::NotYetValid),
        ]
        .into_iter()
        .find_map(|(flag, cause)| (flags & flag != 0).then_some(cause))
        .unwrap_or(Self::Certificate(flags))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockNotSet => f.write_str("The board's clock is not set, so no certificate can be checked."),
            Self::Identity(part) => write!(f, "The installed {part} cannot be used."),
            Self::UnknownIssuer => f.write_str("The broker's certificate does not come from the installed CA."),
            Self::Expired => f.write_str("The broker's certificate has run out."),
            Self::NotYetValid => f.write_str("The broker's certificate is not valid yet."),
            Self::WrongHostName => f.write_str("The broker's certificate is for another host name."),
            Self::Certificate(flags) => write!(f, "The broker's certificate is not good (flags 0x{flags:x})."),
            Self::Refused(why) => write!(f, "{why}"),
            Self::Alert(number) => write!(f, "The broker broke off the TLS handshake (alert {number})."),
            Self::Handshake(code) => write!(f, "The TLS handshake broke off (mbedTLS -0x{:04x}).", code.unsigned_abs()),
            Self::OutOfMemory => f.write_str("There is not enough memory for a TLS connection."),
            Self::Closed => f.write_str("The broker closed the line."),
            Self::Line(kind) => write!(f, "The line to the broker failed: {kind}."),
            Self::TimedOut => f.write_str("The broker did not finish the TLS handshake in time."),
        }
    }
}

impl core::error::Error for TlsError {}

/// In the words of the session, which knows lines in general: a refusal shows as "permission denied".
impl embedded_io_async::Error for TlsError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(_) => ErrorKind::PermissionDenied,
            Self::Closed => ErrorKind::ConnectionReset,
            Self::Line(kind) => *kind,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::OutOfMemory => ErrorKind::OutOfMemory,
            _ => ErrorKind::InvalidData,
        }
    }
}
