//! A mail on its way to the owner's mail server.
//!
//! The server is the owner's and often in a private network: its address is not checked as those of
//! webhooks are.

use std::net::IpAddr;
use std::time::Duration;

use keystile_core::notifications::delivery::AttemptOutcome;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use url::Url;

use super::answer::{later, said_by};
use super::host::is_qualified;
use crate::channel::value::{ChannelFault, ChannelSecret};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A mail and the server that takes it.
#[derive(Debug)]
pub(crate) struct Mail {
    /// The server.
    pub(crate) server: SmtpServer,
    /// The mail.
    pub(crate) mail: lettre::Message,
}

/// A mail server and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SmtpServer {
    host: String,
    port: u16,
    security: SmtpSecurity,
    login: Option<(String, ChannelSecret)>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SmtpSecurity {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, or nothing is sent.
    StartTls,
    /// Nothing, on this machine.
    Loopback,
}

impl SmtpServer {
    /// Reads `smtps://user@host:465` (TLS from the first byte) or `smtp://user@host:587` (STARTTLS
    /// required). To this machine `smtp://` is plain, since nobody listens between, unless it ends in
    /// `?tls=required`.
    pub(crate) fn parse(url: &str, password: Option<ChannelSecret>) -> Result<Self, ChannelFault> {
        let fault = ChannelFault::Smtp;
        let url = Url::parse(url.trim()).map_err(|_| fault("it is no address"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(fault("it has no host"));
        }
        if url.password().is_some() {
            return Err(fault("it has a password in it, which belongs into a file"));
        }
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(fault("it has a path"));
        }
        let is_loopback = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        let (security, port) = match (url.scheme(), url.query()) {
            ("smtps", None) => (SmtpSecurity::Tls, 465),
            ("smtp", None) if is_loopback => (SmtpSecurity::Loopback, 25),
            ("smtp", None | Some("tls=required")) => (SmtpSecurity::StartTls, 587),
            ("smtps" | "smtp", Some(_)) => return Err(fault("only ?tls=required may follow it")),
            _ => return Err(fault("it is neither smtps nor smtp")),
        };
        let login = match (url.username(), password) {
            ("", None) => None,
            ("", Some(_)) => return Err(fault("there is a password, and no user in the address")),
            (_, None) => return Err(fault("it has a user, and there is no password")),
            (user, Some(password)) => {
                let user = percent_decode_str(user).decode_utf8();
                Some((user.map_err(|_| fault("its user is not UTF-8"))?.into_owned(), password))
            }
        };
        Ok(Self { host, port: url.port().unwrap_or(port), security, login })
    }
}

/// Hands mails to servers.
#[derive(Debug)]
pub(super) struct MailClient {
    host: String,
    limit: Duration,
    trusted: Vec<CertificateDer<'static>>,
}

impl MailClient {
    /// `host` names us in greetings; `trusted` are certificates beside the system's.
    pub(super) fn new(
        host: String,
        limit: Duration,
        trusted: Vec<CertificateDer<'static>>,
    ) -> Self {
        Self { host, limit, trusted }
    }

    /// One attempt.
    pub(super) async fn send(&self, Mail { server, mail }: Mail) -> AttemptOutcome {
        let transport = match self.transport(&server) {
            Ok(transport) => transport,
            Err(error) => return later(&format!("there is no TLS: {error}")),
        };
        let server = &server.host;
        match tokio::time::timeout(self.limit, transport.send(mail)).await {
            Ok(Ok(response)) => {
                let lines = response.message().collect::<Vec<_>>().join(" ");
                AttemptOutcome::Sent { said: said_by(&format!("{} {lines}", response.code())) }
            }
            Ok(Err(error)) => refused(server, &error),
            Err(_) => later(&format!("{server} did not finish within {:?}", self.limit)),
        }
    }

