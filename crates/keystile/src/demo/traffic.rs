//! The applications of the demo: two that behave, and one that does not for long.
//!
//! They are clients like any other: each request goes over a TCP connection of its own to the gate. What an
//! owner sees of them comes from the journal; only what the journal does not have, the reads of the key that
//! was locked, is told here.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Longer than any answer of this machine takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long people look at something before they do the next thing, in milliseconds, over and over.
const PAUSES_MS: [u64; 7] = [1900, 3100, 2300, 2800, 1700, 3400, 2600];
/// Every so many turns something is written: some 8 writes a minute, well within a budget of 20.
const TURNS_PER_WRITE: usize = 3;
/// How many bookmarks an application that behaves keeps of its own.
const OWN_MAX: usize = 4;

/// How long the third application behaves.
pub(super) const CALM: Duration = Duration::from_secs(8);
/// Between two writes of an application out of control; fast, but an eye can follow it.
const RAMPAGE_PAUSE: Duration = Duration::from_millis(220);
/// Between two attempts of an application whose key is locked.
const LOCKED_PAUSE: Duration = Duration::from_secs(15);

/// A client with a key, or with none.
#[derive(Clone)]
pub(super) struct Caller {
    /// Where it sends its requests.
    pub(super) address: SocketAddr,
    /// What it calls itself.
    pub(super) application: &'static str,
    /// Its key.
    pub(super) key: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// The status.
    pub(super) status: StatusCode,
    /// The body as JSON; null where it is none.
    pub(super) body: Value,
}

/// A read of an application whose key is locked.
#[derive(Clone, Debug)]
pub(super) struct Read {
    /// Who read.
    pub(super) application: &'static str,
    /// What.
    pub(super) path: String,
    /// What came back.
    pub(super) status: StatusCode,
}

impl From<Response<Bytes>> for Reply {
    fn from(response: Response<Bytes>) -> Self {
        let body = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
        Self { status: response.status(), body }
    }
}

impl Caller {
    /// Sends a request without a body.
    pub(super) async fn send(&self, method: Method, path: &str) -> anyhow::Result<Reply> {
        Ok(self.exchange(self.request(method, path).body(Full::default())?).await?.into())
    }

    /// Sends a request with a JSON body.
    pub(super) async fn send_json(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Reply> {
        let request = self.request(method, path).header(CONTENT_TYPE, "application/json");
        Ok(self.exchange(request.body(Full::from(body.to_string()))?).await?.into())
    }

    /// The beginning of a request, with the key.
    pub(super) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(USER_AGENT, format!("{}/1.0 (demo)", self.application));
        match &self.key {
            Some(key) => request.header("X-API-Key", key),
            None => request,
        }
    }

    /// Sends a request on a connection of its own.
    #[expect(clippy::disallowed_methods, reason = "the demo is a caller of its own gate")]
    pub(super) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Response<Bytes>> {
        tokio::time::timeout(PATIENCE, async {
            let stream = TcpStream::connect(self.address).await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let exchange = async {
                let (parts, body) = sender.send_request(request).await?.into_parts();
                Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
            };
            tokio::pin!(exchange);
            tokio::select! {
                response = &mut exchange => response,
                // The server may end the connection with its answer.
                ended = connection => ended.map_err(Into::into).and(exchange.await),
            }
        })
        .await
        .context("there was no answer in time")?
    }

    async fn list(&self, after: i64, limit: usize) -> anyhow::Result<Vec<i64>> {
        let reply =
            self.send(Method::GET, &format!("/bookmarks?after={after}&limit={limit}")).await?;
        let entries = reply.body.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(entries.iter().filter_map(|entry| entry["id"].as_i64()).collect())
    }
}

