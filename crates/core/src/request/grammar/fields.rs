//! The header fields that servers and proxies read differently, held to one reading.
//!
//! Control characters in values are not looked for: no door's parser lets them pass.

use crate::refusal::{Reason, Refusal};
use crate::request::head::{Fields as AllFields, HttpVersion, RequestHead, text_of};

/// The largest head, in bytes, as HTTP/1 would write it. Doors set their parsers to no less.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// The most header fields, repeated ones counted each time.
pub const FIELDS_MAX: usize = 100;

/// What one pass over the fields finds.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) upgrade: bool,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    idempotency_key: Option<&'a [u8]>,
    offers: Offers,
    connection: Connection,
}

/// What a request would have the connection become.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Offers {
    #[default]
    Nothing,
    WebSocket,
    /// Protocols that this gate does not pass on.
    Others,
    /// A WebSocket among others, or twice.
    Mixture,
}

impl Offers {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, offers) | (offers, Self::Nothing) => offers,
            (Self::Others, Self::Others) => Self::Others,
            _ => Self::Mixture,
        }
    }
}

/// What Connection may name besides `upgrade`.
const NAMEABLE: [&[u8]; 4] = [b"close", b"keep-alive", b"te", b"http2-settings"];

#[derive(Default, PartialEq, Eq)]
enum Connection {
    #[default]
    Stays,
    Upgrades,
}

/// Reads every field once.
pub(super) fn check<'a>(head: &RequestHead<'a>) -> Result<Fields<'a>, Refusal> {
    if head.fields.0.len() > FIELDS_MAX {
        return Err(Refusal::new(Reason::HeadTooLarge).because("There are too many header fields."));
    }
    let mut fields = Fields::default();
    let mut bytes = request_line_bytes(head);
    for (name, value) in head.fields.0 {
        bytes += name.len() + value.len() + ": \r\n".len();
        fields.read(head.version, name, value)?;
    }
    if bytes > HEAD_BYTES_MAX {
        return Err(Reason::HeadTooLarge.into());
    }
    framing(head.version, &fields)?;
    fields.upgrade = asks_upgrade(head, &fields)?;
    Ok(fields)
}

fn request_line_bytes(head: &RequestHead<'_>) -> usize {
    let scheme = head.target.scheme.map_or(0, |scheme| scheme.len() + "://".len());
    let authority = head.target.authority.map_or(0, str::len);
    let target = head.target.path_and_query.len();
    head.method.len() + scheme + authority + target + "  HTTP/1.1\r\n".len()
}

impl<'a> Fields<'a> {
    fn read(&mut self, version: HttpVersion, name: &str, value: &'a [u8]) -> Result<(), Refusal> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is("host") => {
                once(&mut self.host, value, Reason::HostInvalid, "Host is given twice.")
            }
            14 if is("content-length") => {
                let twice = "Content-Length is given twice.";
                once(&mut self.content_length, value, Reason::FramingInvalid, twice)
            }
            17 if is("transfer-encoding") => {
                let twice = "Transfer-Encoding is given twice.";
                once(&mut self.transfer_encoding, value, Reason::FramingInvalid, twice)
            }
            12 if is("content-type") => {
                let twice = "Content-Type is given twice.";
                once(&mut self.content_type, value, Reason::HeaderInvalid, twice)
            }
            15 if is("idempotency-key") => {
                let twice = "Idempotency-Key is given twice.";
                once(&mut self.idempotency_key, value, Reason::HeaderInvalid, twice)
            }
            7 if is("upgrade") => {
                self.offers = self.offers.and(offers(value));
                Ok(())
            }
            10 if is("connection") => self.read_connection(version, value),
            // CGI and its heirs read `X_Plan` and `X-Plan` as one variable.
            _ if name.bytes().any(|byte| byte == b'_') => {
                Err(Refusal::new(Reason::HeaderInvalid)
                    .because("A header field has `_` in its name."))
            }
            _ => Ok(()),
        }
    }

    /// A field named in Connection is taken out by the next proxy: by naming its key, a caller
    /// could have it removed behind this gate, or a field that this gate adds. Clients that offer
    /// `h2c` must name HTTP2-Settings (RFC 7540 section 3.2.1), and those that send TE must name that
    /// (RFC 9110 section 10.1.4); both end here in any case.
    fn read_connection(&mut self, version: HttpVersion, value: &[u8]) -> Result<(), Refusal> {
        let refused = |detail| Err(Refusal::new(Reason::HeaderInvalid).because(detail));
        if version.has_streams() {
            return refused("HTTP/2 has no Connection field.");
        }
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"upgrade") {
                self.connection = Connection::Upgrades;
            } else if !(option.is_empty()
                || NAMEABLE.iter().any(|name| option.eq_ignore_ascii_case(name)))
            {
                return refused(
                    "Connection may name only close, keep-alive, TE, upgrade and HTTP2-Settings.",
                );
            }
        }
        Ok(())
    }
}

