//! What the network has to tell the board.

use alloc::{format, string::String};

use super::{Event, ShadowNews};

/// What the network tells the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The session stands.
    Online,
    /// A time server says what time it is.
    Time {
        /// UTC, milliseconds since 1970.
        unix_millis: u64,
    },
    /// A shadow document with desired values.
    Shadow(String),
    /// A line for the log.
    Log(String),
}

impl News {
    /// What the board has to hear of this, if anything.
    pub fn of(event: Event<'_>) -> Option<Self> {
        let text = |document| String::from_utf8_lossy(document).into_owned();
        match event {
            Event::Online => Some(News::Online),
            Event::Shadow(ShadowNews::Delta | ShadowNews::GetAccepted, document) => Some(News::Shadow(text(document))),
            Event::Shadow(ShadowNews::UpdateRejected, document) => {
                Some(News::Log(format!("shadow update rejected: {}", text(document))))
            }
            Event::Shadow(..) | Event::Acknowledged(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Kind;

    #[test]
    fn what_the_board_has_to_hear_is_told_and_nothing_else() {
        assert_eq!(News::of(Event::Online), Some(News::Online));
        for desired in [ShadowNews::Delta, ShadowNews::GetAccepted] {
            assert_eq!(News::of(Event::Shadow(desired, b"{}")), Some(News::Shadow("{}".into())));
        }
        let rejected = News::of(Event::Shadow(ShadowNews::UpdateRejected, b"{\"code\":400}"));
        assert_eq!(rejected, Some(News::Log("shadow update rejected: {\"code\":400}".into())));
        for quiet in [ShadowNews::UpdateAccepted, ShadowNews::GetRejected] {
            assert_eq!(News::of(Event::Shadow(quiet, b"{}")), None);
        }
        assert_eq!(News::of(Event::Acknowledged(Kind::Reading)), None);
    }
}
