//! What is wrong with a head that the parser refuses or would repair, in a sentence for its caller.
//!
//! The parser says only that it could not read a head. Here the bytes are read once more, line by line,
//! for the first thing that is wrong with them. Only faulty heads come here, so it may take its time; and
//! it only explains: whether a head passes is not decided here.

use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::grammar::{check_framing, check_target};
use keystile_core::request::head::{Field, Fields, HttpVersion};

/// The fields that state where a body ends.
const LENGTH_FIELDS: [&str; 2] = ["content-length", "transfer-encoding"];

/// Explains a head, as far as it came.
pub(crate) fn explain(head: &[u8]) -> Refusal {
    match read(head) {
        Err(refusal) => refusal,
        Ok(()) => refused(Reason::FramingInvalid, "The head cannot be read as one of HTTP/1.1."),
    }
}

fn refused(reason: Reason, detail: &'static str) -> Refusal {
    Refusal::new(reason).because(detail)
}

fn read(head: &[u8]) -> Result<(), Refusal> {
    const TLS_HANDSHAKE: &[u8] = &[0x16, 0x03];
    if head.starts_with(TLS_HANDSHAKE) {
        let detail = "This is the beginning of TLS, and the gate speaks plain HTTP here.";
        return Err(refused(Reason::FramingInvalid, detail));
    }
    let mut lines = head
        .split_inclusive(|byte| *byte == b'\n')
        .skip_while(|line| line.iter().all(|byte| matches!(byte, b'\r' | b'\n')));
    let version = request_line(text(lines.next().unwrap_or_default())?)?;
    let mut stating_length: Vec<Field<'_>> = Vec::new();
    for line in lines {
        let line = text(line)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = field(line)?;
        let states_length =
            |name: &str| LENGTH_FIELDS.iter().any(|known| known.eq_ignore_ascii_case(name));
        if let Some(name) = std::str::from_utf8(name).ok().filter(|name| states_length(name)) {
            stating_length.push((name, value));
        }
    }
    check_framing(version, Fields(&stating_length))
}

/// A line without its end, which must be CR and LF where it is there at all.
fn text(line: &[u8]) -> Result<&[u8], Refusal> {
    let framing = |detail| Err(refused(Reason::FramingInvalid, detail));
    let text = match line.strip_suffix(b"\r\n") {
        Some(text) => text,
        None if line.ends_with(b"\n") => {
            return framing("A line of the head ends in a line feed without a carriage return.");
        }
        // Perhaps the line feed was still to come.
        None => line.strip_suffix(b"\r").unwrap_or(line),
    };
    if text.contains(&b'\r') {
        return framing("A line of the head holds a carriage return that does not end it.");
    }
    Ok(text)
}

fn request_line(line: &[u8]) -> Result<HttpVersion, Refusal> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    if !method.iter().all(|byte| is_token_byte(*byte)) {
        let detail =
            "The method, with which a request begins, holds a character that no method has.";
        return Err(refused(Reason::MethodNotAllowed, detail));
    }
    let Some(target) = words.next() else {
        return Err(malformed_line());
    };
    check_target(target)?;
    match words.next() {
        _ if target.is_empty() => Err(malformed_line()),
        Some(b"HTTP/1.1") => Ok(HttpVersion::Http11),
        Some(b"HTTP/1.0") => Ok(HttpVersion::Http10),
        Some(version) if version.starts_with(b"HTTP/") && !version.contains(&b' ') => {
            Err(refused(Reason::FramingInvalid, "The version is neither HTTP/1.1 nor HTTP/1.0."))
        }
        Some(_) | None => Err(malformed_line()),
    }
}

fn malformed_line() -> Refusal {
    let detail = "The request line must be a method, a target and a version, with one space between them; a \
                  space in a target is written as %20.";
    refused(Reason::TargetInvalid, detail)
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let invalid = |detail| Err(refused(Reason::HeaderInvalid, detail));
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return invalid(
            "A header field goes on in a second line, or a line begins with white space.",
        );
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return invalid("A line of the head is no header field: it has no colon.");
    };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.is_empty() {
        return invalid("A header field has no name.");
    }
    if name.ends_with(b" ") || name.ends_with(b"\t") {
        return invalid("White space stands between the name of a header field and its colon.");
    }
    if !name.iter().all(|byte| is_token_byte(*byte)) {
        return invalid("The name of a header field holds a character that no name has.");
    }
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return invalid("The value of a header field holds a control character.");
    }
    Ok((name, value))
}

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn explained(head: &str) -> String {
        let refusal = explain(head.as_bytes());
        format!("{}: {}", refusal.reason, refusal.caller_text())
    }

    #[test]
    fn each_fault_of_a_head_has_its_own_sentence() {
        let line = "GET / HTTP/1.1\r\n";
        let mut seen = Vec::new();
        for (head, reason, says) in [
            ("GET /items?q=<b> HTTP/1.1\r\n\r\n".to_owned(), "target_invalid", "query holds `<`"),
            ("GET /a<b HTTP/1.1\r\n\r\n".to_owned(), "path_invalid", "path holds `<`"),
            ("GET /a\u{1}b HTTP/1.1\r\n\r\n".to_owned(), "path_invalid", "byte 0x01"),
            ("GET /a#b HTTP/1.1\r\n\r\n".to_owned(), "target_invalid", "fragment"),
            ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), "target_invalid", "%20"),
            ("GET /a HTTP/1.2\r\n\r\n".to_owned(), "framing_invalid", "version"),
            ("G\"T /a HTTP/1.1\r\n\r\n".to_owned(), "method_not_allowed", "method"),
            (format!("{line}A: b\n\r\n"), "framing_invalid", "line feed"),
            (format!("{line}A: b\rC: d\r\n\r\n"), "framing_invalid", "carriage return that"),
            (format!("{line}A: b\r\n c\r\n\r\n"), "header_invalid", "second line"),
            (format!("{line}A b\r\n\r\n"), "header_invalid", "no colon"),
            (format!("{line}: b\r\n\r\n"), "header_invalid", "no name"),
            (format!("{line}A : b\r\n\r\n"), "header_invalid", "White space"),
            (format!("{line}A\u{e9}: b\r\n\r\n"), "header_invalid", "The name"),
            (format!("{line}A: b\u{1}\r\n\r\n"), "header_invalid", "The value"),
            (
                format!("{line}Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
                "framing_invalid",
                "Content-Length is given twice",
            ),
            (
                format!("{line}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
                "framing_invalid",
                "both given",
            ),
            (format!("{line}Content-Length: +1\r\n\r\n"), "framing_invalid", "plain digits"),
            (
                format!("{line}Transfer-Encoding: gzip, chunked\r\n\r\n"),
                "framing_invalid",
                "other than `chunked`",
            ),
            (
                "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                "framing_invalid",
                "Only HTTP/1.1",
            ),
            ("\u{16}\u{3}\u{1}".to_owned(), "framing_invalid", "TLS"),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "framing_invalid", "cannot be read"),
        ] {
            let told = explained(&head);
            assert!(told.starts_with(reason) && told.contains(says), "{head:?}: {told}");
            assert!(!seen.contains(&told), "{told}");
            seen.push(told);
        }
        assert_eq!(explained("\r\n\r\nGET /a#b HTTP/1.1\r\n"), explained("GET /a#b HTTP/1.1"));
    }

    proptest! {
        #[test]
        fn hostile_heads_are_only_explained(head in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(explain(&head).reason.status() >= 400);
        }
    }
}
