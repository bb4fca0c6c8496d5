//! Whether a newer version is published: one request when somebody asks, never by itself.
//!
//! It tells the server this program's name and version and nothing of the user, the site or the boards.

use std::time::Duration;

use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::Deserialize;
use tokio::time::timeout;

use super::tls;
use crate::domain::{
    Problem,
    release::{Release, THIS_VERSION},
};

/// Where the project publishes (GitHub REST API, "Get the latest release").
pub const ADDRESS: &str = "https://api.github.com/repos/coldbench/coldbench/releases/latest";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

#[derive(Deserialize)]
struct Answer {
    tag_name: String,
    html_url: String,
}

/// Asks once.
///
/// # Errors
/// `updates.unreachable` where nobody answers in time, `updates.answer` where the answer tells no version.
pub async fn newest(address: &str) -> Result<Release, Problem> {
    let bytes = timeout(PATIENCE, ask(address))
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()).into()))
        .map_err(|error| {
            let what = format!("{address} does not tell the newest version: {error}");
            Problem::new("updates.unreachable", what, "Check the network; nothing else depends on it")
        })?;
    let told = serde_json::from_slice::<Answer>(&bytes).ok();
    told.and_then(|answer| Release::from_tag(&answer.tag_name, answer.html_url)).ok_or_else(|| {
        let what = format!("{address} answers, but names no version");
        Problem::new("updates.answer", what, "Check the address that is asked").in_terminal("--from")
    })
}

async fn ask(address: &str) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let tls = tls::web_config()?;
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    let request = Request::get(address)
        .header(header::USER_AGENT, format!("coldbench/{THIS_VERSION}"))
        .header(header::ACCEPT, "application/json")
        .body(Empty::<&[u8]>::new())?;
    let answer = Client::builder(TokioExecutor::new()).build(connector).request(request).await?;
    if !answer.status().is_success() {
        return Err(format!("status {}", answer.status().as_u16()).into());
    }
    Ok(Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await?.to_bytes().to_vec())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request and gives back what was asked.
    async fn answered(status: &'static str, body: &'static str) -> (Result<Release, Problem>, String) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/latest", server.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut client, _) = server.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(client.read_u8().await.unwrap());
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            client.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        (newest(&address).await, asked.await.unwrap())
    }

    #[tokio::test]
    async fn a_newer_version_is_told_and_the_request_says_nothing_else() {
        let body = r#"{"tag_name":"v999.1.2","html_url":"https://example.org/v999.1.2","other":1}"#;
        let (release, asked) = answered("200 OK", body).await;
        let release = release.unwrap();
        assert!(release.is_newer);
        assert_eq!((release.version.as_str(), release.url.as_str()), ("999.1.2", "https://example.org/v999.1.2"));
        let mut names: Vec<&str> = asked.lines().skip(1).filter_map(|line| line.split(':').next()).collect();
        names.sort_unstable();
        assert_eq!(names, ["", "accept", "host", "user-agent"], "{asked}");
        assert!(asked.contains(&format!("user-agent: coldbench/{THIS_VERSION}")), "{asked}");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_a_problem_with_a_code() {
        assert_eq!(answered("404 Not Found", "").await.0.unwrap_err().code, "updates.unreachable");
        assert_eq!(answered("200 OK", "{}").await.0.unwrap_err().code, "updates.answer");
        assert_eq!(newest("http://127.0.0.1:1/").await.unwrap_err().code, "updates.unreachable");
    }
}
