//! A client for one request: enough to see that a peer is up and guards what it should.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Outcome;

/// A whole answer.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Sends one request on a connection of its own and reads to the end.
pub async fn ask(
    port: u16,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: &[u8],
) -> Outcome<Answer> {
    let exchange = exchange(port, method, path, key, body);
    tokio::time::timeout(Duration::from_secs(10), exchange)
        .await
        .map_err(|_| format!("{method} {path}: no answer in ten seconds"))?
}

async fn exchange(
    port: u16,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: &[u8],
) -> Outcome<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(&request(port, method, path, key, body.len(), "close")).await?;
    stream.write_all(body).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("half an answer")?;
    Ok(Answer { status: status(head)?, body: body.to_owned() })
}

/// The head of a request with a body of `body_bytes`.
pub fn request(
    port: u16,
    method: &str,
    path: &str,
    key: Option<&str>,
    body_bytes: usize,
    connection: &str,
) -> Vec<u8> {
    let key = key.map(|key| format!("X-API-Key: {key}\r\n")).unwrap_or_default();
    let length = match method {
        "GET" => String::new(),
        _ => format!("Content-Type: application/json\r\nContent-Length: {body_bytes}\r\n"),
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{key}{length}\
         User-Agent: keystile-bench\r\nConnection: {connection}\r\n\r\n"
    )
    .into_bytes()
}

/// The status in an answer's head.
pub fn status(head: &str) -> Outcome<u16> {
    let word = head.split(' ').nth(1).ok_or("no status line")?;
    Ok(word.parse()?)
}
