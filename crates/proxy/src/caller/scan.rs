//! Following a caller's bytes from head to head, to notice what the HTTP parser repairs.
//!
//! Several requests may lie in one packet, so this keeps count of bodies too: of lengths and chunks,
//! as the parser does. Where the two could disagree the parser refuses, and the connection ends.

use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::grammar::HEAD_BYTES_MAX;
use memchr::memchr;

use crate::caller::malformed;

/// Heads that were looked at and not yet asked about; a packet holds fewer.
const PENDING_MAX: usize = 4096;
/// Enough to know the two framing fields.
const LINE_START_BYTES: usize = 18;
/// So many bytes of heads are kept until they were asked about; the parser takes no larger head.
const KEPT_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;
/// Larger memory is given back once its heads were asked about.
const ROOM_BYTES_MAX: usize = 2048;
/// Longer sizes than a length may have are the parser's to refuse.
const DIGITS_MAX: u32 = 16;

/// Where in the stream of requests the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// So many bytes of a body with a stated length.
    Body(u64),
    /// The line with a chunk's size, of which so many digits were read.
    Size {
        size: u64,
        digits: u32,
        has_ended: bool,
    },
    /// So many bytes of a chunk, its line end included.
    Chunk(u64),
    Trailers,
    /// It cannot be told any more.
    Lost,
}

/// What was seen of a connection's bytes.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the bytes so far"
)]
#[derive(Debug)]
pub(crate) struct Scan {
    place: Place,
    line_bytes: usize,
    /// The first bytes of the present line, lower case.
    line_start: [u8; LINE_START_BYTES],
    ends_in_cr: bool,
    /// Whether the line before this one ended in more than a bare line feed.
    follows_crlf: bool,
    is_past_first_line: bool,
    lengths: u8,
    codings: u8,
    length: u64,
    is_faulty: bool,
    /// The heads that are complete and were not asked about.
    complete: std::collections::VecDeque<Seen>,
    /// Their bytes, and those of the head that comes, to say what is wrong with one that is faulty.
    kept: Vec<u8>,
    /// So many of them are of the head that comes.
    head_bytes: usize,
}

/// A head that is complete.
#[derive(Debug)]
struct Seen {
    /// Whether the parser repairs it.
    is_faulty: bool,
    /// How many of its bytes are kept.
    bytes: usize,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            place: Place::Head,
            line_bytes: 0,
            line_start: [0; LINE_START_BYTES],
            ends_in_cr: false,
            follows_crlf: false,
            is_past_first_line: false,
            lengths: 0,
            codings: 0,
            length: 0,
            is_faulty: false,
            complete: std::collections::VecDeque::new(),
            kept: Vec::new(),
            head_bytes: 0,
        }
    }
}

