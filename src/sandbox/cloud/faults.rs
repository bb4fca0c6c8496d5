//! Bad days on order: which operation fails, how, and how often.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What goes wrong with an operation. A count is how many calls are hit; afterwards the operation works again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers 500 and changes nothing. `fail-once`, `fail=N`.
    Fail(u32),
    /// Takes the request and never answers. `hang` (until the plan changes), `hang=N`.
    Hang(u32),
    /// Waits this long before it works, every time. `slow=200ms`, `slow=2s`.
    Slow(Duration),
    /// Answers with the service's throttling error. `throttle=N`.
    Throttle(u32),
    /// Does the work, then closes the connection without an answer. `lose-reply`, `lose-reply=N`.
    LoseReply(u32),
    /// Broker only: cuts the session that sends the publish after this many. `mqtt:drop-after=N`.
    DropAfter(u32),
    /// Broker only: answers the next connect with "server unavailable". `mqtt:refuse-once`.
    Refuse(u32),
}

/// One rule of a plan: an operation's name as AWS spells it, `mqtt`, or `*` for every HTTP operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// Whom it hits.
    pub operation: String,
    /// What happens.
    pub fault: Fault,
}

/// Rules in order; the first that applies wins, `slow` adds to any other.
///
/// Written as `CreateThing:fail-once,AttachPolicy:hang,*:slow=200ms,ListThings:throttle=3`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FaultPlan {
    /// The rules.
    pub rules: Vec<FaultRule>,
}

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a fault; write OPERATION:fail-once|fail=N|hang|slow=200ms|throttle=N|lose-reply, mqtt:drop-after=N or mqtt:refuse-once"
)]
pub struct FaultPlanError(pub String);

impl FromStr for FaultPlan {
    type Err = FaultPlanError;

    fn from_str(text: &str) -> Result<Self, FaultPlanError> {
        let rules = text.split([',', '\n']).map(str::trim).filter(|rule| !rule.is_empty()).map(FaultRule::from_str);
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }
}

impl FromStr for FaultRule {
    type Err = FaultPlanError;

    fn from_str(text: &str) -> Result<Self, FaultPlanError> {
        let refused = || FaultPlanError(text.to_owned());
        let (operation, fault) = text.split_once(':').ok_or_else(refused)?;
        let (kind, amount) = fault.split_once('=').map_or((fault, None), |(kind, amount)| (kind, Some(amount)));
        let count = |default: u32| amount.map_or(Ok(default), |text| text.parse().map_err(|_| refused()));
        let needed = || amount.and_then(|text| text.parse().ok()).ok_or_else(refused);
        let fault = match (operation == "mqtt", kind) {
            (false, "fail-once") if amount.is_none() => Fault::Fail(1),
            (false, "fail") => Fault::Fail(needed()?),
            (false, "hang") => Fault::Hang(count(u32::MAX)?),
            (false, "slow") => Fault::Slow(amount.and_then(duration).ok_or_else(refused)?),
            (false, "throttle") => Fault::Throttle(needed()?),
            (false, "lose-reply") => Fault::LoseReply(count(1)?),
            (true, "drop-after") => Fault::DropAfter(needed()?),
            (true, "refuse-once") if amount.is_none() => Fault::Refuse(1),
            _ => return Err(refused()),
        };
        match operation.chars().all(|c| c.is_ascii_alphanumeric()) && !operation.is_empty() || operation == "*" {
            true => Ok(Self { operation: operation.to_owned(), fault }),
            false => Err(refused()),
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.operation)?;
        match self.fault {
            Fault::Fail(times) => write!(f, "fail={times}"),
            Fault::Hang(u32::MAX) => write!(f, "hang"),
            Fault::Hang(times) => write!(f, "hang={times}"),
            Fault::Slow(delay) => write!(f, "slow={}ms", delay.as_millis()),
            Fault::Throttle(times) => write!(f, "throttle={times}"),
            Fault::LoseReply(times) => write!(f, "lose-reply={times}"),
            Fault::DropAfter(publishes) => write!(f, "drop-after={publishes}"),
            Fault::Refuse(_) => write!(f, "refuse-once"),
        }
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<String> = self.rules.iter().map(ToString::to_string).collect();
        f.write_str(&rules.join(","))
    }
}

