//! The topics of a thing's shadow (AWS IoT, "Device Shadow MQTT topics").

use alloc::format;
use alloc::string::String;

/// What the shadow service has to say to the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowNews {
    /// `update/delta`: desired and reported differ.
    Delta,
    /// `update/accepted`: an update was taken, by this board or by anyone else.
    UpdateAccepted,
    /// `update/rejected`: the board's report was not taken.
    UpdateRejected,
    /// `get/accepted`: the whole shadow, asked for at the start of every session.
    GetAccepted,
    /// `get/rejected`: as a rule code 404, there is no shadow yet.
    GetRejected,
}

impl ShadowNews {
    /// All five, in the order in which they are subscribed to. One SUBSCRIBE holds them: AWS IoT allows eight.
    pub(super) const ALL: [Self; 5] =
        [Self::Delta, Self::UpdateAccepted, Self::UpdateRejected, Self::GetAccepted, Self::GetRejected];

    fn ending(self) -> &'static str {
        match self {
            Self::Delta => "update/delta",
            Self::UpdateAccepted => "update/accepted",
            Self::UpdateRejected => "update/rejected",
            Self::GetAccepted => "get/accepted",
            Self::GetRejected => "get/rejected",
        }
    }
}

/// Where the broker says that the board is lost. The shipped policy lets a thing publish there.
pub(super) fn online(readings_topic: &str) -> String {
    format!("{readings_topic}/online")
}

/// The shadow topics of one thing.
pub(super) struct ShadowTopics {
    prefix: String,
}

impl ShadowTopics {
    pub(super) fn new(thing_name: &str) -> Self {
        Self { prefix: format!("$aws/things/{thing_name}/shadow/") }
    }

    /// Where the board asks for its shadow.
    pub(super) fn get(&self) -> String {
        format!("{}get", self.prefix)
    }

    /// Where the board reports its state.
    pub(super) fn update(&self) -> String {
        format!("{}update", self.prefix)
    }

    /// Where this piece of news arrives.
    pub(super) fn news(&self, news: ShadowNews) -> String {
        format!("{}{}", self.prefix, news.ending())
    }

    /// Which news a topic carries; nothing for a topic the board has not subscribed to.
    pub(super) fn recognise(&self, topic: &str) -> Option<ShadowNews> {
        let ending = topic.strip_prefix(self.prefix.as_str())?;
        ShadowNews::ALL.into_iter().find(|news| news.ending() == ending)
    }
}

#[cfg(test)]
mod tests {
    use super::{ShadowNews, ShadowTopics};

    #[test]
    fn every_news_topic_is_recognised_and_no_other_thing_s() {
        let (own, other) = (ShadowTopics::new("truckSensor01"), ShadowTopics::new("truckSensor02"));
        for news in ShadowNews::ALL {
            assert_eq!(own.recognise(&own.news(news)), Some(news));
            assert_eq!(own.recognise(&other.news(news)), None);
        }
        assert_eq!(own.news(ShadowNews::Delta), "$aws/things/truckSensor01/shadow/update/delta");
        assert_eq!(own.recognise(&own.get()), None);
        assert_eq!(own.recognise(&own.update()), None);
    }
}
