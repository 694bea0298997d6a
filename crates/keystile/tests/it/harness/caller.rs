//! A caller of the API: one connection for each request, HTTP/1.1.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Somebody who calls the API, with or without a key.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    gate: SocketAddr,
    key: Option<String>,
    agent: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Caller {
    pub(crate) fn new(gate: SocketAddr, key: Option<&str>) -> Self {
        let key = key.map(str::to_owned);
        Self { gate, key, agent: b"it/1".to_vec() }
    }

    /// The same, calling itself something else.
    pub(crate) fn agent(mut self, agent: &[u8]) -> Self {
        self.agent = agent.to_vec();
        self
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path).unwrap()
    }

    pub(crate) fn post(&self, path: &str) -> Answer {
        self.call("POST", path).unwrap()
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path).unwrap()
    }

    /// Sends a request and waits for the whole answer.
    pub(crate) fn call(&self, method: &str, path: &str) -> io::Result<Answer> {
        Call::open(self)?.send(self, method, path)?.answer()
    }

    /// A connection on which a request will be sent.
    pub(crate) fn connect(&self) -> io::Result<Call> {
        Call::open(self)
    }

    fn head(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: api.test\r\n").into_bytes();
        if let Some(key) = &self.key {
            head.extend_from_slice(format!("x-api-key: {key}\r\n").as_bytes());
        }
        head.extend_from_slice(b"user-agent: ");
        head.extend_from_slice(&self.agent);
        head.extend_from_slice(b"\r\nconnection: close\r\n");
        if !body.is_empty() {
            head.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(body);
        head
    }
}

/// A connection with at most one request on it.
#[derive(Debug)]
pub(crate) struct Call(TcpStream);

impl Call {
    fn open(caller: &Caller) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&caller.gate, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends a request; one that creates something has a body.
    pub(crate) fn send(mut self, caller: &Caller, method: &str, path: &str) -> io::Result<Self> {
        let body: &[u8] = match method {
            "POST" | "PUT" | "PATCH" => b"{\"a\":1}",
            _ => b"",
        };
        self.0.write_all(&caller.head(method, path, body))?;
        Ok(self)
    }

    /// Waits for the whole answer; half of one is an error.
    pub(crate) fn answer(mut self) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes)?;
        let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut off");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let (head, body) = (head.to_ascii_lowercase(), body.to_owned());
        let answer = Answer { status: status.ok_or_else(broken)?, head, body };
        let is_whole = answer.field("content-length").is_none_or(|length| {
            length.parse().is_ok_and(|length: usize| length == answer.body.len())
        });
        if is_whole { Ok(answer) } else { Err(broken()) }
    }
}

impl Answer {
    /// A field of the head, by its lower-case name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(field, value)| (field == name).then_some(value))
    }

    /// The reason of a refusal.
    pub(crate) fn reason(&self) -> Option<String> {
        let problem: Value = serde_json::from_str(&self.body).ok()?;
        problem["reason"].as_str().map(str::to_owned)
    }

    /// Status and reason.
    pub(crate) fn status_and_reason(&self) -> (u16, String) {
        (self.status, self.reason().unwrap_or_default())
    }
}
