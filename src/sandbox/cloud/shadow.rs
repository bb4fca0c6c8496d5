//! The device shadow: a JSON document in two halves, what is wished (desired) and what is (reported).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The most a shadow's state may take, in bytes of JSON.
const STATE_LIMIT_BYTES: usize = 8 * 1024;
/// How long a deleted shadow remembers its version, in seconds.
const VERSION_KEPT_SECS: i64 = 48 * 3600;

/// One half of the document with the time of each leaf's last change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Section {
    state: Map<String, Value>,
    metadata: Map<String, Value>,
}

/// A thing's shadow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Shadow {
    desired: Section,
    reported: Section,
    version: u64,
    timestamp: i64,
    deleted: bool,
}

/// Why a shadow request was refused; `code` as in MQTT's `rejected` message and HTTP's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) message: String,
}

/// What an accepted update is answered and announced with.
#[derive(Debug)]
pub(super) struct Updated {
    pub(super) accepted: Value,
    pub(super) delta: Option<Value>,
    pub(super) documents: Value,
}

fn refuse<T>(code: u16, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.into() })
}

impl Shadow {
    /// The whole document, as `get` returns it.
    pub(super) fn document(shadow: Option<&Self>, thing: &str, now: i64) -> Result<Value, Refusal> {
        let Some(shadow) = shadow.filter(|shadow| !shadow.deleted) else {
            return refuse(404, format!("No shadow exists with name: '{thing}'"));
        };
        let mut document = shadow.snapshot(true);
        document["timestamp"] = now.into();
        Ok(document)
    }

    /// Applies an update request. Nothing changes when it is refused.
    pub(super) fn update(&mut self, request: &[u8], now: i64) -> Result<Updated, Refusal> {
        if request.len() > STATE_LIMIT_BYTES {
            return refuse(413, "The payload exceeds the maximum size allowed");
        }
        let Ok(Value::Object(request)) = serde_json::from_slice(request) else {
            return refuse(400, "Payload contains invalid json");
        };
        let patch = match request.get("state") {
            Some(Value::Object(patch)) => patch.clone(),
            Some(Value::Null) => Map::from_iter([("desired".into(), Value::Null), ("reported".into(), Value::Null)]),
            Some(_) => return refuse(400, "State node must be an object"),
            None => return refuse(400, "Missing required node: state"),
        };
        if let Some(stranger) = patch.keys().find(|key| *key != "desired" && *key != "reported") {
            return refuse(400, format!("State contains an invalid node: '{stranger}'"));
        }
        let token = client_token(&request)?;

        let mut next = self.clone();
        if next.deleted {
            next = Self { version: self.version, ..Self::default() };
            if now - self.timestamp > VERSION_KEPT_SECS {
                next.version = 0;
            }
        }
        match request.get("version") {
            None | Some(Value::Null) => {}
            Some(version) if version.as_u64() == Some(next.version) => {}
            Some(Value::Number(_)) => return refuse(409, "Version conflict"),
            Some(_) => return refuse(400, "Version must be a number"),
        }
        next.desired.apply("desired", &patch, now)?;
        next.reported.apply("reported", &patch, now)?;
        if next.state_bytes() > STATE_LIMIT_BYTES {
            return refuse(413, "The document exceeds the maximum size allowed");
        }
        let previous = self.snapshot(false);
        next.version += 1;
        next.timestamp = now;
        *self = next;
        Ok(self.announce(patch, previous, token))
    }

    /// Deletes the document; the version lives on. Answers what `delete/accepted` carries.
    pub(super) fn delete(&mut self, request: &[u8], thing: &str, now: i64) -> Result<Value, Refusal> {
        if self.deleted || self.version == 0 {
            return refuse(404, format!("No shadow exists with name: '{thing}'"));
        }
        let request = match serde_json::from_slice(request) {
            Ok(Value::Object(request)) => request,
            _ => Map::new(),
        };
        if request.get("version").and_then(Value::as_u64).is_some_and(|version| version != self.version) {
            return refuse(409, "Version conflict");
        }
        let token = client_token(&request)?;
        let version = self.version;
        *self = Self { version: version + 1, timestamp: now, deleted: true, ..Self::default() };
        Ok(with_token(json!({ "version": version, "timestamp": now }), &token))
    }

