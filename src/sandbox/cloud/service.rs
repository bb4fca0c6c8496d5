//! The account in operation: one lock around the registry, everything written before it is answered.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::authority::Authority;
use super::registry::{self, ApiError, Call, Context, Registry};
use super::shadow::{self, Refusal, Shadow};
use super::{Clock, CloudError, files, state_file};

/// The account. Control plane, data plane and broker share it.
pub(super) struct Service {
    registry: Mutex<Registry>,
    authority: Authority,
    seed: u64,
    clock: Clock,
    file: PathBuf,
}

/// A message for the broker's subscribers.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

/// Whose shadow: a thing's classic one, or one of its named ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShadowName {
    thing: String,
    name: Option<String>,
}

/// What is asked of a shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShadowVerb {
    Get,
    Update,
    Delete,
}

impl Service {
    pub(super) fn open(dir: &Path, authority: Authority, seed: u64, clock: Clock) -> Result<Self, CloudError> {
        let file = state_file(dir);
        let registry = match file.exists() {
            true => serde_json::from_str(&files::read_text(&file)?)
                .map_err(|_| CloudError::Damaged { path: file.clone() })?,
            false => Registry::default(),
        };
        Ok(Self { registry: Mutex::new(registry), authority, seed, clock, file })
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Carries out a call of the control plane.
    pub(super) fn perform(&self, call: &Call) -> Result<Value, ApiError> {
        let context = Context { authority: &self.authority, seed: self.seed, now: self.clock.now() };
        let mut registry = self.registry();
        let answer = registry::perform(&mut registry, &context, call)?;
        let reads = ["Get", "Describe", "List"].iter().any(|verb| call.operation.starts_with(verb));
        if !reads {
            self.save(&registry).map_err(|error| ApiError::new("InternalFailureException", error.to_string()))?;
        }
        Ok(answer)
    }

    pub(super) fn is_active(&self, certificate: &str) -> bool {
        self.registry().is_active(certificate)
    }

    pub(super) fn authorizes(&self, certificate: &str, client_id: &str, action: &str, resource: &str) -> bool {
        self.registry().authorizes(certificate, client_id, action, resource)
    }

    /// Carries out a shadow request; also returns what subscribers are told, the sender's answer included.
    pub(super) fn shadow(
        &self,
        name: &ShadowName,
        verb: ShadowVerb,
        request: &[u8],
    ) -> (Result<Value, Refusal>, Vec<Message>) {
        let now = self.clock.now().unix_timestamp();
        let (answer, mut messages) = match self.change_shadow(name, verb, request, now) {
            Ok((answer, messages)) => (Ok(answer), messages),
            Err(refusal) => (Err(refusal), Vec::new()),
        };
        let reply = match &answer {
            Ok(answer) => {
                let token = if verb == ShadowVerb::Get { shadow::token_of(request) } else { None };
                name.message(verb, "accepted", &shadow::with_token(answer.clone(), &token))
            }
            Err(refusal) => {
                let rejected = json!({ "code": refusal.code, "message": refusal.message, "timestamp": now });
                name.message(verb, "rejected", &shadow::with_token(rejected, &shadow::token_of(request)))
            }
        };
        messages.insert(0, reply);
        (answer, messages)
    }

    fn change_shadow(
        &self,
        name: &ShadowName,
        verb: ShadowVerb,
        request: &[u8],
        now: i64,
    ) -> Result<(Value, Vec<Message>), Refusal> {
        let mut registry = self.registry();
        let key = name.key();
        let mut messages = Vec::new();
        let answer = match verb {
            ShadowVerb::Get => return Ok((Shadow::document(registry.shadows.get(&key), &key, now)?, messages)),
            ShadowVerb::Update => {
                let mut changed = registry.shadows.get(&key).cloned().unwrap_or_default();
                let updated = changed.update(request, now)?;
                registry.shadows.insert(key, changed);
                messages.extend(updated.delta.map(|delta| name.message(verb, "delta", &delta)));
                messages.push(name.message(verb, "documents", &updated.documents));
                updated.accepted
            }
            ShadowVerb::Delete => registry.shadows.entry(key.clone()).or_default().delete(request, &key, now)?,
        };
        self.save(&registry).map_err(|error| Refusal { code: 500, message: error.to_string() })?;
        Ok((answer, messages))
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, registry: &Registry) -> Result<(), CloudError> {
        let json = serde_json::to_vec(registry).map_err(|_| CloudError::Damaged { path: self.file.clone() })?;
        files::write(&self.file, &json)
    }
}

impl ShadowName {
    pub(super) fn new(thing: &str, name: Option<&str>) -> Self {
        Self { thing: thing.to_owned(), name: name.map(str::to_owned) }
    }

    /// Reads a request topic, `$aws/things/THING/shadow/VERB` or `$aws/things/THING/shadow/name/SHADOW/VERB`.
    pub(super) fn from_topic(topic: &str) -> Option<(Self, ShadowVerb)> {
        let levels: Vec<&str> = topic.split('/').collect();
        let (name, verb) = match levels.as_slice() {
            ["$aws", "things", thing, "shadow", verb] => (Self::new(thing, None), verb),
            ["$aws", "things", thing, "shadow", "name", name, verb] => (Self::new(thing, Some(name)), verb),
            _ => return None,
        };
        let verb = match *verb {
            "get" => ShadowVerb::Get,
            "update" => ShadowVerb::Update,
            "delete" => ShadowVerb::Delete,
            _ => return None,
        };
        Some((name, verb))
    }

    fn key(&self) -> String {
        match &self.name {
            None => self.thing.clone(),
            Some(name) => format!("{}/{name}", self.thing),
        }
    }

    fn message(&self, verb: ShadowVerb, end: &str, payload: &Value) -> Message {
        let verb = match verb {
            ShadowVerb::Get => "get",
            ShadowVerb::Update => "update",
            ShadowVerb::Delete => "delete",
        };
        let topic = match &self.name {
            None => format!("$aws/things/{}/shadow/{verb}/{end}", self.thing),
            Some(name) => format!("$aws/things/{}/shadow/name/{name}/{verb}/{end}", self.thing),
        };
        Message { topic, payload: payload.to_string().into_bytes() }
    }
}
