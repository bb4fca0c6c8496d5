//! Reads the server's alert off the line, because the library says only that there was one.
//!
//! That works as long as records are not encrypted: in TLS 1.2 until the server has taken the board's certificate. In
//! TLS 1.3 the server judges it behind the handshake, and its alert looks like any other record.

/// A record's type for alerts (RFC 5246, section 6.2.1).
const ALERT: u8 = 21;
/// Level and number. An encrypted alert is longer.
const ALERT_LEN: usize = 2;
/// Type, version and length.
const HEADER_LEN: usize = 5;

/// What came so far of the record that is under way, and the last alert.
#[derive(Default)]
pub(crate) struct AlertReader {
    is_alert: bool,
    /// Without the header; 0 until the header came.
    record_len: usize,
    /// Bytes of the record that came, header included.
    came: usize,
    number: Option<u8>,
}

impl AlertReader {
    /// The number of the last alert that could be read.
    pub(crate) fn number(&self) -> Option<u8> {
        self.number
    }

    /// Takes what came on the line.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.came {
                0 => self.is_alert = byte == ALERT,
                3 => self.record_len = usize::from(byte) << 8,
                4 => self.record_len |= usize::from(byte),
                6 if self.is_alert && self.record_len == ALERT_LEN => self.number = Some(byte),
                _ => {}
            }
            self.came += 1;
            if self.came >= HEADER_LEN + self.record_len {
                *self = AlertReader { number: self.number, ..AlertReader::default() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDSHAKE: [u8; 12] = [22, 3, 3, 0, 7, 21, 3, 3, 0, 2, 2, 99];
    const REVOKED: [u8; 7] = [21, 3, 3, 0, 2, 2, 44];
    const ENCRYPTED: [u8; 9] = [21, 3, 3, 0, 4, 2, 1, 2, 3];
    const EMPTY: [u8; 5] = [23, 3, 3, 0, 0];

    #[test]
    fn the_alert_is_found_however_the_bytes_come() {
        let bytes = [&HANDSHAKE[..], &EMPTY, &ENCRYPTED, &HANDSHAKE, &REVOKED, &HANDSHAKE].concat();
        for chunk_len in 1..=bytes.len() {
            let mut reader = AlertReader::default();
            bytes.chunks(chunk_len).for_each(|chunk| reader.hear(chunk));
            assert_eq!(reader.number(), Some(44), "{chunk_len} bytes at a time");
        }
    }

    #[test]
    fn what_is_no_alert_or_cannot_be_read_is_none() {
        for bytes in [&HANDSHAKE[..], &ENCRYPTED, &EMPTY, &REVOKED[..6], &[]] {
            let mut reader = AlertReader::default();
            reader.hear(bytes);
            assert_eq!(reader.number(), None, "{bytes:?}");
        }
    }
}