    fn announce(&self, patch: Map<String, Value>, previous: Value, token: Option<Value>) -> Updated {
        let metadata: Map<_, _> =
            patch.iter().map(|(half, patch)| (half.clone(), stamp(patch, self.timestamp))).collect();
        let accepted = json!({
            "state": patch, "metadata": metadata, "version": self.version, "timestamp": self.timestamp,
        });
        let delta = self.delta().map(|(state, metadata)| {
            let delta = json!({
                "version": self.version, "timestamp": self.timestamp, "state": state, "metadata": metadata,
            });
            with_token(delta, &token)
        });
        let documents = json!({
            "previous": previous, "current": self.snapshot(false), "timestamp": self.timestamp,
        });
        Updated { accepted: with_token(accepted, &token), delta, documents: with_token(documents, &token) }
    }

    /// What is wished and is not so, with the times of the wishes.
    fn delta(&self) -> Option<(Value, Value)> {
        difference(&self.desired.state, &self.reported.state, &self.desired.metadata)
    }

    fn snapshot(&self, with_delta: bool) -> Value {
        let mut state = Map::new();
        let mut metadata = Map::new();
        for (name, half) in [("desired", &self.desired), ("reported", &self.reported)] {
            if !half.state.is_empty() {
                state.insert(name.into(), half.state.clone().into());
                metadata.insert(name.into(), half.metadata.clone().into());
            }
        }
        if let Some((delta, _)) = self.delta().filter(|_| with_delta) {
            state.insert("delta".into(), delta);
        }
        json!({ "state": state, "metadata": metadata, "version": self.version })
    }

    fn state_bytes(&self) -> usize {
        [&self.desired, &self.reported]
            .iter()
            .map(|half| serde_json::to_vec(&half.state).map_or(0, |json| json.len()))
            .sum()
    }
}

impl Section {
    fn apply(&mut self, name: &str, patch: &Map<String, Value>, now: i64) -> Result<(), Refusal> {
        match patch.get(name) {
            None => Ok(()),
            Some(Value::Null) => {
                *self = Self::default();
                Ok(())
            }
            Some(Value::Object(patch)) => {
                merge(&mut self.state, &mut self.metadata, patch, now);
                Ok(())
            }
            Some(_) => refuse(400, format!("State node '{name}' must be an object")),
        }
    }
}

/// Lays a patch over a state: null removes, objects merge, everything else, arrays too, replaces.
fn merge(state: &mut Map<String, Value>, metadata: &mut Map<String, Value>, patch: &Map<String, Value>, now: i64) {
    for (key, value) in patch {
        match (value, state.get_mut(key), metadata.get_mut(key)) {
            (Value::Null, ..) => {
                state.remove(key);
                metadata.remove(key);
            }
            (Value::Object(patch), Some(Value::Object(state)), Some(Value::Object(metadata))) => {
                merge(state, metadata, patch, now);
            }
            (Value::Object(patch), ..) => {
                let (mut fresh, mut times) = (Map::new(), Map::new());
                merge(&mut fresh, &mut times, patch, now);
                state.insert(key.clone(), fresh.into());
                metadata.insert(key.clone(), times.into());
            }
            (value, ..) => {
                state.insert(key.clone(), value.clone());
                metadata.insert(key.clone(), stamp(value, now));
            }
        }
    }
}

/// The metadata of a freshly set value: the time at every leaf.
fn stamp(value: &Value, now: i64) -> Value {
    match value {
        Value::Object(fields) => {
            let stamped = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(stamped.map(|(key, value)| (key.clone(), stamp(value, now))).collect())
        }
        Value::Array(items) => items.iter().map(|item| stamp(item, now)).collect(),
        Value::Null => Value::Null,
        _ => json!({ "timestamp": now }),
    }
}

fn difference(
    desired: &Map<String, Value>,
    reported: &Map<String, Value>,
    metadata: &Map<String, Value>,
) -> Option<(Value, Value)> {
    let (mut state, mut times) = (Map::new(), Map::new());
    for (key, wish) in desired {
        let time = metadata.get(key).cloned().unwrap_or_default();
        let part = match (wish, reported.get(key)) {
            (Value::Object(wish), Some(Value::Object(fact))) => {
                difference(wish, fact, time.as_object().unwrap_or(&Map::new()))
            }
            (wish, Some(fact)) if wish == fact => None,
            (wish, _) => Some((wish.clone(), time)),
        };
        if let Some((part, time)) = part {
            state.insert(key.clone(), part);
            times.insert(key.clone(), time);
        }
    }
    (!state.is_empty()).then(|| (state.into(), times.into()))
}

fn client_token(request: &Map<String, Value>) -> Result<Option<Value>, Refusal> {
    match request.get("clientToken") {
        None => Ok(None),
        Some(Value::String(token)) if token.len() <= 64 => Ok(Some(token.clone().into())),
        Some(_) => refuse(400, "Client token must be a string of at most 64 bytes"),
    }
}

