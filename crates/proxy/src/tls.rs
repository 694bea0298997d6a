//! TLS of both sides: rustls with ring, certificates from files, read again when the files change.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::settings::TlsFiles;

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read as PEM: {fault}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The certificate and the key do not go together.
    #[error("the certificate {certificate} and its key do not go together: {fault}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// What is wrong with them.
        fault: String,
    },
}

/// A server's certificate that can be replaced while it serves.
#[derive(Debug)]
pub struct Certificates {
    files: TlsFiles,
    present: ArcSwap<CertifiedKey>,
    read_at: ArcSwap<Option<SystemTime>>,
}

impl Certificates {
    /// Reads the files.
    pub fn read(files: &TlsFiles) -> Result<Arc<Self>, TlsError> {
        let present = certified(files)?;
        Ok(Arc::new(Self {
            present: ArcSwap::from_pointee(present),
            read_at: ArcSwap::from_pointee(modified(files)),
            files: files.clone(),
        }))
    }

    /// Reads the files again where they have changed. A pair that does not fit, as in the middle of a
    /// renewal, changes nothing and is tried again at the next call.
    pub fn refresh(&self) -> Result<(), TlsError> {
        let modified = modified(&self.files);
        if modified == **self.read_at.load() {
            return Ok(());
        }
        self.present.store(Arc::new(certified(&self.files)?));
        self.read_at.store(Arc::new(modified));
        tracing::info!(certificate = %self.files.certificate.display(), "the certificate was read again");
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present.load_full())
    }
}

fn modified(files: &TlsFiles) -> Option<SystemTime> {
    let of = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    of(&files.certificate).max(of(&files.key))
}

fn certified(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| TlsError::File { path: files.key.clone(), fault: error.to_string() })?;
    let pair = |fault: rustls::Error| TlsError::Pair {
        certificate: files.certificate.clone(),
        fault: fault.to_string(),
    };
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(pair)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |fault: String| TlsError::File { path: path.to_owned(), fault };
    let file = File::open(path).map_err(|error| fault(error.to_string()))?;
    let chain = CertificateDer::pem_reader_iter(BufReader::new(file))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| fault(error.to_string()))?;
    if chain.is_empty() { Err(fault("it has no certificate".to_owned())) } else { Ok(chain) }
}

/// What the gate offers its callers: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
pub fn server_config(certificates: Arc<Certificates>) -> ServerConfig {
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// How upstreams are verified: against the system's certificates, and those of a file.
pub(crate) fn client_config(trusted: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = trusted {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| TlsError::File {
                path: path.to_owned(),
                fault: error.to_string(),
            })?;
        }
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
