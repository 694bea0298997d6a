//! The secret in the address to which 3scale sends webhooks.

use std::io::Read as _;
use std::path::PathBuf;

use keystile_core::notifications::channel::SecretSource;

/// What is shorter can be guessed.
const CHARS_MIN: usize = 20;
/// The portal takes addresses of 255 characters.
const CHARS_MAX: usize = 128;
const FILE_BYTES_MAX: u64 = 1024;

/// Why there is no such secret. Never says what was read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretFault {
    #[error("the webhook secret cannot be read from {path}: {fault}")]
    File { path: PathBuf, fault: std::io::Error },
    #[error("the webhook secret should be in the environment variable {0}, which is not set")]
    Environment(String),
    #[error(
        "{0} holds no webhook secret: that has {CHARS_MIN} to {CHARS_MAX} letters, digits, `-` and `_`"
    )]
    Form(String),
}

/// The secret as it is now: it is read each time, so that it can be replaced without a restart. Fails when it is
/// not there or not one.
pub(super) fn webhook_secret(source: &SecretSource) -> Result<String, SecretFault> {
    let text = match source {
        SecretSource::File(path) => {
            let fault = |fault| SecretFault::File { path: path.clone(), fault };
            let mut text = String::new();
            let file = std::fs::File::open(path).map_err(fault)?;
            file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(fault)?;
            text
        }
        SecretSource::Environment(name) => {
            std::env::var(name).map_err(|_| SecretFault::Environment(name.clone()))?
        }
    };
    let secret = text.trim_start_matches('\u{feff}').trim();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = (CHARS_MIN..=CHARS_MAX).contains(&secret.len()) && secret.bytes().all(is_plain);
    if fits { Ok(secret.to_owned()) } else { Err(SecretFault::Form(place(source))) }
}

/// Where a secret is, for people.
pub(super) fn place(source: &SecretSource) -> String {
    match source {
        SecretSource::File(path) => path.display().to_string(),
        SecretSource::Environment(name) => format!("the environment variable {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_secret_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hook");
        let good = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
        for (text, fits) in [
            (format!("{good}\n"), true),
            (format!("\u{feff}{good}\r\n"), true),
            (String::new(), false),
            ("TOPSECRET\n".to_owned(), false),
            (format!("TOPSECRET/{good}"), false),
            (format!("TOPSECRET\n{good}"), false),
            ("TOPSECRET".repeat(20), false),
        ] {
            std::fs::write(&path, &text).unwrap();
            let read = webhook_secret(&SecretSource::File(path.clone()));
            assert_eq!(read.is_ok(), fits, "{text:?}");
            assert!(!format!("{:?}", read.err()).contains("TOPSECRET"));
        }
        let missing = SecretSource::File("/nonexistent/hook".into());
        assert!(webhook_secret(&missing).unwrap_err().to_string().contains("cannot be read from"));
    }
}
