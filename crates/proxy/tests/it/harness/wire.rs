//! HTTP/1 as bytes, read without mercy and without help: the tests must not share the gate's parser.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A connection and the bytes that were read ahead of their use.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    ahead: Vec<u8>,
}

/// A request's or answer's first line and fields; names in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) first_line: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// A body, its trailers, and whether it came to its proper end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) is_whole: bool,
}

impl Head {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

pub(crate) fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn fields_of(lines: &str) -> Vec<(String, String)> {
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    lines.split("\r\n").filter_map(field).collect()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Reads once; `false` at the end of the connection.
    async fn fill(&mut self) -> bool {
        self.ahead.reserve(16 * 1024);
        self.stream.read_buf(&mut self.ahead).await.is_ok_and(|length| length > 0)
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|part| part == end) {
                let found = self.ahead.drain(..at + end.len()).collect();
                return Some(found);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next head; `None` when the connection ends before one is whole.
    pub(crate) async fn head(&mut self) -> Option<Head> {
        let bytes = self.until(b"\r\n\r\n").await?;
        let text = String::from_utf8_lossy(&bytes);
        let (first_line, rest) = text.split_once("\r\n")?;
        Some(Head { first_line: first_line.to_owned(), fields: fields_of(rest) })
    }

    /// So many bytes, or those that come before the end of the connection.
    pub(crate) async fn exactly(&mut self, length: usize) -> Content {
        while self.ahead.len() < length && self.fill().await {}
        let is_whole = self.ahead.len() >= length;
        let bytes = self.ahead.drain(..length.min(self.ahead.len())).collect();
        Content { bytes, trailers: Vec::new(), is_whole }
    }

    /// Whatever comes next, at least one byte; empty at the end of the connection.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        if self.ahead.is_empty() {
            self.fill().await;
        }
        std::mem::take(&mut self.ahead)
    }

    /// Everything until the connection ends.
    pub(crate) async fn read_to_end(&mut self) -> Content {
        while self.fill().await {}
        Content { bytes: std::mem::take(&mut self.ahead), trailers: Vec::new(), is_whole: true }
    }

    /// The next chunk; empty for the last, `None` when the connection ends or the framing is broken.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n").await?;
        let line = String::from_utf8(line).ok()?;
        let length = usize::from_str_radix(line.trim_end().split(';').next()?, 16).ok()?;
        if length == 0 {
            return Some(Vec::new());
        }
        let content = self.exactly(length + 2).await;
        content.is_whole.then(|| content.bytes[..length].to_vec())
    }

    async fn chunked(&mut self) -> Content {
        let mut content = Content::default();
        loop {
            match self.chunk().await {
                None => return content,
                Some(chunk) if chunk.is_empty() => break,
                Some(chunk) => content.bytes.extend(chunk),
            }
        }
        let mut lines = Vec::new();
        loop {
            let Some(line) = self.until(b"\r\n").await else { return content };
            if line == b"\r\n" {
                break;
            }
            lines.extend(line);
        }
        content.trailers = fields_of(&String::from_utf8_lossy(&lines));
        content.is_whole = true;
        content
    }

    /// The body that a head announces; `None` where it announces none.
    pub(crate) async fn framed(&mut self, head: &Head) -> Option<Content> {
        if head.field("transfer-encoding").is_some() {
            return Some(self.chunked().await);
        }
        let length = head.field("content-length")?.parse().ok()?;
        Some(self.exactly(length).await)
    }
}
