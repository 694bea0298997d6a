//! The live feed over HTTP: `text/event-stream`, resumable by Last-Event-ID.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, StatusCode};
use tokio::sync::broadcast::error::RecvError;

use crate::feed::{self, Feed, Seen};
use crate::session::SignedIn;
use crate::web::Web;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A comment now and then keeps proxies from closing a quiet stream.
const QUIET: std::time::Duration = std::time::Duration::from_secs(15);

pub(crate) async fn stream(
    State(web): State<Arc<Web>>,
    _: SignedIn,
    headers: HeaderMap,
) -> Response {
    let mut listening = Feed::listen(&web);
    let asked = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse::<Seen>().ok());
    let begun = match asked {
        Some(seen) => feed::missed(&web, seen).await,
        None => feed::here(&web).await.map(|seen| (seen, String::new())),
    };
    let (seen, text) = match begun {
        Ok(begun) => begun,
        Err(failure) => {
            return (StatusCode::SERVICE_UNAVAILABLE, failure.to_string()).into_response();
        }
    };
    let hello = format!(
        "retry: 2000\nevent: hello\ndata: {{\"now\":\"{}\"}}\n\n{text}",
        web.engine.store().now()
    );
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(16);
    tokio::spawn(async move {
        let mut text = Bytes::from(hello);
        loop {
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
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}
