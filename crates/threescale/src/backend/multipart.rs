//! Forms in several parts, `multipart/form-data`: another way to write what a form says.
//!
//! # What this protects
//! Time is linear in the bytes, parts have a bound, and nothing is copied but the texts of names that hold escapes. A
//! file in a part is no value, so it is passed over.

use std::borrow::Cow;

use super::error::BadRequest;
use super::params::PARAMETERS_MAX;

/// The longest boundary.
const BOUNDARY_BYTES_MAX: usize = 70;
/// The longest head of a part.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A name and its value.
pub(super) type Part<'b> = (Cow<'b, [u8]>, &'b [u8]);

/// What stands between the parts, by the header `Content-Type`. Without it a form has none, as in the reference.
pub(super) fn boundary(content_type: &str) -> Result<Option<&str>, BadRequest> {
    let at = content_type.to_ascii_lowercase().find("boundary=");
    let Some(at) = at else { return Ok(None) };
    let rest = content_type[at..].split_once('=').map(|(_, rest)| rest).unwrap_or_default();
    let rest = rest.strip_prefix('"').unwrap_or(rest);
    let boundary = rest.split(['"', ';', ',']).next().unwrap_or_default().trim_end();
    match boundary.len() {
        0 => Ok(None),
        1..=BOUNDARY_BYTES_MAX => Ok(Some(boundary)),
        _ => Err(BadRequest::Multipart),
    }
}

/// The parts of a body that have a name and are no files.
pub(super) fn parts<'b>(boundary: &str, body: &'b [u8]) -> Result<Vec<Part<'b>>, BadRequest> {
    let between = format!("\r\n--{boundary}");
    let finder = memchr::memmem::Finder::new(between.as_bytes());
    // The first one may stand at the very beginning.
    let mut rest = match body.strip_prefix(&between.as_bytes()[2..]) {
        Some(rest) => rest,
        None => behind(body, &finder)?.1,
    };
    let (mut found, mut seen) = (Vec::new(), 0_usize);
    loop {
        if rest.starts_with(b"--") {
            return Ok(found);
        }
        seen = seen.saturating_add(1);
        if seen > PARAMETERS_MAX {
            return Err(BadRequest::Count { found: seen });
        }
        let line = memchr::memmem::find(rest, b"\r\n").ok_or(BadRequest::Multipart)?;
        if !rest[..line].iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(BadRequest::Multipart);
        }
        // With the line's end before it, so that a part without a head is found too.
        let (head, content) = head(&rest[line..])?;
        let (value, next) = behind(content, &finder)?;
        if let Some(name) = name(head) {
            found.push((name, value));
        }
        rest = next;
    }
}

/// What stands before a boundary, and what behind it.
fn behind<'b>(
    bytes: &'b [u8],
    boundary: &memchr::memmem::Finder<'_>,
) -> Result<(&'b [u8], &'b [u8]), BadRequest> {
    let at = boundary.find(bytes).ok_or(BadRequest::Multipart)?;
    let (before, rest) = bytes.split_at(at);
    Ok((before, rest.get(boundary.needle().len()..).unwrap_or_default()))
}

fn head(bytes: &[u8]) -> Result<(&[u8], &[u8]), BadRequest> {
    let searched = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let at = memchr::memmem::find(searched, b"\r\n\r\n").ok_or(BadRequest::Multipart)?;
    Ok((&bytes[..at], bytes.get(at.saturating_add(4)..).unwrap_or_default()))
}

/// The name that a part's head gives it, where it is no file.
fn name(head: &[u8]) -> Option<Cow<'_, [u8]>> {
    let is_line = |line: &&[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"content-disposition")
    };
    let line = head.split(|byte| *byte == b'\n').find(is_line)?;
    let mut rest = &line[memchr::memchr(b';', line)?..];
    let mut found = None;
    while let Some((b';', behind)) = rest.split_first() {
        let equals = memchr::memchr(b'=', behind)?;
        let (attribute, value) = (behind[..equals].trim_ascii(), &behind[equals..][1..]);
        let (value, next) = value_of(value)?;
        if attribute.eq_ignore_ascii_case(b"filename")
            || attribute.eq_ignore_ascii_case(b"filename*")
        {
            return None;
        }
        if attribute.eq_ignore_ascii_case(b"name") {
            found = Some(value);
        }
        rest = next.trim_ascii_start();
    }
    found.filter(|name| !name.is_empty())
}