/// The client token a refused request carried, so that its sender recognises the answer.
pub(super) fn token_of(request: &[u8]) -> Option<Value> {
    let request: Value = serde_json::from_slice(request).ok()?;
    request.get("clientToken").filter(|token| token.is_string()).cloned()
}

/// Adds the sender's token to an answer.
pub(super) fn with_token(mut answer: Value, token: &Option<Value>) -> Value {
    if let Some(token) = token {
        answer["clientToken"] = token.clone();
    }
    answer
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn update(shadow: &mut Shadow, request: Value) -> Result<Updated, Refusal> {
        shadow.update(request.to_string().as_bytes(), 1_000)
    }

    #[test]
    fn a_wish_yields_a_delta_until_it_is_reported() {
        let mut shadow = Shadow::default();
        let wish = json!({ "state": { "desired": { "interval_secs": 5, "limits": { "door_secs": 180 } } }, "clientToken": "t" });
        let updated = update(&mut shadow, wish).unwrap();
        assert_eq!(updated.accepted["version"], 1);
        assert_eq!(updated.accepted["clientToken"], "t");
        let delta = updated.delta.unwrap();
        assert_eq!(delta["state"], json!({ "interval_secs": 5, "limits": { "door_secs": 180 } }));
        assert_eq!(delta["metadata"]["limits"]["door_secs"]["timestamp"], 1_000);

        let fact = json!({ "state": { "reported": { "interval_secs": 5, "limits": { "door_secs": 60 } } } });
        let updated = update(&mut shadow, fact).unwrap();
        assert_eq!(updated.delta.unwrap()["state"], json!({ "limits": { "door_secs": 180 } }));
        assert_eq!(updated.documents["previous"]["version"], 1);
        assert_eq!(updated.documents["current"]["version"], 2);

        let fact = json!({ "state": { "reported": { "limits": { "door_secs": 180 } } } });
        assert!(update(&mut shadow, fact).unwrap().delta.is_none());
    }

    #[test]
    fn null_removes_and_arrays_are_values() {
        let mut shadow = Shadow::default();
        update(&mut shadow, json!({ "state": { "reported": { "a": [1, 2], "b": { "c": 1 }, "d": 1 } } })).unwrap();
        update(&mut shadow, json!({ "state": { "reported": { "a": [3], "b": null, "d": 2 } } })).unwrap();
        let document = Shadow::document(Some(&shadow), "t", 2_000).unwrap();
        assert_eq!(document["state"], json!({ "reported": { "a": [3], "d": 2 } }));
        update(&mut shadow, json!({ "state": null })).unwrap();
        assert_eq!(Shadow::document(Some(&shadow), "t", 2_000).unwrap()["state"], json!({}));
    }

    #[test]
    fn refusals_change_nothing() {
        let mut shadow = Shadow::default();
        update(&mut shadow, json!({ "state": { "reported": { "a": 1 } } })).unwrap();
        let before = shadow.clone();
        let big = "x".repeat(5_000);
        for (request, code) in [
            (json!({ "state": { "reported": { "a": 2 } }, "version": 7 }), 409),
            (json!({ "state": { "wished": {} } }), 400),
            (json!({ "no": 1 }), 400),
            (json!({ "state": { "reported": { "a": big.repeat(2) } } }), 413),
        ] {
            assert_eq!(update(&mut shadow, request).unwrap_err().code, code);
        }
        assert_eq!(shadow.update(b"{", 1).unwrap_err().code, 400);
        assert_eq!(shadow, before);
        update(&mut shadow, json!({ "state": { "reported": { "a": big } } })).unwrap();
        assert_eq!(update(&mut shadow, json!({ "state": { "desired": { "a": big } } })).unwrap_err().code, 413);
    }

    #[test]
    fn deletion_keeps_the_version() {
        let mut shadow = Shadow::default();
        update(&mut shadow, json!({ "state": { "reported": { "a": 1 } } })).unwrap();
        assert_eq!(shadow.delete(b"", "t", 1_100).unwrap()["version"], 1);
        assert_eq!(shadow.delete(b"", "t", 1_100).unwrap_err().code, 404);
        assert_eq!(Shadow::document(Some(&shadow), "t", 1_200).unwrap_err().code, 404);
        let again = update(&mut shadow, json!({ "state": { "reported": { "b": 1 } } })).unwrap();
        assert_eq!(again.accepted["version"], 3);
        assert_eq!(again.documents["current"]["state"], json!({ "reported": { "b": 1 } }));
    }
}