/// An application that behaves: it reads, and now and then writes. It begins after so many of its turns'
/// pauses that the applications do not march in step.
pub(super) async fn behave(caller: Caller, step: usize) {
    let mut own = VecDeque::new();
    let mut pauses = PAUSES_MS.iter().cycle().skip(step);
    // The first write comes at once: somebody waits to see one.
    sleep(Duration::from_millis(600 * step as u64)).await;
    for turn in 0_usize.. {
        // Whatever went wrong, the next turn is another attempt, as with any patient client.
        if turn % TURNS_PER_WRITE == 0 {
            let _ = write(&caller, &mut own, turn / TURNS_PER_WRITE).await;
        } else {
            let _ = look(&caller, turn).await;
        }
        let pause = pauses.next().copied().unwrap_or_default();
        sleep(Duration::from_millis(pause)).await;
    }
}

async fn look(caller: &Caller, turn: usize) -> anyhow::Result<()> {
    let listed = caller.list(0, 20).await?;
    if let Some(id) = listed.get(turn % listed.len().max(1)) {
        caller.send(Method::GET, &format!("/bookmarks/{id}")).await?;
    }
    Ok(())
}

/// One write to what the application created itself, in turn of every kind.
async fn write(caller: &Caller, own: &mut VecDeque<i64>, number: usize) -> anyhow::Result<()> {
    let draft = |title: &str| json!({ "url": format!("https://example.org/{}/{number}", caller.application), "title": title });
    let path = own.back().map(|id| format!("/bookmarks/{id}"));
    match (number % 4, path) {
        (2, Some(path)) => {
            caller.send_json(Method::PATCH, &path, &json!({ "title": "Read it again" })).await?;
        }
        (3, Some(path)) => {
            caller.send_json(Method::PUT, &path, &draft("Found at another place")).await?;
        }
        _ if own.len() >= OWN_MAX => {
            let id = own.pop_front().unwrap_or_default();
            caller.send(Method::DELETE, &format!("/bookmarks/{id}")).await?;
        }
        _ => {
            let reply = caller.send_json(Method::POST, "/bookmarks", &draft("To read")).await?;
            own.extend(reply.body["id"].as_i64());
        }
    }
    Ok(())
}

/// An application that behaves for a while, then deletes and overwrites what it finds until its key is
/// locked. From then on it tries now and then; unlocked, it behaves.
pub(super) async fn misbehave(caller: Caller, reads: mpsc::Sender<Read>) {
    if tokio::time::timeout(CALM, behave(caller.clone(), 2)).await.is_ok() {
        return;
    }
    if rampage(&caller).await {
        while still_locked(&caller, &reads).await {
            sleep(LOCKED_PAUSE).await;
        }
    }
    behave(caller, 0).await;
}

/// Deletes and overwrites one bookmark after the other; whether it was stopped.
async fn rampage(caller: &Caller) -> bool {
    let junk = json!({ "url": "https://spam.example/", "title": "BUY NOW" });
    let ids = caller.list(0, 100).await.unwrap_or_default();
    for (number, id) in ids.into_iter().enumerate() {
        let path = format!("/bookmarks/{id}");
        let reply = match number % 4 {
            3 => caller.send_json(Method::PUT, &path, &junk).await,
            _ => caller.send(Method::DELETE, &path).await,
        };
        if reply.is_ok_and(|reply| reply.status == StatusCode::FORBIDDEN) {
            sleep(RAMPAGE_PAUSE * 2).await;
            return true;
        }
        sleep(RAMPAGE_PAUSE).await;
    }
    false
}

/// One write and, where it was refused, one read with a key that was locked; whether it was refused.
async fn still_locked(caller: &Caller, reads: &mpsc::Sender<Read>) -> bool {
    let path = "/bookmarks".to_owned();
    let draft = json!({ "url": "https://spam.example/", "title": "BUY NOW" });
    let reply = caller.send_json(Method::POST, &path, &draft).await;
    if reply.is_ok_and(|reply| reply.status != StatusCode::FORBIDDEN) {
        return false;
    }
    sleep(RAMPAGE_PAUSE * 2).await;
    if let Ok(Reply { status, .. }) = caller.send(Method::GET, &path).await {
        // Nobody is left to hear of it when the demo ends.
        let _ = reads.send(Read { application: caller.application, path, status }).await;
    }
    true
}