impl TryFrom<String> for FaultPlan {
    type Error = FaultPlanError;

    fn try_from(text: String) -> Result<Self, FaultPlanError> {
        text.parse()
    }
}

impl From<FaultPlan> for String {
    fn from(plan: FaultPlan) -> Self {
        plan.to_string()
    }
}

/// The plan in force. Clones share it.
#[derive(Debug, Clone)]
pub struct Faults {
    plan: Arc<Mutex<FaultPlan>>,
    changed: watch::Sender<()>,
}

/// What to do with the call at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Work,
    Fail,
    Hang,
    Throttle,
    LoseReply,
}

impl Faults {
    pub(super) fn new(plan: FaultPlan) -> Self {
        Self { plan: Arc::new(Mutex::new(plan)), changed: watch::Sender::new(()) }
    }

    /// Replaces the plan. Calls that hang now end as failed.
    pub fn set(&self, plan: FaultPlan) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
        self.changed.send_replace(());
    }

    /// What is left of the plan: counts go down as faults strike.
    pub fn plan(&self) -> FaultPlan {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends when the plan is replaced, for calls that hang until then.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Decides over one HTTP call and counts it.
    pub(super) fn strike(&self, operation: &str) -> (Duration, Fate) {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let mut delay = Duration::ZERO;
        for rule in plan.rules.iter_mut().filter(|rule| rule.operation == operation || rule.operation == "*") {
            let fate = match &mut rule.fault {
                Fault::Slow(by) => {
                    delay += *by;
                    continue;
                }
                Fault::Fail(times) => spend(times).then_some(Fate::Fail),
                Fault::Hang(times) => spend(times).then_some(Fate::Hang),
                Fault::Throttle(times) => spend(times).then_some(Fate::Throttle),
                Fault::LoseReply(times) => spend(times).then_some(Fate::LoseReply),
                Fault::DropAfter(_) | Fault::Refuse(_) => None,
            };
            if let Some(fate) = fate {
                return (delay, fate);
            }
        }
        (delay, Fate::Work)
    }

    /// Whether the broker turns this connect away.
    pub(super) fn refuses_connect(&self) -> bool {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.rules.iter_mut().any(|rule| match &mut rule.fault {
            Fault::Refuse(times) => spend(times),
            _ => false,
        })
    }

    /// Counts a publish and says whether its session is cut.
    pub(super) fn drops_publish(&self) -> bool {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let struck = plan.rules.iter_mut().position(|rule| match &mut rule.fault {
            Fault::DropAfter(publishes) => !spend(publishes),
            _ => false,
        });
        struck.map(|index| plan.rules.remove(index)).is_some()
    }
}

/// Takes one from a count; `u32::MAX` stands for "always".
fn spend(times: &mut u32) -> bool {
    let left = *times > 0;
    if *times != u32::MAX {
        *times = times.saturating_sub(1);
    }
    left
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_spent_and_written() {
        let faults = Faults::new("CreateThing:fail-once, *:slow=200ms,ListThings:throttle=2".parse().unwrap());
        assert_eq!(faults.strike("CreateThing"), (Duration::ZERO, Fate::Fail));
        assert_eq!(faults.strike("CreateThing"), (Duration::from_millis(200), Fate::Work));
        assert_eq!(faults.strike("ListThings").1, Fate::Throttle);
        assert_eq!(faults.plan().to_string(), "CreateThing:fail=0,*:slow=200ms,ListThings:throttle=1");
        let json = serde_json::to_string(&faults.plan()).unwrap();
        assert_eq!(serde_json::from_str::<FaultPlan>(&json).unwrap(), faults.plan());
    }

    #[test]
    fn the_broker_faults_strike_once() {
        let faults = Faults::new("mqtt:drop-after=1,mqtt:refuse-once".parse().unwrap());
        assert_eq!([faults.refuses_connect(), faults.refuses_connect()], [true, false]);
        assert_eq!([faults.drops_publish(), faults.drops_publish(), faults.drops_publish()], [false, true, false]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["CreateThing", "CreateThing:explode", "x:slow=5", "mqtt:hang", "a b:fail-once", "X:throttle"] {
            assert_eq!(text.parse::<FaultPlan>(), Err(FaultPlanError(text.to_owned())));
        }
    }
}
