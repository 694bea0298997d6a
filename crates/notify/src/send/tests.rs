use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::channel::made;
use crate::render::example;

mod http_peer;
mod smtp_peer;

const NOW: Timestamp = Timestamp(1_795_500_000_000);
/// For peers that hang.
const HASTY: Limits = Limits { http: Duration::from_secs(1), smtp: Duration::from_secs(1) };

/// A sender that may reach this machine, and knows some names.
fn sender(allowed: &[&str], ca_file: Option<PathBuf>) -> Sender {
    sender_within(LIMITS, allowed, ca_file)
}

fn sender_within(limits: Limits, allowed: &[&str], ca_file: Option<PathBuf>) -> Sender {
    let allowed = allowed.iter().map(|range| range.parse().unwrap()).collect::<Vec<_>>();
    let here: IpAddr = [127, 0, 0, 1].into();
    let names = vec![("hook.example".to_owned(), vec![here])];
    let settings = SenderSettings {
        allow_private: allowed.clone(),
        vapid: VapidKey::generate().unwrap(),
        console_host: "gate.example.org:8400".to_owned(),
        ca_file,
    };
    Sender::with(AddressGuard::resolving(allowed, names), limits, settings).unwrap()
}

/// A server's side of TLS for this machine, and the file to trust it by.
fn tls(folder: &Path) -> (TlsAcceptor, PathBuf) {
    let names = ["hook.example", "127.0.0.1"].map(str::to_owned);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let file = folder.join("ca.pem");
    std::fs::write(&file, cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

#[test]
fn a_file_without_certificates_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "nothing").unwrap();
    let fault = certificates(&file).unwrap_err().to_string();
    assert!(fault.contains("ca.pem") && fault.ends_with("it has no certificate"), "{fault}");
}