/// A value in quotes or without, and what stands behind it.
fn value_of(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let bytes = bytes.trim_ascii_start();
    let Some(quoted) = bytes.strip_prefix(b"\"") else {
        let end = bytes.iter().position(|byte| matches!(byte, b';' | b' ' | b'\r'));
        let (value, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        return Some((Cow::Borrowed(value), rest));
    };
    let mut end = 0;
    while *quoted.get(end)? != b'"' {
        end += if quoted[end] == b'\\' { 2 } else { 1 };
    }
    let (value, rest) = (&quoted[..end], &quoted[end..][1..]);
    if !value.contains(&b'\\') {
        return Some((Cow::Borrowed(value), rest));
    }
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        plain.push(if *byte == b'\\' { *bytes.next()? } else { *byte });
    }
    Some((Cow::Owned(plain), rest))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const TWO: &[u8] = b"--x\r\nContent-Disposition: form-data; name=\"a[b]\"\r\n\r\n1\r\n\
        --x\r\ncontent-disposition: form-data; name=c\r\nContent-Type: text/plain\r\n\r\n2\r\n3\r\n--x--\r\n";

    fn read(body: &[u8]) -> Result<Vec<(String, String)>, BadRequest> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parts = parts("x", body)?.into_iter();
        Ok(parts.map(|(name, value)| (text(&name), text(value))).collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn parts_have_names_and_values() {
        let expected = vec![pair("a[b]", "1"), pair("c", "2\r\n3")];
        assert_eq!(read(TWO), Ok(expected.clone()));
        assert_eq!(read(&[b"preamble\r\n", TWO].concat()), Ok(expected));
        assert_eq!(read(b"--x--"), Ok(Vec::new()));
        let quoted = b"--x\r\nContent-Disposition: form-data; name=\"a\\\"b\"\r\n\r\n\r\n--x--";
        assert_eq!(read(quoted), Ok(vec![pair("a\"b", "")]));
    }

    proptest! {
        #[test]
        fn values_read_back_whatever_is_in_them(
            written in vec(("[a-z\\[\\]\"\\\\ ;=]{1,12}", vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let boundary = b"\r\n--x";
            let fits = |value: &[u8]| !value.windows(boundary.len()).any(|part| part == boundary);
            prop_assume!(written.iter().all(|(_, value)| fits(value)));
            let mut body = Vec::new();
            for (name, value) in &written {
                let name = name.replace('\\', "\\\\").replace('"', "\\\"");
                let head = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
                body.extend_from_slice(head.as_bytes());
                body.extend_from_slice(value);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"--x--");
            let read = parts("x", &body).unwrap();
            let read = read.iter().map(|(name, value)| (name.as_ref(), *value));
            let expected = written.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
            prop_assert!(read.eq(expected));
        }

        #[test]
        fn no_bytes_are_read_past_their_end(
            pieces in vec(prop_oneof![
                Just(&b"--x"[..]), Just(&b"\r\n"[..]), Just(&b"--"[..]), Just(&b"\""[..]), Just(&b"\\"[..]),
                Just(&b"Content-Disposition: form-data; name="[..]), Just(&b";"[..]), Just(&b"a"[..]),
            ], 0..24),
        ) {
            let _ = parts("x", &pieces.concat());
        }
    }

    #[test]
    fn files_and_nameless_parts_are_no_values() {
        let file =
            b"--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\n1\r\n\
            --x\r\nContent-Type: text/plain\r\n\r\n2\r\n--x\r\n\r\n3\r\n--x--";
        assert_eq!(read(file), Ok(Vec::new()));
    }

    #[test]
    fn what_is_cut_off_anywhere_is_refused() {
        let end = TWO.len() - 4;
        for cut in 0..end {
            assert_eq!(read(&TWO[..cut]), Err(BadRequest::Multipart), "{cut}");
        }
        assert!(read(b"--xy\r\n\r\n--x--").is_err());
        let many = b"--x\r\n\r\n\r\n".repeat(PARAMETERS_MAX + 1);
        assert!(matches!(read(&many), Err(BadRequest::Count { .. })));
    }

    #[test]
    fn the_boundary_is_a_parameter_of_the_type() {
        let of = |text: &str| boundary(text).map(|found| found.map(str::to_owned));
        assert_eq!(of("multipart/form-data; boundary=abc"), Ok(Some("abc".to_owned())));
        assert_eq!(of("multipart/form-data; Boundary=\"a b\"; x=y"), Ok(Some("a b".to_owned())));
        assert_eq!(of("multipart/form-data"), Ok(None));
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        assert_eq!(of(&long), Err(BadRequest::Multipart));
    }
}
