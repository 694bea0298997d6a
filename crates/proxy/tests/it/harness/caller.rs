//! Somebody who calls the gate over HTTP/1, one byte at a time if need be.

use std::fmt::Write;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;
use super::wire::{Content, Head, Wire, field};

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection to the gate.
pub(crate) struct Caller {
    pub(crate) wire: Wire<Box<dyn Stream>>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body came to its announced end.
    pub(crate) is_whole: bool,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The problem details.
    pub(crate) fn problem(&self) -> serde_json::Value {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and refusal reason.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.problem()["reason"].as_str().unwrap().to_owned())
    }
}

/// A request with the fields that every request needs; the key is left out where it is empty.
pub(crate) fn request(method: &str, target: &str, key: &str, body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: api.test\r\n");
    if !key.is_empty() {
        let _ = write!(head, "X-API-Key: {key}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(head, "Content-Length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

impl Caller {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Self { wire: Wire::new(Box::new(stream)) }
    }

    /// Sends bytes. That the gate has closed already is for the answer to tell.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = soon("room to write", self.wire.write(bytes)).await;
    }

    /// Ends the sending side.
    pub(crate) async fn finish(&mut self) {
        let _ = self.wire.stream.shutdown().await;
    }

    /// The next head, final or not; `None` when the connection ends without one.
    pub(crate) async fn head(&mut self) -> Option<Head> {
        soon("a head", self.wire.head()).await
    }

    /// The next answer; `None` when the connection ends without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let head = self.head().await?;
        Some(self.answer_of(head, "GET").await)
    }

    /// The rest of an answer whose head has come.
    pub(crate) async fn answer_of(&mut self, head: Head, method: &str) -> Answer {
        let status = head.status();
        let has_none =
            method == "HEAD" || (100..200).contains(&status) || [204, 304].contains(&status);
        let content = soon("the body", async {
            if has_none {
                return Content { is_whole: true, ..Content::default() };
            }
            match self.wire.framed(&head).await {
                Some(content) => content,
                None => self.wire.read_to_end().await,
            }
        })
        .await;
        let Content { bytes: body, trailers, is_whole } = content;
        Answer { status, fields: head.fields, body, trailers, is_whole }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        target: &str,
        key: &str,
        body: &[u8],
    ) -> Answer {
        self.send(&request(method, target, key, body)).await;
        let head = self.head().await.unwrap_or_else(|| panic!("{method} {target} has no answer"));
        self.answer_of(head, method).await
    }

    /// Everything that still comes, until the gate closes the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        soon("the end of the connection", self.wire.read_to_end()).await.bytes
    }
}
