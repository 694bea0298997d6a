//! Somebody who calls the gate over HTTP/2.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use super::caller::{Answer, Stream};
use super::soon;

/// An HTTP/2 connection to the gate.
pub(crate) struct Caller2 {
    pub(crate) sender: SendRequest<Bytes>,
}

/// Another hand on the same connection.
pub(crate) struct Shared2(SendRequest<Bytes>);

impl Shared2 {
    pub(crate) async fn call(
        &mut self,
        request: Request<()>,
        body: &[u8],
    ) -> Result<Answer, h2::Error> {
        read_answer(send(&self.0, request, body).await?).await
    }
}

async fn send(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: &[u8],
) -> Result<ResponseFuture, h2::Error> {
    let mut sender = soon("room for a stream", sender.clone().ready()).await?;
    let (response, mut stream) = sender.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body), true)?;
    }
    Ok(response)
}

/// A request head; the key is left out where it is empty.
pub(crate) fn request2(method: &str, path: &str, key: &str) -> Request<()> {
    let mut request = Request::builder().method(method).uri(format!("http://api.test{path}"));
    if !key.is_empty() {
        request = request.header("x-api-key", key);
    }
    request.body(()).unwrap()
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(pair).collect()
}

/// Reads an answer to its end.
pub(crate) async fn read_answer(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut body) = soon("an answer", response).await?.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = soon("a body", body.data()).await {
        let data = data?;
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    let trailers = soon("trailers", body.trailers()).await?;
    Ok(Answer {
        status: head.status.as_u16(),
        fields: pairs(&head.headers),
        body: bytes,
        trailers: trailers.as_ref().map(pairs).unwrap_or_default(),
        is_whole: true,
    })
}

impl Caller2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream).await
    }

    pub(crate) async fn over(stream: impl Stream + 'static) -> Self {
        let (sender, connection) =
            soon("a handshake", h2::client::handshake(stream)).await.unwrap();
        // It ends with its last handle, or when the gate ends it.
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends a request whose body is at hand.
    pub(crate) async fn send(
        &mut self,
        request: Request<()>,
        body: &[u8],
    ) -> Result<ResponseFuture, h2::Error> {
        send(&self.sender, request, body).await
    }

    pub(crate) fn share(&self) -> Shared2 {
        Shared2(self.sender.clone())
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn call(
        &mut self,
        request: Request<()>,
        body: &[u8],
    ) -> Result<Answer, h2::Error> {
        read_answer(self.send(request, body).await?).await
    }
}
