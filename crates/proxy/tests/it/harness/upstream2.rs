//! An upstream that writes down every request that reached it, over HTTP/2.

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

use super::caller::Stream;
use super::upstream::{Log, Seen, Upstream};

/// What the upstream does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply2 {
    /// Answers with a status, a body and trailers.
    Answer(u16, &'static str, Vec<(&'static str, &'static str)>),
    /// Resets the stream.
    Reset(Reason),
    /// Says nothing.
    Never,
}

type Answering = Arc<dyn Fn(&Seen) -> Reply2 + Send + Sync>;

/// An HTTP/2 upstream without TLS.
pub(crate) async fn start2(reply: impl Fn(&Seen) -> Reply2 + Send + Sync + 'static) -> Upstream {
    let reply: Answering = Arc::new(reply);
    Upstream::raw(move |stream, number, log| serve(stream, number, log, reply.clone())).await
}

/// An HTTP/2 upstream behind TLS.
pub(crate) async fn start2_tls(
    acceptor: TlsAcceptor,
    reply: impl Fn(&Seen) -> Reply2 + Send + Sync + 'static,
) -> Upstream {
    let reply: Answering = Arc::new(reply);
    let upstream = Upstream::raw(move |stream, number, log| {
        let (acceptor, reply) = (acceptor.clone(), reply.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, number, log, reply).await;
            }
        }
    });
    upstream.await.with_tls()
}

async fn serve(stream: impl Stream + 'static, connection: usize, log: Log, reply: Answering) {
    let Ok(mut requests) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = requests.accept().await {
        tokio::spawn(answer(request, respond, connection, log.clone(), reply.clone()));
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection: usize,
    log: Log,
    reply: Answering,
) {
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(data)) = incoming.data().await {
        let _ = incoming.flow_control().release_capacity(data.len());
        body.extend_from_slice(&data);
    }
    let trailers = incoming.trailers().await;
    let authority = head.uri.authority().map(ToString::to_string);
    let mut fields = pairs(&head.headers);
    fields.extend(authority.map(|authority| (":authority".to_owned(), authority)));
    let seen = Seen {
        connection,
        method: head.method.to_string(),
        target: head.uri.path_and_query().unwrap().to_string(),
        fields,
        body,
        is_whole: trailers.is_ok(),
        trailers: trailers.ok().flatten().as_ref().map(pairs).unwrap_or_default(),
    };
    log.push(seen.clone());
    match reply(&seen) {
        Reply2::Answer(status, body, trailers) => {
            let response = Response::builder().status(status).body(()).unwrap();
            let Ok(mut stream) = respond.send_response(response, false) else { return };
            let _ = stream.send_data(Bytes::from_static(body.as_bytes()), trailers.is_empty());
            if !trailers.is_empty() {
                let trailers = trailers
                    .into_iter()
                    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
                let _ = stream.send_trailers(trailers.collect::<HeaderMap>());
            }
        }
        Reply2::Reset(reason) => respond.send_reset(reason),
        Reply2::Never => std::future::pending().await,
    }
}
