//! Why a server does not take the board's certificate, as far as its TLS alert says.

use core::fmt;

/// What the server's alert says of the board's certificate (RFC 8446, section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateRefusal {
    /// 48: the server does not know who issued it.
    UnknownIssuer,
    /// 44: it was revoked.
    Revoked,
    /// 45: it has run out, or is not valid yet.
    Expired,
    /// 41, 42, 43, 46, 49, 51, 116: it is missing or not accepted, for a reason the server keeps to itself.
    NotAccepted,
    /// The server gave a reason that cannot be read: in TLS 1.3 the library keeps it to itself.
    Unread,
}

impl CertificateRefusal {
    /// The refusal that an alert is; `None` when it is not about the certificate.
    pub fn of_alert(number: u8) -> Option<Self> {
        match number {
            48 => Some(Self::UnknownIssuer),
            44 => Some(Self::Revoked),
            45 => Some(Self::Expired),
            41 | 42 | 43 | 46 | 49 | 51 | 116 => Some(Self::NotAccepted),
            _ => None,
        }
    }

    /// The stable code for logs and support.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "tls.refused.issuer",
            Self::Revoked => "tls.refused.revoked",
            Self::Expired => "tls.refused.expired",
            Self::NotAccepted => "tls.refused.certificate",
            Self::Unread => "tls.refused",
        }
    }

    /// What a technician can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::UnknownIssuer => {
                "Check that the certificate was issued for this broker; else commission the board again."
            }
            Self::Revoked => "Commission the board again: a revoked certificate stays revoked.",
            Self::Expired => "Check the broker's date; if it is right, commission the board again.",
            Self::NotAccepted | Self::Unread => {
                "Check that the board's certificate is active, not revoked and known to the broker."
            }
        }
    }
}

impl fmt::Display for CertificateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "The broker does not know who issued the board's certificate.",
            Self::Revoked => "The board's certificate was revoked.",
            Self::Expired => "The broker says that the board's certificate has run out.",
            Self::NotAccepted | Self::Unread => "The broker refused the board's certificate.",
        })
    }
}
