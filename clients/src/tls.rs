//! TLS for a backend: a certificate authority of the test's own, and who trusts it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// What a backend that speaks TLS is trusted by.
#[derive(Clone)]
pub(crate) struct Trust {
    /// The authority's certificate.
    pub(crate) authority: PathBuf,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Makes an authority, and in `cert.pem` and `key.pem` what it vouches for: `localhost`.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"];
        let authority = ["-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(folder, &[&["req", "-x509"], &key[..], &authority].concat())?;
        let leaf = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
        let constraints = ["-addext", "basicConstraints=critical,CA:FALSE"];
        let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "key.pem", "-out", "cert.pem"];
        openssl(folder, &[&["req", "-x509"], &key[..], &leaf, &constraints, &by].concat())?;
        let authority = folder.join("ca.pem");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&authority)?)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { authority, config: Arc::new(config) })
    }

    /// Sends a request over a connection; the whole answer.
    pub(crate) fn exchange(&self, stream: TcpStream, request: &str) -> Result<String> {
        let session = ClientConnection::new(self.config.clone(), "localhost".try_into()?)?;
        let mut stream = StreamOwned::new(session, stream);
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        // The end may come without TLS's own.
        let read = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            read?;
        }
        Ok(String::from_utf8(answer)?)
    }
}

fn openssl(folder: &Path, arguments: &[&str]) -> Result<()> {
    let made = Command::new("openssl").args(arguments).current_dir(folder).output()?;
    if !made.status.success() {
        bail!("openssl: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(())
}
