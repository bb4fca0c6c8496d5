//! AWS IoT policies: reading a document and deciding over one action.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The most a policy document may take, in characters without white space.
const DOCUMENT_LIMIT_CHARS: usize = 2048;

/// A policy document as written.
#[derive(Debug, Deserialize)]
pub(super) struct Document {
    #[serde(rename = "Version")]
    version: String,
    #[serde(rename = "Statement")]
    statements: OneOrMany<Statement>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(default, rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Clone, Copy)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Who asks: what the policy variables stand for. A variable that stands for nothing makes its statement void.
#[derive(Debug, Clone, Default)]
pub(super) struct Asker {
    pub(super) client_id: String,
    /// The thing named like the client id, if the asker's certificate is attached to it.
    pub(super) thing: Option<AttachedThing>,
}

/// What policies may ask of the attached thing.
#[derive(Debug, Clone, Default)]
pub(super) struct AttachedThing {
    pub(super) name: String,
    pub(super) thing_type: Option<String>,
    pub(super) attributes: BTreeMap<String, String>,
}

impl Document {
    /// Reads a document, or says in one sentence what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let chars = text.chars().filter(|c| !c.is_whitespace()).count();
        if chars > DOCUMENT_LIMIT_CHARS {
            return Err(format!("Policy document has {chars} characters; the limit is {DOCUMENT_LIMIT_CHARS}"));
        }
        let document: Self =
            serde_json::from_str(text).map_err(|source| format!("Policy document is Malformed: {source}"))?;
        if document.version != "2012-10-17" && document.version != "2008-10-17" {
            return Err("Policy document is Malformed: unknown Version".into());
        }
        for statement in document.statements.as_slice() {
            let known = |action: &String| action == "*" || action.starts_with("iot:");
            if !statement.action.as_slice().iter().all(known) {
                return Err("Policy document is Malformed: Action must begin with iot:".into());
            }
            let named = |resource: &String| resource == "*" || resource.starts_with("arn:aws");
            if !statement.resource.as_slice().iter().all(named) {
                return Err("Policy document is Malformed: Resource must be an ARN or *".into());
            }
        }
        Ok(document)
    }
}

/// Decides as AWS does: a Deny wins, then an Allow, and silence is No.
pub(super) fn allows(documents: &[Document], asker: &Asker, action: &str, resource: &str) -> bool {
    let statements = || documents.iter().flat_map(|document| document.statements.as_slice());
    let says = |effect| {
        statements().any(|statement| statement.effect == effect && statement.covers(effect, asker, action, resource))
    };
    !says(Effect::Deny) && says(Effect::Allow)
}

impl Statement {
    fn covers(&self, effect: Effect, asker: &Asker, action: &str, resource: &str) -> bool {
        let matches = |pattern: &String, text: &str| {
            tokens(pattern, asker).is_some_and(|tokens| matches_tokens(&tokens, &text.chars().collect::<Vec<_>>()))
        };
        self.action.as_slice().iter().any(|pattern| matches(pattern, action))
            && self.resource.as_slice().iter().any(|pattern| matches(pattern, resource))
            && self.condition_holds(effect, asker)
    }

    /// Knows the one condition device policies use; an unknown one never allows and always denies.
    fn condition_holds(&self, effect: Effect, asker: &Asker) -> bool {
        self.condition
            .iter()
            .flat_map(|(operator, keys)| keys.iter().map(move |(key, value)| (operator, key, value)))
            .all(|(operator, key, value)| {
                let value = value.as_array().and_then(|values| values.first()).unwrap_or(value);
                let wanted = value.as_bool().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                match (operator.as_str(), key.as_str(), wanted) {
                    ("Bool", "iot:Connection.Thing.IsAttached", Some(wanted)) => asker.thing.is_some() == wanted,
                    _ => effect == Effect::Deny,
                }
            })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Char(char),
}

/// A pattern with its variables filled in; what a variable stands for is literal. `None`: a variable is empty.
fn tokens(pattern: &str, asker: &Asker) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some((variable, after)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
            tokens.extend(asker.variable(variable)?.chars().map(Token::Char));
            rest = after;
            continue;
        }
        tokens.push(match first {
            '*' => Token::Any,
            '?' => Token::One,
            other => Token::Char(other),
        });
        rest = &rest[first.len_utf8()..];
    }
    Some(tokens)
}

impl Asker {
    fn variable<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match name {
            "*" | "?" | "$" => Some(name),
            "iot:ClientId" => Some(&self.client_id),
            "iot:Connection.Thing.ThingName" => self.thing.as_ref().map(|thing| thing.name.as_str()),
            "iot:Connection.Thing.ThingTypeName" => self.thing.as_ref()?.thing_type.as_deref(),
            _ => {
                let attribute = name.strip_prefix("iot:Connection.Thing.Attributes[")?.strip_suffix(']')?;
                self.thing.as_ref()?.attributes.get(attribute).map(String::as_str)
            }
        }
    }
}

/// Wildcard match in time proportional to the product of the lengths, whatever the pattern.
fn matches_tokens(pattern: &[Token], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::Any) => {
                star = Some((p, t));
                p += 1;
            }
            Some(Token::One) => (p, t) = (p + 1, t + 1),
            Some(Token::Char(c)) if *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|token| *token == Token::Any)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn asker(attached: bool) -> Asker {
        let thing = attached.then(|| AttachedThing { name: "truck1".into(), ..AttachedThing::default() });
        Asker { client_id: "truck1".into(), thing }
    }

    #[test]
    fn the_thing_variable_needs_an_attached_thing() {
        let own = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],
            "Resource":"arn:aws:iot:*:*:topic/dt/*/${iot:Connection.Thing.ThingName}/readings"}}"#;
        let own = [Document::parse(own).unwrap()];
        let topic = |thing: &str| format!("arn:aws:iot:eu:1:topic/dt/cold/{thing}/readings");
        assert!(allows(&own, &asker(true), "iot:Publish", &topic("truck1")));
        assert!(!allows(&own, &asker(true), "iot:Publish", &topic("truck2")));
        assert!(!allows(&own, &asker(true), "iot:Subscribe", &topic("truck1")));
        assert!(!allows(&own, &asker(false), "iot:Publish", &topic("truck1")));
    }

    #[test]
    fn deny_wins_and_variables_are_literal() {
        let text = r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"iot:*","Resource":"*"},
            {"Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:eu:1:topic/${iot:ClientId}/?"}]}"#;
        let documents = [Document::parse(text).unwrap()];
        let star = Asker { client_id: "*".into(), thing: None };
        assert!(!allows(&documents, &star, "iot:Publish", "arn:aws:iot:eu:1:topic/*/x"));
        assert!(allows(&documents, &star, "iot:Publish", "arn:aws:iot:eu:1:topic/other/x"));
        assert!(!allows(&[], &star, "iot:Publish", "arn:aws:iot:eu:1:topic/x"));
    }

    #[test]
    fn bad_documents_are_named() {
        let long = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"iot:*","Resource":"arn:aws:{}"}}]}}"#,
            "x".repeat(2048)
        );
        for text in [
            "{}",
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Action":"iot:*","Resource":"*"}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get","Resource":"*"}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"topic/x"}]}"#,
            &long,
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
    }
}
