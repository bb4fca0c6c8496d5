//! How far the cloud's clock is from this computer's, read from the `Date` of an answer.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{DateTime, config_bag::ConfigBag, date_time::Format};
use time::OffsetDateTime;

/// Listens to the answers of an operation. Clones hear the same.
#[derive(Debug, Clone, Default)]
pub(super) struct CloudClock {
    ahead_secs: Arc<Mutex<Option<i64>>>,
}

impl CloudClock {
    /// Seconds the cloud's clock is ahead of this computer's; `None` when no answer told the time.
    pub(super) fn ahead_secs(&self) -> Option<i64> {
        *self.ahead_secs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, date: &str, now: OffsetDateTime) {
        let told = DateTime::from_str(date, Format::HttpDate).ok();
        let ahead = told.map(|told| told.secs() - now.unix_timestamp());
        *self.ahead_secs.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
    }
}

impl Intercept for CloudClock {
    fn name(&self) -> &'static str {
        "CloudClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.hear(date, OffsetDateTime::now_utc());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_compared_with_this_computers_clock() {
        let clock = CloudClock::default();
        assert_eq!(clock.ahead_secs(), None);
        clock.hear("Tue, 15 Nov 1994 08:12:31 GMT", time::macros::datetime!(1994-11-15 08:12:01 UTC));
        assert_eq!(clock.ahead_secs(), Some(30));
        clock.hear("Tue, 15 Nov 1994 08:12:31 GMT", time::macros::datetime!(1994-11-15 08:17:31 UTC));
        assert_eq!(clock.ahead_secs(), Some(-300));
        clock.hear("yesterday", OffsetDateTime::UNIX_EPOCH);
        assert_eq!(clock.ahead_secs(), None);
    }
}