    fn transport(
        &self,
        server: &SmtpServer,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
        let tls = || -> Result<TlsParameters, lettre::transport::smtp::Error> {
            let mut tls = TlsParameters::builder(server.host.clone());
            for certificate in &self.trusted {
                tls = tls.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
            }
            tls.build_rustls()
        };
        let tls = match server.security {
            SmtpSecurity::Tls => Tls::Wrapper(tls()?),
            SmtpSecurity::StartTls => Tls::Required(tls()?),
            SmtpSecurity::Loopback => Tls::None,
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
            .port(server.port)
            .tls(tls)
            .hello_name(greeting(&self.host))
            .timeout(Some(CONNECT_TIMEOUT));
        let Some((user, password)) = &server.login else {
            return Ok(transport.build());
        };
        let credentials = Credentials::new(user.clone(), password.expose().to_owned());
        let mechanisms = vec![Mechanism::Plain, Mechanism::Login];
        Ok(transport.credentials(credentials).authentication(mechanisms).build())
    }
}

/// How we greet a server: with the console's name, with the machine's, or with an address literal (RFC 5321,
/// section 4.1.4).
fn greeting(console: &str) -> ClientId {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    [console, machine.trim()]
        .into_iter()
        .find(|name| is_qualified(name))
        .map_or(ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST), |name| {
            ClientId::Domain(name.to_owned())
        })
}

/// A 5xx is final (RFC 5321, section 4.2.1). Everything else may pass: greylisting, a server that is
/// down or mends its TLS, and a connection that was cut when the mail may already have been taken.
fn refused(server: &str, error: &lettre::transport::smtp::Error) -> AttemptOutcome {
    let said = said_by(&format!("{server}: {error}"));
    if error.is_permanent() {
        AttemptOutcome::Never { said }
    } else {
        AttemptOutcome::Later { said, retry_after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_plain_on_this_machine_only() {
        let secret = || Some(ChannelSecret::new("pass\n"));
        for (url, password, security, port) in [
            ("smtps://me%40example.org@mail.example.org", secret(), SmtpSecurity::Tls, 465),
            ("smtp://me@mail.example.org", secret(), SmtpSecurity::StartTls, 587),
            ("smtp://mail.example.org:25", None, SmtpSecurity::StartTls, 25),
            ("smtp://localhost", None, SmtpSecurity::Loopback, 25),
            ("smtp://[::1]:2525/", None, SmtpSecurity::Loopback, 2525),
            ("smtp://127.0.0.1:2525?tls=required", None, SmtpSecurity::StartTls, 2525),
            ("smtp://localhost.example.org", None, SmtpSecurity::StartTls, 587),
        ] {
            let server = SmtpServer::parse(url, password).unwrap();
            assert_eq!((server.security, server.port), (security, port), "{url}");
        }
        let server = SmtpServer::parse("smtps://me%40example.org@mail.example.org", secret());
        let (user, password) = server.unwrap().login.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("me@example.org", "pass"));
        for (url, password) in [
            ("smtp://me:pass@mail.example.org", None),
            ("smtp://me@mail.example.org", None),
            ("smtp://mail.example.org", secret()),
            ("smtp://mail.example.org?tls=opportunistic", None),
            ("smtps://mail.example.org/inbox", None),
            ("https://mail.example.org", None),
            ("mail.example.org", None),
            ("smtp://", None),
        ] {
            assert!(SmtpServer::parse(url, password).is_err(), "{url}");
        }
    }

    #[test]
    fn no_server_is_greeted_by_the_name_localhost() {
        for host in ["gate.example.org", "localhost", "a.localhost", "127.0.0.1", "gate"] {
            let greeted = greeting(host).to_string();
            assert!(is_qualified(&greeted) || greeted == "[127.0.0.1]", "{host}: {greeted}");
        }
    }

    #[test]
    fn a_password_does_not_print() {
        let server = SmtpServer::parse("smtps://me@h", Some(ChannelSecret::new("SECRET"))).unwrap();
        assert!(!format!("{server:?}").contains("SECRET"));
    }
}
