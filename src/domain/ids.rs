//! Names and numbers that identify things, checked when they are made.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Problem;

/// Makes a checked name: a newtype over `String` that can only hold what AWS IoT accepts.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $code:literal, $max:literal, $allowed:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Problem;

            fn from_str(text: &str) -> Result<Self, Problem> {
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() {
                    return Err(Problem::new($code, concat!("The ", $what, " is empty"), concat!("Enter ", $rule)));
                }
                if text.chars().count() > $max {
                    let sentence = format!(concat!("The ", $what, " has {} characters, more than ", stringify!($max)), text.chars().count());
                    return Err(Problem::new($code, sentence, concat!("Enter ", $rule)));
                }
                match text.chars().find(|c| !allowed(*c)) {
                    Some(c) => {
                        let sentence = format!(concat!("The ", $what, " contains {:?}, which AWS IoT refuses"), c);
                        Err(Problem::new($code, sentence, concat!("Enter ", $rule)))
                    }
                    None => Ok($name(text.to_owned())),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Problem;
            fn try_from(text: String) -> Result<Self, Problem> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-')
}

name!(
    /// Number of a truck, as painted on it. Becomes the thing's attribute `deviceID`
    /// (AWS IoT attribute values: `[a-zA-Z0-9_.,@/:#-]*`, 800 characters, no spaces).
    TruckId, "truck id", "input.truck", 64,
    |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ',' | '@' | '/' | ':' | '#' | '-'),
    "the number on the truck: letters, digits and _ . , @ / : # -, up to 64, without spaces"
);
name!(
    /// Name of a thing in AWS IoT and client id of its board (CreateThing: `[a-zA-Z0-9:_-]{1,128}`).
    ThingName, "thing name", "input.thing", 128, is_name_char,
    "letters, digits, colon, underscore and hyphen, up to 128"
);
name!(
    /// Name of a thing type (CreateThingType).
    ThingTypeName, "thing type", "input.thing-type", 128, is_name_char,
    "letters, digits, colon, underscore and hyphen, up to 128"
);
name!(
    /// Name of a thing group (CreateThingGroup).
    GroupName, "thing group", "input.group", 128, is_name_char,
    "letters, digits, colon, underscore and hyphen, up to 128"
);
name!(
    /// Name of a policy (CreatePolicy: `[\w+=,.@-]{1,128}`).
    PolicyName, "policy name", "input.policy", 128,
    |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-'),
    "letters, digits and _ + = , . @ -, up to 128"
);

/// Number of a job: a ULID, so that jobs sort by the time they began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// The number as text: 26 characters of Crockford's base 32.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A new number, made from this moment and chance.
    pub fn generate() -> Self {
        JobId::from(ulid::Ulid::new())
    }

    /// When the job began, milliseconds since 1970, UTC.
    pub fn began_unix_millis(&self) -> u64 {
        ulid::Ulid::from_string(&self.0).map_or(0, |id| id.timestamp_ms())
    }

    /// How a certificate's subject carries the job (organizational unit).
    pub fn organizational_unit(&self) -> String {
        format!("job-{}", self.0)
    }

    /// The job that a certificate's organizational unit names, if it is one of ours.
    pub fn from_organizational_unit(unit: &str) -> Option<Self> {
        unit.strip_prefix("job-")?.parse().ok()
    }
}

impl FromStr for JobId {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        ulid::Ulid::from_string(text).map(|id| JobId(id.to_string())).map_err(|_| {
            let advice = "Take the number from the list of jobs";
            Problem::new("input.job", format!("{text:?} is not a job number"), advice).in_terminal("`coldbench jobs`")
        })
    }
}

impl TryFrom<String> for JobId {
    type Error = Problem;
    fn try_from(text: String) -> Result<Self, Problem> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> String {
        id.0
    }
}

impl From<ulid::Ulid> for JobId {
    fn from(id: ulid::Ulid) -> Self {
        JobId(id.to_string())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Base MAC address of a chip: the one thing about a board that never changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let bad =
            || Problem::new("input.mac", format!("{text:?} is not a MAC address"), "Write it as 60:55:f9:00:00:01");
        let parts: Vec<u8> = text
            .split([':', '-'])
            .map(|part| u8::from_str_radix(part, 16).map_err(|_| bad()))
            .collect::<Result<_, _>>()?;
        parts.try_into().map(Mac).map_err(|_| bad())
    }
}

impl TryFrom<String> for Mac {
    type Error = Problem;
    fn try_from(text: String) -> Result<Self, Problem> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

/// AWS IoT's certificate id: SHA-256 of the certificate's DER, 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateId(String);

impl CertificateId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of a certificate whose DER has this SHA-256.
    pub fn from_sha256(sha256: &[u8; 32]) -> Self {
        CertificateId(hex::encode(sha256))
    }
}

impl FromStr for CertificateId {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let is_id = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        is_id.then(|| CertificateId(text.to_owned())).ok_or_else(|| {
            Problem::new("input.certificate", format!("{text:?} is not a certificate id"), "It has 64 hex digits")
        })
    }
}

impl TryFrom<String> for CertificateId {
    type Error = Problem;
    fn try_from(text: String) -> Result<Self, Problem> {
        text.parse()
    }
}

impl From<CertificateId> for String {
    fn from(id: CertificateId) -> String {
        id.0
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;

    #[test]
    fn a_truck_id_with_a_space_is_refused_by_name() {
        let problem = "T 001".parse::<TruckId>().unwrap_err();
        assert_eq!(problem.code, "input.truck");
        assert!(problem.sentence.contains("' '"), "{problem}");
    }

    #[test]
    fn a_thing_name_holds_128_characters_and_no_more() {
        assert!("a".repeat(128).parse::<ThingName>().is_ok());
        assert!("a".repeat(129).parse::<ThingName>().is_err());
        assert!("".parse::<ThingName>().is_err());
    }

    #[test]
    fn a_job_is_found_again_in_a_subject() {
        let job = JobId::from(ulid::Ulid::from_parts(1_700_000_000_000, 7));
        assert_eq!(JobId::from_organizational_unit(&job.organizational_unit()), Some(job));
        assert_eq!(JobId::from_organizational_unit("Depot 4"), None);
    }

    #[test]
    fn a_mac_address_reads_back_as_written() {
        let mac: Mac = "60:55:f9:0a:0b:0c".parse().unwrap();
        assert_eq!(mac.to_string(), "60:55:f9:0a:0b:0c");
        assert!("60:55:f9".parse::<Mac>().is_err());
    }
}
