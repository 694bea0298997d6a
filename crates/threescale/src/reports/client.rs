//! Sending reports, and reading what their answers mean.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT,
};
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use keystile_core::notifications::channel::SecretSource;

use crate::portal::address::PortalAddress;
use crate::portal::error::Place;
use crate::portal::quote::Quoter;
use crate::portal::records::ServiceId;
use crate::portal::settings::{PortalSettings, SettingsError};
use crate::portal::token::Token;
use crate::portal::transport::{Fault, Head, Transport, Wanted};
use crate::reports::error::ReportError;
use crate::reports::form::{Reference, Transaction, form};

const PATH: &str = "/transactions.xml";
/// A backend that asks for a longer pause is tried after an hour.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// As much of a body as is searched for the code of an error.
const CODE_WITHIN: usize = 1024;

/// Reports to the backend of one service.
pub(crate) struct ReportClient {
    address: PortalAddress,
    token: SecretSource,
    service: ServiceId,
    transport: Transport,
}

impl fmt::Debug for ReportClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportClient").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ReportClient {
    /// A client, which has called nobody yet: the address and the token are the backend's, for the service. Fails
    /// when the certificates to trust cannot be used.
    pub(crate) fn new(backend: &PortalSettings, service: ServiceId) -> Result<Self, SettingsError> {
        Ok(Self {
            address: backend.address.clone(),
            token: backend.token.clone(),
            service,
            transport: Transport::new(backend)?,
        })
    }

    /// Looks whether reports would be taken, with one that holds nothing and changes nothing.
    pub(crate) async fn probe(&self) -> Result<(), ReportError> {
        match self.send(&[]).await {
            // The token is looked at first.
            Err(ReportError::Refused { code: Some(code), .. })
                if code == "transactions_is_blank" =>
            {
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => {
                let said = Quoter::hiding([]).quote("it takes a report without transactions");
                Err(ReportError::NotBackend { place: self.place(), status: 202, said })
            }
        }
    }

    /// Reports what applications used. Once this returns `Ok`, it counts there.
    pub(crate) async fn report(&self, transactions: &[Transaction<'_>]) -> Result<(), ReportError> {
        self.send(transactions).await
    }

    async fn send(&self, transactions: &[Transaction<'_>]) -> Result<(), ReportError> {
        let token = Token::read(&self.token)?;
        let keys = transactions.iter().filter_map(|transaction| match transaction.application {
            Reference::UserKey(key) => Some(key.reveal().to_owned()),
            Reference::AppId(_) => None,
        });
        let quoter = Quoter::hiding(token.forms().into_iter().chain(keys));
        let form = form(&token, self.service, transactions);
        match self.transport.exchange(self.request(form), Wanted::Start).await {
            Ok(((status, _), _)) if status.as_u16() == 202 => Ok(()),
            Ok((head, body)) => Err(self.refusal(&head, &body, &quoter)),
            Err(fault) => Err(self.fault(fault, &quoter)),
        }
    }

    fn place(&self) -> Place {
        Place::new(Method::POST, &self.address, PATH)
    }

    fn request(&self, form: String) -> Request<Full<Bytes>> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(PATH)
            .header(HOST, self.address.authority())
            .header(ACCEPT, "*/*")
            .header(USER_AGENT, concat!("Keystile/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(CONTENT_LENGTH, form.len())
            .body(Full::new(Bytes::from(form)));
        request.expect("the path is a constant and the host was read as a URL's")
    }

    fn refusal(&self, (status, fields): &Head, body: &[u8], quoter: &Quoter) -> ReportError {
        let (place, status) = (self.place(), status.as_u16());
        let text = String::from_utf8_lossy(body);
        let is_page = fields
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().contains("html"));
        let said = match (is_page, text.trim()) {
            (true, _) => quoter.quote("a web page"),
            (false, "") => quoter.quote("nothing"),
            (false, text) => quoter.quote(text),
        };
        let retry_after = retry_after(fields);
        match status {
            ..300 => ReportError::NotBackend { place, status, said },
            // Whoever says when to come back did not take it: 503 alone also stands for an answer that was lost.
            300..500 => {
                ReportError::Refused { place, status, code: code(&text), said, retry_after }
            }
            503 if retry_after.is_some() => {
                ReportError::Refused { place, status, code: code(&text), said, retry_after }
            }
            _ => ReportError::Failed { place, status, said },
        }
    }

    fn fault(&self, fault: Fault, quoter: &Quoter) -> ReportError {
        let place = self.place();
        let quote = |error: &dyn fmt::Display| quoter.quote(&error.to_string());
        match fault {
            Fault::Unreachable(error) => ReportError::Unreachable { place, fault: quote(&error) },
            Fault::Untrusted(error) => ReportError::Untrusted { place, fault: quote(&error) },
            Fault::Cut(error) => ReportError::Cut { place, fault: quote(&error) },
            Fault::TooLarge => ReportError::Cut { place, fault: quote(&"it is too large") },
            Fault::TimedOut(limit) => ReportError::TimedOut { place, limit },
        }
    }
}

/// The code of `<error code="...">`.
fn code(body: &str) -> Option<String> {
    let start = &body[..body.floor_char_boundary(CODE_WITHIN)];
    let (_, rest) = start.split_once("<error code=\"")?;
    let (code, _) = rest.split_once('"')?;
    let is_code = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_code.then(|| code.to_owned())
}

/// `Retry-After` in seconds; as a date it only says that there is one.
fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let field = fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = field.parse().map_or(Duration::from_mins(1), Duration::from_secs);
    Some(pause.min(RETRY_AFTER_MAX))
}
