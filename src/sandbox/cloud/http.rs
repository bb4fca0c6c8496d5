//! The HTTP side: REST for the control and data plane, STS, MQTT over WebSocket, and the sandbox's own fault switch.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::TokioAdapter;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::Role;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use ws_stream_tungstenite::WsStream;

use super::broker::{self, Hub, Identity};
use super::faults::{Fate, Faults};
use super::registry::{ACCOUNT, ApiError, Call};
use super::routes::route;
use super::service::{Service, ShadowName, ShadowVerb};
use super::{Credentials, sigv4, told_to_stop};

/// More than any request the API knows.
const BODY_LIMIT_BYTES: usize = 256 * 1024;
/// The longest a hanging call is held.
const HANG_WITHIN: Duration = Duration::from_secs(600);

/// What requests are answered from.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) service: Arc<Service>,
    pub(super) hub: Arc<Hub>,
    pub(super) faults: Faults,
    pub(super) credentials: Arc<Credentials>,
}

/// Marks an answer that is not to arrive: the connection closes instead.
#[derive(Clone, Copy)]
struct LostReply;

/// Serves until told to stop.
pub(super) async fn serve(listener: TcpListener, gate: Gate, mut stopped: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/mqtt", get(websocket))
        .route("/_sandbox/faults", get(read_faults).put(set_faults))
        .fallback(api)
        .with_state(gate);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, router.clone()));
                }
                // Out of descriptors: let connections end before trying again.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            () = told_to_stop(&mut stopped) => return,
        }
    }
}

async fn serve_connection(stream: tokio::net::TcpStream, router: Router) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let answer = router.call(request);
        async move {
            let Ok(response) = answer.await;
            match response.extensions().get::<LostReply>() {
                Some(LostReply) => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                None => Ok(response),
            }
        }
    });
    // A connection's error concerns its client alone, who sees it end.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

async fn read_faults(State(gate): State<Gate>) -> String {
    gate.faults.plan().to_string()
}

async fn set_faults(State(gate): State<Gate>, plan: String) -> (StatusCode, String) {
    match plan.parse() {
        Ok(plan) => {
            gate.faults.set(plan);
            (StatusCode::OK, gate.faults.plan().to_string())
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}")),
    }
}

async fn api(State(gate): State<Gate>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT_BYTES).await else {
        return refusal(&ApiError::new("RequestEntityTooLargeException", "The request is too large"), None);
    };
    let path: Vec<String> = parts.uri.path().trim_start_matches('/').split('/').map(sigv4::decode).collect();
    let query = sigv4::decoded_query(parts.uri.query().unwrap_or_default());
    let Some((operation, name)) = route(parts.method.as_str(), &path) else {
        let message = format!("No method found matching route {} for http method {}", parts.uri.path(), parts.method);
        return refusal(&ApiError::new("UnknownOperationException", message), None);
    };
    if let Err(error) = sigv4::verify(&parts, &body, &gate.credentials, gate.service.clock().now()) {
        return refusal(&error, None);
    }
    let call = Call { operation, name, query, body: body.to_vec(), principal: principal(&parts.headers) };
    let data_plane = operation.ends_with("ThingShadow");
    let changed = gate.faults.watch();
    let (delay, fate) = gate.faults.strike(operation);
    tokio::time::sleep(delay).await;
    match fate {
        Fate::Work => answer(&gate, &call),
        Fate::LoseReply => {
            answer(&gate, &call);
            lost_reply()
        }
        Fate::Hang => {
            let mut changed = changed;
            // Either way the caller never hears.
            let _ = tokio::time::timeout(HANG_WITHIN, changed.changed()).await;
            lost_reply()
        }
        Fate::Fail => refusal(&ApiError::new("InternalFailureException", "An unexpected error has occurred"), None),
        Fate::Throttle => {
            let status = data_plane.then_some(StatusCode::TOO_MANY_REQUESTS);
            refusal(&ApiError::new("ThrottlingException", "Rate exceeded"), status)
        }
    }
}

fn lost_reply() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(LostReply);
    response
}

