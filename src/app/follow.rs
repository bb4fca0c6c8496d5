//! Follows a thing in the cloud: its readings over MQTT, its shadow.

use std::sync::Arc;

use tokio::time::{Duration, MissedTickBehavior, interval};

use super::{
    live::{Arrived, Path},
    office::Office,
    update::Update,
};
use crate::{
    domain::{Problem, Reading, ThingName},
    ports::{
        Cancel,
        broker::{BrokerError, Message},
    },
};

/// How often the shadow is read: a board reports it with each reading.
const SHADOW_EVERY: Duration = Duration::from_secs(5);

/// Follows a thing until it is cancelled or the connection is lost.
pub(super) async fn follow(office: Arc<Office>, thing: ThingName, cancel: Cancel) {
    let followed = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        ended = observe(&office, &thing) => ended,
    };
    cancel.cancel();
    office.outbox.tell(Update::WatchEnded { thing, problem: followed.err() }).await;
}

async fn observe(office: &Office, thing: &ThingName) -> Result<(), Problem> {
    let side = office.cloud().await?;
    let mut observation = side.broker.observe(&[office.site()?.topic_for(thing)]).await?;
    office.outbox.tell(Update::Watching { thing: thing.clone() }).await;
    let mut look = interval(SHADOW_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        tokio::select! {
            message = observation.messages.recv() => match message {
                Some(message) => tell_reading(office, thing, message?),
                None => return Err(BrokerError::Lost { why: "the observation ended".to_owned() }.into()),
            },
            _ = look.tick() => {
                let shadow = side.cloud.shadow(thing).await?;
                let version = shadow.as_ref().map(|shadow| shadow.version);
                if told != Some(version) {
                    told = Some(version);
                    office.outbox.offer(Update::Shadow { thing: thing.clone(), shadow: shadow.map(Box::new) });
                }
            }
        }
    }
}

fn tell_reading(office: &Office, thing: &ThingName, message: Message) {
    let Message { payload, received, .. } = message;
    match Reading::parse(&payload) {
        Ok(reading) => {
            let arrived = Box::new(Arrived { path: Path::Mqtt, reading, payload, received });
            office.outbox.offer(Update::CloudReading { thing: thing.clone(), arrived });
        }
        Err(_) => office.outbox.count_dropped(1),
    }
}
