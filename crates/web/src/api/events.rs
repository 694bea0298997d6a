//! The live feed over HTTP: `text/event-stream`, resumable by Last-Event-ID.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, timeout};

use super::caller::{Caller, Read};
use super::problem::Problem;
use crate::feed::{FeedBatch, Seen};
use crate::web::Web;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A comment now and then keeps proxies from closing a quiet stream.
const QUIET: Duration = Duration::from_secs(15);
/// How often, besides before every message, it is checked that the caller may still watch.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What happens, as it happens: `text/event-stream`
///
/// Messages are `write` with a record (again when its outcome is known), `event` with something of the
/// audit, `skipped` and `lagged` with how much was too much to show, and `hello` with the server's time.
/// A client that comes back sends Last-Event-ID and gets what it missed, up to a bound. The stream ends
/// when the token or the session does.
#[utoipa::path(
    get, path = "/events", tag = "status", operation_id = "stream_events",
    params(("last-event-id" = Option<String>, Header, description = "The id of the last message seen.")),
    responses((status = OK, body = String, content_type = "text/event-stream"), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn stream(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let listening = web.feed.listen();
    let last_seen =
        headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse::<Seen>().ok());
    let begun = match last_seen {
        Some(seen) => web.feed.missed(seen).await,
        None => web.feed.here().await.map(|seen| (seen, String::new())),
    };
    let (seen, text) = begun?;
    let hello = format!(
        "retry: 2000\nevent: hello\ndata: {{\"now\":\"{}\"}}\n\n{text}",
        web.engine.store().now()
    );
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(16);
    tokio::spawn(send_events(web, caller, seen, hello.into(), listening, sender));
    let stream = futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|text| text.map(Ok::<_, std::convert::Infallible>))
    });
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response())
}

/// Sends a watcher what happens, until they leave or their session or token ends. That is checked also while
/// they do not read, so that no stream outlives what opened it.
async fn send_events(
    web: Arc<Web>,
    caller: Caller<Read>,
    seen: Seen,
    hello: Bytes,
    mut listening: Receiver<FeedBatch>,
    sender: Sender<Bytes>,
) {
    let mut next = Some(hello);
    let mut last_sent = Instant::now();
    while caller.still_holds(&web).await.unwrap_or(false) {
        if let Some(text) = next.take() {
            match timeout(CHECK_EVERY, sender.reserve()).await {
                Ok(Ok(place)) => place.send(text),
                Ok(Err(_)) => return,
                Err(_) => {
                    next = Some(text);
                    continue;
                }
            }
            last_sent = Instant::now();
        }
        next = match timeout(CHECK_EVERY, listening.recv()).await {
            // What was sent already when the watcher came back.
            Ok(Ok(batch)) if batch.before.record < seen.record => None,
            Ok(Ok(batch)) => Some(batch.text),
            Ok(Err(RecvError::Lagged(batches))) => {
                Some(Bytes::from(format!("event: lagged\ndata: {{\"looks\":{batches}}}\n\n")))
            }
            Ok(Err(RecvError::Closed)) => return,
            Err(_) if sender.is_closed() => return,
            Err(_) if last_sent.elapsed() >= QUIET => Some(Bytes::from_static(b": still here\n\n")),
            Err(_) => None,
        };
    }
}
