//! One request as the operations see it, and the errors they answer with.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A request to the REST API, taken apart.
#[derive(Debug, Default)]
pub(in crate::sandbox::cloud) struct Call {
    /// The operation as AWS names it.
    pub(in crate::sandbox::cloud) operation: &'static str,
    /// The name in the path, decoded.
    pub(in crate::sandbox::cloud) name: String,
    /// The query, decoded.
    pub(in crate::sandbox::cloud) query: BTreeMap<String, String>,
    /// The body as it came.
    pub(in crate::sandbox::cloud) body: Vec<u8>,
    /// The header `x-amzn-principal`.
    pub(in crate::sandbox::cloud) principal: Option<String>,
}

/// A refusal with AWS's own error code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox::cloud) struct ApiError {
    pub(in crate::sandbox::cloud) code: &'static str,
    pub(in crate::sandbox::cloud) message: String,
    /// Id and ARN of what is in the way, where AWS names it.
    pub(in crate::sandbox::cloud) resource: Option<(String, String)>,
}

impl ApiError {
    pub(in crate::sandbox::cloud) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), resource: None }
    }

    pub(in crate::sandbox::cloud) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidRequestException", message)
    }

    /// Something of that name exists and is different.
    pub(super) fn exists(what: &str, id: &str, arn: String) -> Self {
        let message = format!("{what} {id} already exists in account with different configuration");
        Self { resource: Some((id.to_owned(), arn)), ..Self::new("ResourceAlreadyExistsException", message) }
    }

    /// The HTTP status AWS sends with the code.
    pub(in crate::sandbox::cloud) fn status(&self) -> u16 {
        match self.code {
            "UnauthorizedException" => 401,
            "IncompleteSignatureException" | "InvalidSignatureException" | "UnrecognizedClientException" => 403,
            "ResourceNotFoundException" | "UnknownOperationException" => 404,
            "CertificateStateException" => 406,
            "ResourceAlreadyExistsException"
            | "VersionConflictException"
            | "DeleteConflictException"
            | "ConflictException" => 409,
            "LimitExceededException" => 410,
            "RequestEntityTooLargeException" => 413,
            "InternalFailureException" => 500,
            _ => 400,
        }
    }
}

impl Call {
    /// Reads the body. An absent body is an empty object.
    pub(super) fn input<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body = if self.body.is_empty() { b"{}".as_slice() } else { &self.body };
        serde_json::from_slice(body).map_err(|source| ApiError::invalid(format!("Request body is not valid: {source}")))
    }

    pub(in crate::sandbox::cloud) fn query(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.query(key) == Some("true")
    }

    /// The name in the path, held to the rule for things, types and groups.
    pub(super) fn checked_name(&self) -> Result<&str, ApiError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ":_-".contains(c);
        match (1..=128).contains(&self.name.len()) && self.name.chars().all(fits) {
            true => Ok(&self.name),
            false => Err(ApiError::invalid(format!(
                "1 validation error detected: Value '{}' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+ and have length of 1 to 128",
                self.name
            ))),
        }
    }

    /// Checks `expectedVersion` from the query.
    pub(super) fn check_version(&self, expected: Option<u64>, version: u64) -> Result<(), ApiError> {
        let in_query = self.query("expectedVersion").and_then(|text| text.parse().ok());
        match expected.or(in_query) {
            Some(expected) if expected != version => {
                Err(ApiError::new("VersionConflictException", format!("The version for {} does not match", self.name)))
            }
            _ => Ok(()),
        }
    }

    /// Cuts a page from a list and says where the next one begins. The token is a position, as opaque as AWS's.
    pub(super) fn page(&self, keys: [&str; 2], items: Vec<Value>) -> Result<(Vec<Value>, Option<String>), ApiError> {
        let [size_key, token_key] = keys;
        let size = match self.query(size_key).map(str::parse) {
            None => 100,
            Some(Ok(size)) if (1..=250).contains(&size) => size,
            Some(_) => return Err(ApiError::invalid(format!("{size_key} must be between 1 and 250"))),
        };
        let start: usize = match self.query(token_key).filter(|token| !token.is_empty()) {
            None => 0,
            Some(token) => token
                .strip_prefix("page-")
                .and_then(|start| start.parse().ok())
                .ok_or_else(|| ApiError::invalid(format!("{token_key} is not valid")))?,
        };
        let next = (start.saturating_add(size) < items.len()).then(|| format!("page-{}", start + size));
        Ok((items.into_iter().skip(start).take(size).collect(), next))
    }

    /// A list answer with its token.
    pub(super) fn paged(&self, name: &str, keys: [&str; 3], items: Vec<Value>) -> Result<Value, ApiError> {
        let [size_key, token_key, next_key] = keys;
        let (page, next) = self.page([size_key, token_key], items)?;
        let mut answer = serde_json::Map::from_iter([(name.to_owned(), page.into())]);
        answer.extend(next.map(|next| (next_key.to_owned(), next.into())));
        Ok(answer.into())
    }
}

/// Page keys of the newer lists.
pub(super) const BY_RESULTS: [&str; 3] = ["maxResults", "nextToken", "nextToken"];
/// Page keys of the older lists.
pub(super) const BY_MARKER: [&str; 3] = ["pageSize", "marker", "nextMarker"];
