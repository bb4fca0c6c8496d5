//! The position receiver: NMEA 0183 text, as most receivers send it unasked once a second.

use alloc::vec::Vec;

use coldbench_protocol::Position;
use nmea::{ParseResult, sentences::rmc::RmcStatusOfFix};

/// Longest sentence with its end of line (NMEA 0183); more without an end of line is dropped.
const MAX_SENTENCE_LEN: usize = 82;

/// A position older than this, milliseconds, is none: the truck has moved on.
pub const MAX_AGE_MILLIS: u64 = 10_000;

/// Collects what the receiver sends and keeps the last position.
#[derive(Debug, Default)]
pub struct Receiver {
    sentence: Vec<u8>,
    overrun: bool,
    last: Option<(Position, u64)>,
}

impl Receiver {
    /// A receiver that has said nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the receiver.
    pub fn push(&mut self, bytes: &[u8], uptime_millis: u64) {
        for byte in bytes {
            match byte {
                b'\r' | b'\n' => self.end_of_sentence(uptime_millis),
                _ if self.overrun || self.sentence.len() >= MAX_SENTENCE_LEN => self.overrun = true,
                byte => self.sentence.push(*byte),
            }
        }
    }

    /// The position now, unless the receiver has none or has fallen silent.
    pub fn position(&self, uptime_millis: u64) -> Option<Position> {
        self.last.filter(|(_, at)| uptime_millis.saturating_sub(*at) <= MAX_AGE_MILLIS).map(|(position, _)| position)
    }

    fn end_of_sentence(&mut self, uptime_millis: u64) {
        let whole = !core::mem::take(&mut self.overrun);
        let sentence = core::mem::take(&mut self.sentence);
        if !whole {
            return;
        }
        // Only this sentence says whether the position is valid. Its checksum is mandatory and checked.
        if let Ok(ParseResult::RMC(rmc)) = nmea::parse_bytes(&sentence) {
            self.last = match (rmc.status_of_fix, rmc.lat, rmc.lon) {
                (
                    RmcStatusOfFix::Autonomous | RmcStatusOfFix::Differential,
                    Some(latitude_deg),
                    Some(longitude_deg),
                ) if latitude_deg.abs() <= 90.0 && longitude_deg.abs() <= 180.0 => {
                    Some((Position { latitude_deg, longitude_deg }, uptime_millis))
                }
                _ => None,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIX: &[u8] = b"$GPRMC,225446.33,A,4916.45,N,12311.12,W,000.5,054.7,191194,020.3,E,A*2B\r\n";

    #[test]
    fn a_valid_sentence_gives_the_position_while_it_is_fresh() {
        let mut receiver = Receiver::new();
        receiver.push(FIX, 1_000);
        let position = receiver.position(2_000).map(|found| (found.latitude_deg, found.longitude_deg));
        assert!(
            position.is_some_and(|(north, east)| (north - 49.274_17).abs() < 1e-4 && (east + 123.185_33).abs() < 1e-4)
        );
        assert!(receiver.position(1_000 + MAX_AGE_MILLIS).is_some());
        assert_eq!(receiver.position(1_001 + MAX_AGE_MILLIS), None);
    }

    #[test]
    fn a_sentence_in_pieces_after_noise_is_read() {
        let mut receiver = Receiver::new();
        receiver.push(&[0xff; 300], 0);
        receiver.push(b"\r\n", 0);
        FIX.chunks(7).for_each(|piece| receiver.push(piece, 0));
        assert!(receiver.position(0).is_some());
    }

    #[test]
    fn a_wrong_checksum_or_another_sentence_is_no_position() {
        let mut receiver = Receiver::new();
        receiver.push(b"$GPRMC,225446.33,A,4916.45,N,12311.12,W,000.5,054.7,191194,020.3,E,A*2C\r\n", 0);
        receiver.push(b"$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76\r\n", 0);
        assert_eq!(receiver.position(0), None);
    }

    #[test]
    fn a_lost_fix_is_said() {
        let mut receiver = Receiver::new();
        receiver.push(FIX, 0);
        receiver.push(b"$GPRMC,225447.33,V,,,,,,,191194,,,N*7A\r\n", 1_000);
        assert_eq!(receiver.position(1_000), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 0..20)) {
            let mut receiver = Receiver::new();
            for piece in pieces {
                receiver.push(&piece, 0);
                prop_assert!(receiver.sentence.len() <= MAX_SENTENCE_LEN);
            }
        }
    }
}
