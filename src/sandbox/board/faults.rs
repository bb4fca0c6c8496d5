//! What goes wrong with a board, given at its start.

use std::{str::FromStr, time::Duration};

use super::control::Order;

/// One fault. It happens once, when so many bytes have arrived from the client since the board was started.
///
/// As text: `drop-link@20000=500` (after 20000 bytes, for 500 ms), `hang@3000=2000`, `garbage@100=64`, `fail-write@0`,
/// `silent-erase@0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoardFault {
    /// Bytes received from the client before it happens.
    pub after_bytes: u64,
    /// What happens.
    pub kind: BoardFaultKind,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoardFaultKind {
    /// The serial device vanishes for this long; the board runs on.
    DropLink(Duration),
    /// The board hears and does nothing for this long.
    Hang(Duration),
    /// So many bytes of noise appear on the line.
    Garbage(usize),
    /// The loader's next write to flash fails.
    FailWrite,
    /// The loader answers nothing more from its next erase on.
    SilentErase,
}

impl BoardFaultKind {
    pub(super) fn order(self) -> Order {
        match self {
            BoardFaultKind::DropLink(duration) => Order::DropLink(duration),
            BoardFaultKind::Hang(duration) => Order::Hang(duration),
            BoardFaultKind::Garbage(bytes) => Order::Garbage(bytes),
            BoardFaultKind::FailWrite => Order::FailNextWrite,
            BoardFaultKind::SilentErase => Order::SilentErase,
        }
    }
}

/// The text names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no board fault; write drop-link@BYTES=MILLIS, hang@BYTES=MILLIS, garbage@BYTES=COUNT, fail-write@BYTES or silent-erase@BYTES"
)]
pub struct FaultParseError(String);

impl FromStr for BoardFault {
    type Err = FaultParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| FaultParseError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<BoardFault> {
    let (name, rest) = text.split_once('@')?;
    let (after, amount) = match rest.split_once('=') {
        Some((after, amount)) => (after, Some(amount.parse::<u32>().ok()?)),
        None => (rest, None),
    };
    let millis = |amount| Duration::from_millis(u64::from(amount));
    let kind = match (name, amount) {
        ("drop-link", Some(amount)) => BoardFaultKind::DropLink(millis(amount)),
        ("hang", Some(amount)) => BoardFaultKind::Hang(millis(amount)),
        ("garbage", Some(amount)) => BoardFaultKind::Garbage(amount as usize),
        ("fail-write", None) => BoardFaultKind::FailWrite,
        ("silent-erase", None) => BoardFaultKind::SilentErase,
        _ => return None,
    };
    Some(BoardFault { after_bytes: after.parse().ok()?, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_text_and_nonsense_is_named() {
        let hang = BoardFault { after_bytes: 3000, kind: BoardFaultKind::Hang(Duration::from_secs(2)) };
        assert_eq!("hang@3000=2000".parse(), Ok(hang));
        assert_eq!("fail-write@0".parse(), Ok(BoardFault { after_bytes: 0, kind: BoardFaultKind::FailWrite }));
        for nonsense in ["", "hang", "hang@x=1", "hang@1", "fail-write@0=1", "burn@1=1", "hang@1=-1"] {
            assert_eq!(nonsense.parse::<BoardFault>(), Err(FaultParseError(nonsense.to_owned())));
        }
    }
}
