//! A client for large bodies, which wrk would have to hold in memory whole.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::args::Args;
use crate::{Outcome, http};

/// What the client saw.
#[derive(Serialize, Deserialize)]
pub struct Transferred {
    pub requests: u64,
    pub micros: u64,
}

#[derive(Clone, Copy)]
enum Direction {
    Upload,
    Download,
}

/// Transfers bodies on `--connections` connections for `--seconds`, at least one on each, and
/// prints what it saw.
pub async fn run(args: &Args) -> Outcome<()> {
    let direction = match args.required("--direction")? {
        "upload" => Direction::Upload,
        "download" => Direction::Download,
        other => return Err(format!("--direction {other}: not upload or download").into()),
    };
    let port: u16 = args.required("--port")?.parse()?;
    let bytes: usize = args.required("--bytes")?.parse()?;
    let key = args.required("--key")?.to_owned();
    let duration = Duration::from_secs(args.number("--seconds", 4)?);
    let connections: usize = args.number("--connections", 8)?;
    let started = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let key = key.clone();
            tokio::spawn(
                async move { repeat(direction, port, bytes, &key, started + duration).await },
            )
        })
        .collect();
    let mut requests = 0;
    for task in tasks {
        requests += task.await??;
    }
    let micros = u64::try_from(started.elapsed().as_micros())?;
    println!("{}", serde_json::to_string(&Transferred { requests, micros })?);
    Ok(())
}

async fn repeat(
    direction: Direction,
    port: u16,
    bytes: usize,
    key: &str,
    until: Instant,
) -> Outcome<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![b'x'; 128 * 1024];
    let mut requests = 0;
    while requests == 0 || Instant::now() < until {
        let (method, path, sent) = match direction {
            Direction::Upload => ("POST", "/items/upload".to_owned(), bytes),
            Direction::Download => ("GET", format!("/items/blob-{bytes}"), 0),
        };
        let head = http::request(port, method, &path, Some(key), sent, "keep-alive");
        stream.write_all(&head).await?;
        let mut left = sent;
        while left > 0 {
            let chunk = left.min(buffer.len());
            stream.write_all(&buffer[..chunk]).await?;
            left -= chunk;
        }
        let received = receive(&mut stream, &mut buffer).await?;
        if matches!(direction, Direction::Download) && received != bytes {
            return Err(format!("{received} bytes came of {bytes}").into());
        }
        requests += 1;
    }
    Ok(requests)
}

/// Reads one answer and gives the length of its body.
async fn receive(stream: &mut TcpStream, buffer: &mut [u8]) -> Outcome<usize> {
    let mut filled = 0;
    let head_end = loop {
        if let Some(at) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err("the connection ended inside an answer".into()),
            length => filled += length,
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).to_ascii_lowercase();
    let status = http::status(&head)?;
    if status != 200 {
        return Err(format!("answer {status}").into());
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .ok_or("an answer without a Content-Length")?;
    let length: usize = length.trim().parse()?;
    let mut left = length.checked_sub(filled - head_end).ok_or("more than the announced body")?;
    while left > 0 {
        let part = left.min(buffer.len());
        match stream.read(&mut buffer[..part]).await? {
            0 => return Err("the connection ended inside a body".into()),
            got => left -= got,
        }
    }
    Ok(length)
}
