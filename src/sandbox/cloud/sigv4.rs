//! Checks of AWS Signature Version 4, in a header or in the query of a WebSocket address.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use axum::http::request::Parts;
use sha2::{Digest, Sha256};
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::Credentials;
use super::registry::ApiError;

/// How far the caller's clock may be off.
const SKEW: Duration = Duration::minutes(5);

/// A signature with what it claims to cover.
struct Claim {
    credential: String,
    signed_headers: String,
    signature: String,
    date: String,
}

/// Verifies the `Authorization` header of a request.
pub(super) fn verify(parts: &Parts, body: &[u8], keys: &Credentials, now: OffsetDateTime) -> Result<(), ApiError> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header("authorization").ok_or_else(|| refuse("Missing Authentication Token"))?;
    let fields = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or_else(|| refuse("Authorization header is not AWS4-HMAC-SHA256"))?;
    let fields: BTreeMap<&str, &str> = fields.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    let field =
        |name: &str| fields.get(name).map(|text| (*text).to_owned()).ok_or_else(|| refuse("Incomplete signature"));
    let claim = Claim {
        credential: field("Credential")?,
        signed_headers: field("SignedHeaders")?,
        signature: field("Signature")?,
        date: header("x-amz-date").ok_or_else(|| refuse("Missing X-Amz-Date"))?.to_owned(),
    };
    let payload_hash = match header("x-amz-content-sha256") {
        Some("UNSIGNED-PAYLOAD") => "UNSIGNED-PAYLOAD".to_owned(),
        _ => hex::encode(Sha256::digest(body)),
    };
    let query = canonical_query(parts.uri.query().unwrap_or_default());
    claim.check(parts, &encode(parts.uri.path(), true), &query, &payload_hash, keys, now)
}

/// Verifies the signed query of a WebSocket address.
pub(super) fn verify_query(parts: &Parts, keys: &Credentials, now: OffsetDateTime) -> Result<(), ApiError> {
    let query = parts.uri.query().unwrap_or_default();
    let field = |name: &str| decoded_query(query).remove(name).ok_or_else(|| refuse("Incomplete signature"));
    let claim = Claim {
        credential: field("X-Amz-Credential")?,
        signed_headers: field("X-Amz-SignedHeaders")?,
        signature: field("X-Amz-Signature")?,
        date: field("X-Amz-Date")?,
    };
    let unsigned: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("X-Amz-Signature=")).collect();
    let payload_hash = hex::encode(Sha256::digest(b""));
    claim.check(parts, parts.uri.path(), &canonical_query(&unsigned.join("&")), &payload_hash, keys, now)
}

impl Claim {
    fn check(
        &self,
        parts: &Parts,
        path: &str,
        query: &str,
        payload_hash: &str,
        keys: &Credentials,
        now: OffsetDateTime,
    ) -> Result<(), ApiError> {
        let scope: Vec<&str> = self.credential.split('/').collect();
        let [access_key_id, day, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(refuse("Credential is not a scope"));
        };
        if *access_key_id != keys.access_key_id {
            let message = "The security token included in the request is invalid.";
            return Err(ApiError::new("UnrecognizedClientException", message));
        }
        let at =
            PrimitiveDateTime::parse(&self.date, format_description!("[year][month][day]T[hour][minute][second]Z"))
                .map_err(|_| refuse("X-Amz-Date is not a time"))?
                .assume_utc();
        if at < now - SKEW {
            return Err(refuse(format!("Signature expired: {} is now earlier than {}", self.date, now - SKEW)));
        }
        if at > now + SKEW {
            return Err(refuse(format!("Signature not yet current: {} is still later than {}", self.date, now + SKEW)));
        }
        let key = generate_signing_key(&keys.secret_access_key, SystemTime::from(at), region, service);
        let matches = |host: &str| {
            let canonical = [
                parts.method.as_str(),
                path,
                query,
                &self.canonical_headers(parts, host),
                &self.signed_headers,
                payload_hash,
            ]
            .join("\n");
            let to_sign = format!(
                "AWS4-HMAC-SHA256\n{}\n{day}/{region}/{service}/aws4_request\n{}",
                self.date,
                hex::encode(Sha256::digest(canonical))
            );
            calculate_signature(&key, to_sign.as_bytes()) == self.signature
        };
        // Some signers leave the port out of the host.
        let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let hosts = [host, host.rsplit_once(':').map_or(host, |(name, _)| name)];
        match hosts.into_iter().any(matches) {
            true => Ok(()),
            false => Err(refuse(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.",
            )),
        }
    }

    fn canonical_headers(&self, parts: &Parts, host: &str) -> String {
        let mut canonical = String::new();
        for name in self.signed_headers.split(';') {
            let values = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            let value = match name {
                "host" => host.to_owned(),
                _ => values
                    .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
                    .collect::<Vec<_>>()
                    .join(","),
            };
            canonical.push_str(&format!("{name}:{value}\n"));
        }
        canonical
    }
}

fn refuse(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidSignatureException", message)
}

/// A query's pairs, decoded. The last of a name wins.
pub(super) fn decoded_query(query: &str) -> BTreeMap<String, String> {
    pairs(query).map(|(name, value)| (decode(name), decode(value))).collect()
}

fn canonical_query(query: &str) -> String {
    let mut encoded: Vec<_> =
        pairs(query).map(|(name, value)| (encode(&decode(name), false), encode(&decode(value), false))).collect();
    encoded.sort();
    encoded.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Percent-decodes; a broken escape stays as it is.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped =
            text.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn encode(text: &str, keep_slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            b'/' if keep_slashes => encoded.push('/'),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}