fn once<'a>(
    seen: &mut Option<&'a [u8]>,
    value: &'a [u8],
    reason: Reason,
    twice: &'static str,
) -> Result<(), Refusal> {
    match seen.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::new(reason).because(twice)),
    }
}

/// One length, as digits, or `chunked`; never both, and `chunked` only where HTTP/1.1 has it.
fn framing(version: HttpVersion, fields: &Fields<'_>) -> Result<(), Refusal> {
    let refused = |detail| Err(Refusal::new(Reason::FramingInvalid).because(detail));
    match (fields.content_length, fields.transfer_encoding) {
        (None, None) => Ok(()),
        (Some(length), None) if length_of(length).is_some() => Ok(()),
        (Some(_), None) => refused("Content-Length is not one number in plain digits."),
        (None, Some(_)) if version != HttpVersion::Http11 => {
            refused("Only HTTP/1.1 has Transfer-Encoding.")
        }
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(()),
        (None, Some(_)) => refused("A Transfer-Encoding other than `chunked` is not accepted."),
        (Some(_), Some(_)) => {
            refused("Content-Length and Transfer-Encoding are both given, and only one may be.")
        }
    }
}

/// Whether these fields, among them all that state the length of a body, state it in one clear way.
///
/// # Errors
/// `FramingInvalid` when the length is given twice, in two ways, or as no plain number; `HeaderInvalid`
/// when another of the fields could not stand in a request.
pub fn check_framing(version: HttpVersion, fields: AllFields<'_>) -> Result<(), Refusal> {
    let mut read = Fields::default();
    for (name, value) in fields.0 {
        read.read(version, name, value)?;
    }
    framing(version, &read)
}

/// The length that the digits state; signs, lists and white space state none.
fn length_of(value: &[u8]) -> Option<u64> {
    let digits = text_of(value)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// What the list of an Upgrade field offers; a protocol's version does not matter.
fn offers(value: &[u8]) -> Offers {
    let mut offers = Offers::Nothing;
    for offer in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let name = offer.split(|byte| *byte == b'/').next().unwrap_or_default();
        offers = offers.and(match offer {
            b"" => Offers::Nothing,
            _ if offer.eq_ignore_ascii_case(b"websocket") => Offers::WebSocket,
            _ if name.trim_ascii().eq_ignore_ascii_case(b"websocket") => Offers::Mixture,
            _ => Offers::Others,
        });
    }
    offers
}

/// Whether a WebSocket is asked for. Half of such a request is refused, and so is one that offers
/// something else too: a server that took `h2c` would read what follows as another protocol, with
/// requests that no rule has seen. Where no WebSocket is offered there is nothing that this gate
/// takes, and a server may ignore an offer (RFC 9110 section 7.8): [`super::strip_untrusted`] keeps
/// it from the upstream.
fn asks_upgrade(head: &RequestHead<'_>, fields: &Fields<'_>) -> Result<bool, Refusal> {
    if matches!(fields.offers, Offers::Nothing | Offers::Others) {
        return Ok(false);
    }
    let has_body = fields.transfer_encoding.is_some()
        || fields.content_length.and_then(length_of).is_some_and(|length| length > 0);
    let is_whole = fields.offers == Offers::WebSocket
        && fields.connection == Connection::Upgrades
        && head.version == HttpVersion::Http11
        && head.method == "GET"
        && !has_body;
    if is_whole { Ok(true) } else { Err(Reason::UpgradeRefused.into()) }
}