impl Scan {
    /// Looks at what came in.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.place {
                Place::Head | Place::Trailers => self.read_lines(bytes),
                Place::Body(left) => {
                    let (left, rest) = skip(left, bytes);
                    self.place = if left == 0 { Place::Head } else { Place::Body(left) };
                    rest
                }
                Place::Chunk(left) => {
                    let (left, rest) = skip(left, bytes);
                    let size = Place::Size { size: 0, digits: 0, has_ended: false };
                    self.place = if left == 0 { size } else { Place::Chunk(left) };
                    rest
                }
                Place::Size { size, digits, has_ended } => {
                    self.read_size(size, digits, has_ended, bytes)
                }
                Place::Lost => return,
            };
        }
    }

    /// Why the next head is refused, in the order in which they came: because the parser repaired it, or
    /// because nobody knows.
    pub(crate) fn next_fault(&mut self) -> Option<Refusal> {
        let Some(seen) = self.complete.pop_front() else {
            return Some(
                Refusal::new(Reason::FramingInvalid)
                    .because("Where this request begins cannot be told from what came before it."),
            );
        };
        let fault = seen.is_faulty.then(|| malformed::explain(&self.kept[..seen.bytes]));
        self.kept.drain(..seen.bytes);
        if self.kept.is_empty() && self.kept.capacity() > ROOM_BYTES_MAX {
            self.kept = Vec::new();
        }
        fault
    }

    /// Why the parser refuses the next head, of which perhaps not all has come.
    pub(crate) fn unread_fault(&self) -> Refusal {
        let bytes = self.complete.front().map_or(self.head_bytes, |seen| seen.bytes);
        malformed::explain(&self.kept[..bytes])
    }

    fn keep(&mut self, part: &[u8]) {
        let room = KEPT_BYTES_MAX.saturating_sub(self.kept.len()).min(part.len());
        self.kept.extend_from_slice(&part[..room]);
        self.head_bytes += room;
    }

    fn read_size<'b>(
        &mut self,
        mut size: u64,
        mut digits: u32,
        mut has_ended: bool,
        bytes: &'b [u8],
    ) -> &'b [u8] {
        for (place, byte) in bytes.iter().enumerate() {
            let rest = &bytes[place + 1..];
            match (char::from(*byte).to_digit(16), *byte) {
                (_, b'\n') if size == 0 => {
                    self.place = Place::Trailers;
                    self.follows_crlf = true;
                    return rest;
                }
                (_, b'\n') => {
                    self.place = Place::Chunk(size.saturating_add(2));
                    return rest;
                }
                (Some(digit), _) if !has_ended && digits < DIGITS_MAX => {
                    size = size << 4 | u64::from(digit);
                    digits += 1;
                }
                (Some(_), _) if !has_ended => {
                    self.place = Place::Lost;
                    return rest;
                }
                (_, _) => has_ended = true,
            }
        }
        self.place = Place::Size { size, digits, has_ended };
        &[]
    }

    /// Reads lines up to the blank one that ends the head or the trailers.
    fn read_lines<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        let begins = self.place;
        while self.place == begins {
            let end = memchr(b'\n', bytes);
            if begins == Place::Head {
                self.keep(end.map_or(bytes, |end| &bytes[..=end]));
            }
            let Some(end) = end else {
                self.extend_line(bytes);
                return &[];
            };
            self.extend_line(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let text_bytes = self.line_bytes - usize::from(self.ends_in_cr);
            match begins {
                Place::Trailers if text_bytes == 0 && self.ends_in_cr && self.follows_crlf => {
                    self.place = Place::Head;
                }
                Place::Trailers => {}
                _ => self.end_head_line(text_bytes),
            }
            self.begin_line();
        }
        bytes
    }

    fn extend_line(&mut self, part: &[u8]) {
        let is_first = self.place == Place::Head && !self.is_past_first_line;
        self.is_faulty |= is_first && memchr(b'#', part).is_some();
        if let Some(free) = self.line_start.get_mut(self.line_bytes..) {
            for (kept, byte) in free.iter_mut().zip(part) {
                *kept = byte.to_ascii_lowercase();
            }
        }
        if self.line_start.starts_with(b"content-length:") {
            self.extend_length(part);
        }
        self.line_bytes += part.len();
        if let Some(last) = part.last() {
            self.ends_in_cr = *last == b'\r';
        }
    }

    /// Every digit after the colon. What else may stand there, the parser refuses.
    fn extend_length(&mut self, part: &[u8]) {
        let name_left = b"content-length:".len().saturating_sub(self.line_bytes);
        for byte in part.iter().skip(name_left).filter(|byte| byte.is_ascii_digit()) {
            self.length = self.length.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
        }
    }

    fn end_head_line(&mut self, text_bytes: usize) {
        self.is_faulty |= !self.ends_in_cr;
        self.lengths += u8::from(self.line_start.starts_with(b"content-length:"));
        self.codings += u8::from(self.line_start.starts_with(b"transfer-encoding:"));
        self.is_faulty |= self.lengths.saturating_add(self.codings) > 1;
        if text_bytes > 0 {
            self.is_past_first_line = true;
        } else if self.is_past_first_line {
            // Blank lines before a request line are skipped by parsers (RFC 9112 section 2.2).
            self.end_head();
        }
    }

    fn end_head(&mut self) {
        self.place =
            match (self.complete.len() < PENDING_MAX, self.is_faulty, self.codings, self.length) {
                // A faulty head is refused, and what follows it is not read.
                (false, ..) | (_, true, ..) => Place::Lost,
                (_, _, 0, 0) => Place::Head,
                (_, _, 0, length) => Place::Body(length),
                (_, _, _, _) => Place::Size { size: 0, digits: 0, has_ended: false },
            };
        self.complete.push_back(Seen { is_faulty: self.is_faulty, bytes: self.head_bytes });
        self.head_bytes = 0;
        self.is_past_first_line = false;
        self.lengths = 0;
        self.codings = 0;
        self.length = 0;
        self.is_faulty = false;
    }

    fn begin_line(&mut self) {
        self.line_bytes = 0;
        self.line_start = [0; LINE_START_BYTES];
        self.follows_crlf = self.ends_in_cr;
        self.ends_in_cr = false;
    }
}

