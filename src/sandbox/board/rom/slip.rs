//! SLIP framing (RFC 1055) as the loader uses it: an end byte before and after each packet.

const END: u8 = 0xc0;
const ESCAPE: u8 = 0xdb;
const ESCAPED_END: u8 = 0xdc;
const ESCAPED_ESCAPE: u8 = 0xdd;

/// Longest packet: a stub's block of 16 KiB with its header, and room to spare. Longer ones are dropped whole.
const MAX_PACKET: usize = 40 * 1024;

/// Puts a packet on the line.
pub(crate) fn encode(packet: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(packet.len() + packet.len() / 16 + 2);
    line.push(END);
    for byte in packet {
        match *byte {
            END => line.extend([ESCAPE, ESCAPED_END]),
            ESCAPE => line.extend([ESCAPE, ESCAPED_ESCAPE]),
            byte => line.push(byte),
        }
    }
    line.push(END);
    line
}

/// Finds packets in what arrives.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    packet: Vec<u8>,
    escaped: bool,
    /// Noise or too long: drop everything up to the next end byte.
    spoilt: bool,
}

impl Decoder {
    /// Takes bytes from the line and gives the packets that end in them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for byte in bytes {
            match (*byte, self.escaped) {
                (END, _) => {
                    let packet = std::mem::take(&mut self.packet);
                    if !packet.is_empty() && !self.spoilt && !self.escaped {
                        packets.push(packet);
                    }
                    (self.escaped, self.spoilt) = (false, false);
                }
                (ESCAPE, false) => self.escaped = true,
                (ESCAPED_END, true) => self.keep(END),
                (ESCAPED_ESCAPE, true) => self.keep(ESCAPE),
                (_, true) => (self.escaped, self.spoilt) = (false, true),
                (byte, false) => self.keep(byte),
            }
        }
        packets
    }

    fn keep(&mut self, byte: u8) {
        self.escaped = false;
        if self.packet.len() < MAX_PACKET {
            self.packet.push(byte);
        } else {
            self.spoilt = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packets_survive_any_cut(packet in prop::collection::vec(any::<u8>(), 1..600), cut in 0_usize..600) {
            let line = encode(&packet);
            let (head, tail) = line.split_at(cut.min(line.len()));
            let mut decoder = Decoder::default();
            let mut found = decoder.push(head);
            found.extend(decoder.push(tail));
            prop_assert_eq!(found, vec![packet]);
        }

        #[test]
        fn noise_before_a_packet_costs_nothing_but_itself(noise in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut decoder = Decoder::default();
            decoder.push(&noise);
            let found = decoder.push(&encode(b"sync"));
            prop_assert_eq!(found.last().map(Vec::as_slice), Some(b"sync".as_slice()));
        }
    }
}
