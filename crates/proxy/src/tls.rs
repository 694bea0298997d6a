//! TLS of both sides: rustls with ring, certificates from files, read again when the files change.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// What the files held when they were read. Their times say nothing where a link is set to another file.
    content: AtomicU64,
}

impl Certificates {
    /// Reads the files.
    pub fn read(files: &TlsFiles) -> Result<Arc<Self>, TlsError> {
        let pair = Pair::read(files)?;
        Ok(Arc::new(Self {
            present: ArcSwap::from_pointee(pair.certified(files)?),
            content: AtomicU64::new(pair.content()),
            files: files.clone(),
        }))
    }

    /// Reads the files again where they hold something else. A pair that does not fit, as in the middle of a
    /// renewal, changes nothing and is tried again at the next call.
    pub fn refresh(&self) -> Result<(), TlsError> {
        let pair = Pair::read(&self.files)?;
        let content = pair.content();
        if content == self.content.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.present.store(Arc::new(pair.certified(&self.files)?));
        self.content.store(content, Ordering::Relaxed);
        tracing::info!(certificate = %self.files.certificate.display(), "the certificate was read again");
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present.load_full())
    }
}

/// What the two files hold.
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { certificate: pem(&files.certificate)?, key: pem(&files.key)? })
    }

    fn content(&self) -> u64 {
        let mut content = DefaultHasher::new();
        (&self.certificate, &self.key).hash(&mut content);
        content.finish()
    }

    fn certified(&self, files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&files.certificate, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::File {
            path: files.key.clone(),
            fault: error.to_string(),
        })?;
        let pair = |fault: rustls::Error| TlsError::Pair {
            certificate: files.certificate.clone(),
            fault: fault.to_string(),
        };
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider).map_err(pair)
    }
}

/// A file, without the mark that some editors put before its text.
fn pem(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = std::fs::read(path)
        .map_err(|error| TlsError::File { path: path.to_owned(), fault: error.to_string() })?;
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |fault: String| TlsError::File { path: path.to_owned(), fault };
    let chain = CertificateDer::pem_slice_iter(pem)
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
        for certificate in certificates(path, &pem(path)?)? {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a pair for a name; a mark before its text, as some editors write it.
    fn pair(folder: &Path, name: &str) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::create_dir(folder).unwrap();
        let marked = |text: String| format!("\u{feff}{text}");
        std::fs::write(folder.join("cert.pem"), marked(made.cert.pem())).unwrap();
        std::fs::write(folder.join("key.pem"), marked(made.signing_key.serialize_pem())).unwrap();
        for file in ["cert.pem", "key.pem"] {
            let file = std::fs::File::options().write(true).open(folder.join(file)).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        }
    }

    #[test]
    fn a_certificate_behind_a_link_is_read_again_when_the_link_is_set_to_another_of_the_same_time()
    {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        pair(&at("old"), "old.example.org");
        pair(&at("new"), "new.example.org");
        std::os::unix::fs::symlink(at("old"), at("live")).unwrap();
        let files = TlsFiles { certificate: at("live/cert.pem"), key: at("live/key.pem") };
        let certificates = Certificates::read(&files).unwrap();
        let first = certificates.present.load().cert.clone();
        certificates.refresh().unwrap();
        assert_eq!(certificates.present.load().cert, first);
        std::os::unix::fs::symlink(at("new"), at("next")).unwrap();
        std::fs::rename(at("next"), at("live")).unwrap();
        certificates.refresh().unwrap();
        assert_ne!(certificates.present.load().cert, first);
    }
}
