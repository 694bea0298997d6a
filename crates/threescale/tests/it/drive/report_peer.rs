//! What answers in the place of a backend, as a test wishes.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What becomes of a report once it was read whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It counts.
    Counted,
    /// It counts, and its answer is lost.
    CountedAndCut,
    /// It counts, and nobody answers.
    CountedAndHung,
    /// It counts, and its answer has a body without an end.
    CountedAtLength,
    /// It does not count, and this is the answer.
    Answered(&'static str),
    /// It does not count, and a body without an end follows this head.
    AnsweredAtLength(&'static str),
}

#[derive(Debug, Default)]
struct Script {
    fates: VecDeque<Fate>,
    /// Answers of reports that hold nothing; without any, it would take reports.
    probes: VecDeque<&'static str>,
    /// The bodies of reports, and what counts, by metric.
    bodies: Vec<String>,
    counted: BTreeMap<String, u64>,
    probed: usize,
}

/// A backend that counts what it is told. It ends with the test process.
#[derive(Clone, Debug)]
pub(super) struct ReportPeer {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

const TAKEN: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
const BLANK: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/vnd.3scale-v2.0+xml\r\n\
    content-length: 114\r\n\r\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
    <error code=\"transactions_is_blank\">transactions parameter is blank </error>";

impl ReportPeer {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Self { address: listener.local_addr().unwrap(), script: Arc::default() };
        let serving = peer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let peer = serving.clone();
                std::thread::spawn(move || peer.serve(stream));
            }
        });
        peer
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says what becomes of the next reports; those after them count.
    pub(super) fn then(&self, fates: &[Fate]) {
        self.script.lock().unwrap().fates.extend(fates);
    }

    /// Says how the next reports that hold nothing are answered.
    pub(super) fn probes(&self, answers: &[&'static str]) {
        self.script.lock().unwrap().probes.extend(answers);
    }

    pub(super) fn counted(&self, metric: &str) -> u64 {
        self.script.lock().unwrap().counted.get(metric).copied().unwrap_or(0)
    }

    pub(super) fn bodies(&self) -> Vec<String> {
        self.script.lock().unwrap().bodies.clone()
    }

    pub(super) fn probed(&self) -> usize {
        self.script.lock().unwrap().probed
    }

    fn serve(&self, mut stream: TcpStream) {
        let Some(body) = read_body(&stream) else {
            return;
        };
        if !body.contains("transactions") {
            let answer = {
                let mut script = self.script.lock().unwrap();
                script.probed += 1;
                script.probes.pop_front().unwrap_or(BLANK)
            };
            let _ = stream.write_all(answer.as_bytes());
            return;
        }
        let fate = {
            let mut script = self.script.lock().unwrap();
            let fate = script.fates.pop_front().unwrap_or(Fate::Counted);
            if !matches!(fate, Fate::Answered(_) | Fate::AnsweredAtLength(_)) {
                for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
                    if let Some((_, metric)) = name.split_once("[usage][") {
                        let count = script.counted.entry(metric.replace(']', "")).or_default();
                        *count += value.parse::<u64>().unwrap();
                    }
                }
            }
            script.bodies.push(body);
            fate
        };
        match fate {
            Fate::Counted => drop(stream.write_all(TAKEN.as_bytes())),
            Fate::CountedAndCut => {}
            // Until whoever asked has gone.
            Fate::CountedAndHung => drop(stream.read(&mut [0])),
            Fate::CountedAtLength => endless(stream, "HTTP/1.1 202 Accepted\r\n"),
            Fate::Answered(answer) => drop(stream.write_all(answer.as_bytes())),
            Fate::AnsweredAtLength(head) => endless(stream, head),
        }
    }
}

/// A gigabyte, to whoever reads it.
fn endless(mut stream: TcpStream, head: &str) {
    let head = format!("{head}content-length: 1073741824\r\n\r\n");
    let block = vec![b'x'; 65_536];
    if stream.write_all(head.as_bytes()).is_ok() {
        for _ in 0..16_384 {
            if stream.write_all(&block).is_err() {
                return;
            }
        }
    }
}

fn read_body(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}
