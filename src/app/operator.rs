//! The person at the bench: a question goes to the screen, an answer comes back.

use std::sync::Arc;

use async_trait::async_trait;

use super::{desk::Desk, outbox::Outbox, update::Update};
use crate::ports::operator::{Operator, Question, Reply};

/// Asks on a screen. Ends when it is answered, when the job is cancelled, and when the screen is gone.
pub(super) struct ScreenOperator {
    pub port: String,
    pub desk: Arc<Desk>,
    pub outbox: Outbox,
}

#[async_trait]
impl Operator for ScreenOperator {
    async fn ask(&self, question: Question) -> Reply {
        // Ready for the answer before the question is seen.
        let answer = self.desk.expect_answer();
        self.outbox.tell(Update::Asked { port: self.port.clone(), question }).await;
        answer.await.unwrap_or(Reply::Declined)
    }

    fn sees_sensors(&self) -> bool {
        true
    }
}

/// Nobody: for work that asks nothing.
pub(super) struct Nobody;

#[async_trait]
impl Operator for Nobody {
    async fn ask(&self, _: Question) -> Reply {
        Reply::Declined
    }
}