fn principal(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-amzn-principal").or_else(|| headers.get("x-amzn-iot-principal"))?;
    value.to_str().ok().map(str::to_owned)
}

fn answer(gate: &Gate, call: &Call) -> Response {
    let verb = match call.operation {
        "GetCallerIdentity" => return caller_identity(call, &gate.credentials),
        "GetThingShadow" => Some(ShadowVerb::Get),
        "UpdateThingShadow" => Some(ShadowVerb::Update),
        "DeleteThingShadow" => Some(ShadowVerb::Delete),
        _ => None,
    };
    if let Some(verb) = verb {
        return shadow(gate, call, verb);
    }
    match gate.service.perform(call) {
        Ok(answer) => {
            gate.hub.cut_inactive();
            success(&answer)
        }
        Err(error) => refusal(&error, None),
    }
}

fn shadow(gate: &Gate, call: &Call, verb: ShadowVerb) -> Response {
    let name = ShadowName::new(&call.name, call.query("name"));
    let (answer, messages) = gate.service.shadow(&name, verb, &call.body);
    for message in messages {
        gate.hub.publish(&message.topic, &message.payload);
    }
    match answer {
        Ok(answer) => success(&answer),
        Err(error) => {
            let code = match error.code {
                404 => "ResourceNotFoundException",
                409 => "ConflictException",
                413 => "RequestEntityTooLargeException",
                500 => "InternalFailureException",
                _ => "InvalidRequestException",
            };
            refusal(&ApiError::new(code, error.message), None)
        }
    }
}

fn success(answer: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

fn refusal(error: &ApiError, status: Option<StatusCode>) -> Response {
    let status = status.or_else(|| StatusCode::from_u16(error.status()).ok()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut body = json!({ "__type": error.code, "message": error.message });
    if let Some((id, arn)) = &error.resource {
        body["resourceId"] = id.clone().into();
        body["resourceArn"] = arn.clone().into();
    }
    let headers = [("content-type", "application/json"), ("x-amzn-errortype", error.code)];
    (status, headers, body.to_string()).into_response()
}

/// STS answers in XML.
fn caller_identity(call: &Call, keys: &Credentials) -> Response {
    let xml = [(header::CONTENT_TYPE, "text/xml")];
    let form = sigv4::decoded_query(&String::from_utf8_lossy(&call.body));
    if form.get("Action").map(String::as_str) != Some("GetCallerIdentity") {
        let body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
            <Code>InvalidAction</Code><Message>Only GetCallerIdentity is served here</Message></Error>\
            <RequestId>sandbox</RequestId></ErrorResponse>";
        return (StatusCode::BAD_REQUEST, xml, body).into_response();
    }
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{ACCOUNT}:user/sandbox-technician</Arn><UserId>{}</UserId><Account>{ACCOUNT}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>sandbox</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>",
        keys.access_key_id
    );
    (xml, body).into_response()
}

/// MQTT over WebSocket for a technician's AWS login: signed in the query, allowed everything.
async fn websocket(State(gate): State<Gate>, mut request: Request) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    if let Err(error) = sigv4::verify_query(&parts, &gate.credentials, gate.service.clock().now()) {
        return refusal(&error, None);
    }
    let header = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let speaks_mqtt = header(header::SEC_WEBSOCKET_PROTOCOL)
        .is_some_and(|offered| offered.split(',').any(|protocol| protocol.trim() == "mqtt"));
    let Some(key) = header(header::SEC_WEBSOCKET_KEY).filter(|_| speaks_mqtt) else {
        return refusal(&ApiError::invalid("A WebSocket with the subprotocol mqtt is needed"), None);
    };
    let accept = derive_accept_key(key.as_bytes());
    let hub = gate.hub.clone();
    tokio::spawn(async move {
        // The technician's client sees a failed upgrade itself.
        if let Ok(upgraded) = upgrade.await {
            let stream = TokioAdapter::new(TokioIo::new(upgraded));
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
            broker::session(WsStream::new(socket), Identity::Technician, hub).await;
        }
    });
    let headers = [
        (header::CONNECTION, "upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
        (header::SEC_WEBSOCKET_PROTOCOL, "mqtt".to_owned()),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}
