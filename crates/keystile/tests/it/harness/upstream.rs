//! The API behind the gate: it records every request at the moment in which its head has arrived.
//!
//! How it answers stands in the path: `/held/..` waits until the test releases it, `/slow/MILLIS/..` waits first, `/drip/MILLIS/..` waits in the middle of
//! the body, `/status/CODE/..` answers with that status, `/jitter/..` waits for a few milliseconds that
//! the path decides, `/die/..` closes the connection without an answer, `/big/BYTES/..` has a body of that
//! length. All others get 200 at once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::{pause, wait_until};

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) at: Instant,
}

impl Received {
    /// A field of the head, by its lower-case name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// A recording API. It runs until the test process ends.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    released: Arc<(Mutex<bool>, Condvar)>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Self {
            address,
            received: Arc::default(),
            connections: Arc::default(),
            released: Arc::default(),
        };
        let serving = upstream.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let upstream = serving.clone();
                upstream.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // The gate closes connections as it likes, and is killed.
                    drop(serve(&stream, &upstream));
                    upstream.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        upstream
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that arrived so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Lets all answers go that are held.
    pub(crate) fn release(&self) {
        *self.released.0.lock().unwrap() = true;
        self.released.1.notify_all();
    }

    fn until_released(&self) {
        let (is_released, changed) = &*self.released;
        let held = changed.wait_while(is_released.lock().unwrap(), |is_released| !*is_released);
        drop(held.unwrap());
    }

    /// Waits until all that a killed gate has sent was read.
    pub(crate) fn wait_until_deserted(&self) {
        // Connections are accepted in order: once this one is answered, none of the gate's waits for that.
        let mut last = TcpStream::connect(self.address).unwrap();
        last.write_all(b"GET /last HTTP/1.1\r\n\r\n").unwrap();
        last.read_exact(&mut [0]).unwrap();
        drop(last);
        wait_until("all connections have ended", || self.connections.load(Ordering::SeqCst) == 0);
    }

    /// How many writes arrived.
    pub(crate) fn writes(&self) -> usize {
        let received = self.received.lock().unwrap();
        received.iter().filter(|request| request.method != "GET").count()
    }

    /// How often a path was asked for.
    pub(crate) fn times(&self, path: &str) -> usize {
        let received = self.received.lock().unwrap();
        received.iter().filter(|request| request.path == path).count()
    }
}

fn serve(stream: &TcpStream, upstream: &Upstream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut words = head.split_ascii_whitespace().map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let request = Received { method, path: path.clone(), head, at: Instant::now() };
        let length = request.field("content-length").and_then(|length| length.parse().ok());
        upstream.received.lock().unwrap().push(request);
        io::copy(&mut reader.by_ref().take(length.unwrap_or(0)), &mut io::sink())?;
        if path.starts_with("/held/") {
            upstream.until_released();
        }
        if !answer(stream, &path)? {
            return Ok(());
        }
    }
}

/// Answers, or says that the connection is to be closed without.
fn answer(mut stream: &TcpStream, path: &str) -> io::Result<bool> {
    let mut parts = path.split('/').skip(1);
    let kind = parts.next().unwrap_or_default();
    let number: u64 = parts.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    match kind {
        "slow" => pause(number),
        "jitter" => {
            let mut hasher = DefaultHasher::new();
            path.hash(&mut hasher);
            pause(hasher.finish() % 12);
        }
        "die" => return Ok(false),
        "big" => return big(stream, number),
        _ => {}
    }
    let status = if kind == "status" { number } else { 200 };
    stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 6\r\n\r\nhal").as_bytes())?;
    if kind == "drip" {
        pause(number);
    }
    stream.write_all(b"lo\n")?;
    Ok(true)
}

fn big(mut stream: &TcpStream, bytes: u64) -> io::Result<bool> {
    stream.write_all(format!("HTTP/1.1 200 X\r\ncontent-length: {bytes}\r\n\r\n").as_bytes())?;
    io::copy(&mut io::repeat(b'a').take(bytes), &mut stream)?;
    Ok(true)
}