/// How much of a stretch is left after these bytes, and which of them lie behind it.
fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    match usize::try_from(left) {
        Ok(left) if left <= bytes.len() => (0, &bytes[left..]),
        _ => (left - bytes.len() as u64, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which heads are faulty; each is kept as it came.
    fn noticed(scan: &Scan) -> Vec<bool> {
        scan.complete.iter().map(|seen| seen.is_faulty).collect()
    }

    /// What is noticed of each head, the same wherever the bytes are cut.
    fn heads(bytes: &[u8]) -> Vec<bool> {
        let whole = {
            let mut scan = Scan::default();
            scan.read(bytes);
            noticed(&scan)
        };
        for cut in 0..bytes.len() {
            let mut scan = Scan::default();
            scan.read(&bytes[..cut]);
            scan.read(&bytes[cut..]);
            assert_eq!(noticed(&scan), whole, "cut at {cut}");
        }
        let mut scan = Scan::default();
        for byte in bytes {
            scan.read(&[*byte]);
        }
        assert_eq!(noticed(&scan), whole, "byte by byte");
        whole
    }

    #[test]
    fn heads_that_a_parser_would_repair_are_noticed_wherever_they_are_cut() {
        assert_eq!(heads(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\nb"), [false]);
        assert_eq!(heads(b"POST / HTTP/1.1\r\nHost: a\nContent-Length: 3\r\n\r\n"), [true]);
        assert_eq!(
            heads(b"POST / HTTP/1.1\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n"),
            [true]
        );
        assert_eq!(
            heads(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
            [true]
        );
        assert_eq!(
            heads(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
            [true]
        );
        assert_eq!(heads(b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"), [true]);
        assert_eq!(heads(b"\r\nGET /a HTTP/1.1\r\nX-Note: #\r\n\r\n"), [false]);
        assert_eq!(heads(b"GET /a HTTP/1.1\n\n"), [true]);
    }

    #[test]
    fn a_head_behind_a_body_is_found_where_it_begins() {
        let body = b"POST / HTTP/1.1\r\nContent-Length: 013\r\n\r\nGET /# HTTP/1";
        assert_eq!(heads(&[&body[..], b"GET /a HTTP/1.1\r\n\r\n"].concat()), [false, false]);
        let body = b"POST / HTTP/1.1\r\nContent-Length:14\r\n\r\nGET / HTTP/1.\n";
        assert_eq!(heads(&[&body[..], b"GET /a#b HTTP/1.1\r\n\r\n"].concat()), [false, true]);
        let chunks = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA;x=1\r\n0\r\n\r\n\n\n\n\n\n\r\n0\r\nX: a\r\n\r\n";
        assert_eq!(heads(&[&chunks[..], b"GET /b HTTP/1.1\nX: a\r\n\r\n"].concat()), [false, true]);
        assert_eq!(
            heads(&[&chunks[..], b"GET /b HTTP/1.1\r\nX: a\r\n\r\n"].concat().repeat(2)),
            [false; 4]
        );
    }

    #[test]
    fn each_of_several_heads_is_told_its_own_fault() {
        let mut scan = Scan::default();
        scan.read(b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b?c=<d> HTTP/1.1\r\n\r\nGET /e#f HTTP/");
        assert_eq!(scan.next_fault(), None);
        assert!(scan.unread_fault().caller_text().contains("`<`"));
        assert_eq!(scan.next_fault(), None, "the parser refuses it, not this");
        assert!(scan.unread_fault().caller_text().contains("fragment"));
        scan.read(b"1.1\r\n\r\n");
        assert!(scan.next_fault().unwrap().caller_text().contains("fragment"));
        assert!(scan.next_fault().unwrap().caller_text().contains("begins"));
        assert!(scan.kept.is_empty() && scan.head_bytes == 0);
    }

    #[test]
    fn trailers_end_where_the_parser_ends_them() {
        let chunks = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\n\r\n\r\n";
        assert_eq!(heads(&[&chunks[..], b"GET /b HTTP/1.1\nX: a\r\n\r\n"].concat()), [false, true]);
    }

    #[test]
    fn what_cannot_be_followed_says_nothing() {
        let endless = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nGET / HTTP/1.1\r\n\r\n";
        assert_eq!(heads(endless), [false]);
        let mut scan = Scan::default();
        for _ in 0..PENDING_MAX + 10 {
            scan.read(b"GET / HTTP/1.1\r\n\r\n");
        }
        assert_eq!(scan.complete.len(), PENDING_MAX + 1);
    }
}
