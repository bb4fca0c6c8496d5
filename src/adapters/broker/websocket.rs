//! MQTT over WebSocket, let in by a signed URL instead of a certificate (AWS IoT developer guide, "Using the WebSocket
//! protocol": SigV4 in the query, service `iotdevicegateway`, session token added after signing).

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SessionTokenMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};

/// How long a signed URL may be used to connect.
const URL_LIFE: Duration = Duration::from_secs(300);

/// Where a WebSocket leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebSocketAddress {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Host and port to connect to.
    pub authority: String,
    /// What the `Host` header says and the signature covers. It differs from the authority where one address serves
    /// every service: there the name of the IoT endpoint tells what is wanted.
    pub host: String,
}

impl WebSocketAddress {
    /// The address behind an endpoint URL that replaces AWS's own, or else the IoT endpoint itself.
    pub(super) fn new(endpoint_url: Option<&str>, iot_endpoint: &str) -> Self {
        let host = iot_endpoint.to_owned();
        let Some(url) = endpoint_url else { return WebSocketAddress { tls: true, authority: host.clone(), host } };
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let authority = rest.split(['/', '?']).next().unwrap_or(rest).to_owned();
        WebSocketAddress { tls: scheme != "http", authority, host }
    }

    /// The URL to connect to, signed. It lets its holder in and must not be logged.
    pub(super) fn signed_url(
        &self,
        credentials: Credentials,
        region: &str,
        now: SystemTime,
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let (http, ws) = if self.tls { ("https", "wss") } else { ("http", "ws") };
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.session_token_mode = SessionTokenMode::Exclude;
        settings.expires_in = Some(URL_LIFE);
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("iotdevicegateway")
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let mut request = http::Request::get(format!("{http}://{}/mqtt", self.host)).body(())?;
        let url = request.uri().to_string();
        let signable = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::empty())?;
        let (instructions, _signature) = sign(signable, &parameters)?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        let query = request.uri().query().unwrap_or_default();
        Ok(format!("{ws}://{}/mqtt?{query}", self.authority))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn signed(address: &WebSocketAddress, token: Option<&str>) -> String {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", token.map(str::to_owned), None, "test");
        address.signed_url(credentials, "eu-central-1", UNIX_EPOCH + Duration::from_secs(1_440_938_160)).unwrap()
    }

    #[test]
    fn aws_is_reached_at_its_own_endpoint_with_a_signature_in_the_query() {
        let address = WebSocketAddress::new(None, "abc-ats.iot.eu-central-1.amazonaws.com");
        let url = signed(&address, None);
        assert!(url.starts_with("wss://abc-ats.iot.eu-central-1.amazonaws.com/mqtt?"), "{url}");
        for part in [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Feu-central-1%2Fiotdevicegateway%2Faws4_request",
            "X-Amz-Date=20150830T123600Z",
            "X-Amz-Expires=300",
            "X-Amz-SignedHeaders=host",
        ] {
            assert!(url.contains(part), "{part} is missing in {url}");
        }
        let signature = url.split("X-Amz-Signature=").nth(1).unwrap().split('&').next().unwrap();
        assert_eq!((signature.len(), signature.chars().all(|c| c.is_ascii_hexdigit())), (64, true), "{url}");
        assert!(!url.contains("secret"));
    }

    #[test]
    fn a_session_token_is_added_but_not_signed() {
        let address = WebSocketAddress::new(None, "abc-ats.iot.eu-central-1.amazonaws.com");
        let (without, with) = (signed(&address, None), signed(&address, Some("to/ken")));
        assert!(with.contains("X-Amz-Security-Token=to%2Fken"), "{with}");
        let signature = |url: &str| url.split("X-Amz-Signature=").nth(1).unwrap()[..64].to_owned();
        assert_eq!(signature(&without), signature(&with));
    }

    #[test]
    fn an_endpoint_override_is_where_to_connect_but_not_what_is_signed() {
        let address = WebSocketAddress::new(Some("http://127.0.0.1:4567/"), "abc-ats.iot.us-east-1.localhost:4567");
        assert!(!address.tls);
        assert_eq!(address.authority, "127.0.0.1:4567");
        assert_eq!(address.host, "abc-ats.iot.us-east-1.localhost:4567");
        assert!(signed(&address, None).starts_with("ws://127.0.0.1:4567/mqtt?"));
        assert!(WebSocketAddress::new(Some("https://cloud.depot"), "iot").tls);
    }
}
