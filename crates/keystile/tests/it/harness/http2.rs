//! A caller over HTTP/2 that does just what a test says, in frames of its own making: no client library
//! leaves an answer unread.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection.
#[derive(Debug)]
pub(crate) struct Http2 {
    pub(crate) stream: TcpStream,
    next: u32,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A field, not indexed (RFC 7541 section 6.2.2); lengths up to 16 KiB.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        let length = text.len();
        if length < 127 {
            field.push(u8::try_from(length).unwrap());
        } else {
            let rest = length - 127;
            field.push(127);
            field.push(u8::try_from(rest % 128 + 128).unwrap());
            field.push(u8::try_from(rest / 128).unwrap());
        }
        field.extend(text.as_bytes());
    }
    field
}

impl Http2 {
    /// Connects; each stream may be sent `window` bytes, and all together as many as they like.
    pub(crate) fn connect(address: SocketAddr, window: u32) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        bytes.extend(frame(SETTINGS, 0, 0, &settings));
        bytes.extend(frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes()));
        stream.write_all(&bytes)?;
        Ok(Self { stream, next: 1 })
    }

    /// Sends the head of a request; gives its stream.
    pub(crate) fn head(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        has_body: bool,
    ) -> io::Result<u32> {
        let id = self.next;
        self.next += 2;
        let mut block = Vec::new();
        for (name, value) in
            [(":method", method), (":scheme", "http"), (":path", path), (":authority", "api.test")]
        {
            block.extend(field(name, value));
        }
        for (name, value) in fields {
            block.extend(field(name, value));
        }
        let flags = END_HEADERS | if has_body { 0 } else { END_STREAM };
        self.stream.write_all(&frame(HEADERS, flags, id, &block))?;
        Ok(id)
    }

    /// Ends a body.
    pub(crate) fn end(&mut self, id: u32) -> io::Result<()> {
        self.stream.write_all(&frame(DATA, END_STREAM, id, b""))
    }

    /// Sends some of a body.
    pub(crate) fn data(&mut self, id: u32, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(16_384) {
            self.stream.write_all(&frame(DATA, 0, id, part))?;
        }
        Ok(())
    }
}
