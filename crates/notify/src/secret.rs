//! Secrets of channels, read for each attempt, so that one can be replaced without a restart.

use keystile_core::notifications::channel::SecretSource;

/// A secret is a line, not a book.
const SECRET_BYTES_MAX: u64 = 16 * 1024;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretFault {
    #[error("the secret cannot be read from {path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("the environment variable {0} is not set")]
    Environment(String),
    #[error("the environment variable {0} holds no secret: {1}")]
    Text(String, &'static str),
}

/// A secret, as it is now.
pub(crate) fn secret(source: &SecretSource) -> Result<String, SecretFault> {
    match source {
        SecretSource::File(path) => {
            let fault = |source| SecretFault::File { path: path.display().to_string(), source };
            let length = std::fs::metadata(path).map_err(fault)?.len();
            if length > SECRET_BYTES_MAX {
                return Err(fault(std::io::Error::other("it is too long for a secret")));
            }
            let text = std::fs::read_to_string(path).map_err(fault)?;
            one_line(&text).map_err(|problem| fault(std::io::Error::other(problem)))
        }
        SecretSource::Environment(name) => {
            let text = std::env::var(name).map_err(|_| SecretFault::Environment(name.clone()))?;
            one_line(&text).map_err(|problem| SecretFault::Text(name.clone(), problem))
        }
    }
}

/// A secret without what editors put around it: a mark before the text, an end of line after it. What else does
/// not belong in one line is refused, because nobody would find it in a login that fails.
fn one_line(text: &str) -> Result<String, &'static str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err("it is empty");
    }
    if text.contains(char::is_control) {
        return Err("it has more than one line, or a control character");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_text_whatever_the_editor_put_around_it() {
        for text in ["s3 cret", "s3 cret\n", "s3 cret\r\n", "\u{feff}s3 cret\r\n", "s3 cret\n\n"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("secret");
            std::fs::write(&path, text).unwrap();
            assert_eq!(secret(&SecretSource::File(path)).unwrap(), "s3 cret", "{text:?}");
        }
        for text in ["", "\n", "\u{feff}", "\u{feff}\r\n", "  \n", "a\nb", "a\0b", "a\u{1b}b"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("secret");
            std::fs::write(&path, text).unwrap();
            let refused = secret(&SecretSource::File(path)).unwrap_err().to_string();
            assert!(refused.contains("cannot be read from"), "{text:?}: {refused}");
            assert!(!refused.contains('\u{1b}'), "{refused}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, b"\xff\xfea\0b\0").unwrap();
        let refused = secret(&SecretSource::File(path)).unwrap_err().to_string();
        assert!(refused.contains("UTF-8"), "{refused}");
    }
}
