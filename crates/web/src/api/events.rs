//! The live feed over HTTP: `text/event-stream`, resumable by Last-Event-ID.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::caller::{Caller, Read};
use super::problem::Problem;
use crate::feed::{self, Feed, Seen};
use crate::web::Web;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A comment now and then keeps proxies from closing a quiet stream; so often it is also asked whether the
/// caller may still watch.
const QUIET: std::time::Duration = std::time::Duration::from_secs(15);

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
    let mut listening = Feed::listen(&web);
    let asked = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse::<Seen>().ok());
    let begun = match asked {
        Some(seen) => feed::missed(&web, seen).await,
        None => feed::here(&web).await.map(|seen| (seen, String::new())),
    };
    let (seen, text) = begun?;
    let hello = format!(
        "retry: 2000\nevent: hello\ndata: {{\"now\":\"{}\"}}\n\n{text}",
        web.engine.store().now()
    );
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(16);
    tokio::spawn(async move {
        let mut text = Bytes::from(hello);
        let mut checked = Instant::now();
        loop {
            if checked.elapsed() >= QUIET {
                checked = Instant::now();
                if !caller.still_holds(&web).await.unwrap_or(false) {
                    return;
                }
            }
            if sender.send(text).await.is_err() {
                return;
            }
            text = loop {
                match tokio::time::timeout(QUIET, listening.recv()).await {
                    // What was told already when the watcher came back.
                    Ok(Ok(look)) if look.before.record < seen.record => {}
                    Ok(Ok(look)) => break look.text,
                    Ok(Err(RecvError::Lagged(looks))) => {
                        break Bytes::from(format!(
                            "event: lagged\ndata: {{\"looks\":{looks}}}\n\n"
                        ));
                    }
                    Ok(Err(RecvError::Closed)) => return,
                    Err(_) => break Bytes::from_static(b": still here\n\n"),
                }
            };
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|text| text.map(Ok::<_, std::convert::Infallible>))
    });
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response())
}
