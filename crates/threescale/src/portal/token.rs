//! The access token: read for each call, so that it can be replaced without a restart.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use keystile_core::notifications::channel::SecretSource;

/// 3scale's tokens have 64 or 96 characters.
const TOKEN_BYTES_MAX: usize = 1024;
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Why there is no access token. Never says what was read.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    /// The file cannot be read.
    #[error("the access token cannot be read from {path}")]
    File {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The variable is not there, or is not text.
    #[error("the access token should be in the environment variable {0}, which is not set")]
    Environment(String),
    /// There is something that cannot be a token.
    #[error("{place} holds no access token: {problem}")]
    Content {
        /// The file or the variable.
        place: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// An access token. It prints nothing of itself.
pub(crate) struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

impl Token {
    /// The token as it is now. Fails when it is not there or cannot be one.
    pub(crate) fn read(source: &SecretSource) -> Result<Self, TokenFault> {
        let (text, place) = match source {
            SecretSource::File(path) => {
                let fault = |source| TokenFault::File { path: path.clone(), source };
                let mut text = String::new();
                let file = std::fs::File::open(path).map_err(fault)?;
                file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(fault)?;
                (text, path.display().to_string())
            }
            SecretSource::Environment(name) => {
                let text =
                    std::env::var(name).map_err(|_| TokenFault::Environment(name.clone()))?;
                (text, format!("the environment variable {name}"))
            }
        };
        match Self::parse(&text) {
            Ok(token) => Ok(token),
            Err(problem) => Err(TokenFault::Content { place, problem }),
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        // A colon ends the user name of HTTP Basic, and what JSON writes in another way could not be
        // found again in what the portal says.
        let fits =
            |c: char| c.is_ascii_graphic() && !matches!(c, ':' | '"' | '\\' | '<' | '>' | '&');
        if text.is_empty() {
            Err("it is empty")
        } else if text.len() > TOKEN_BYTES_MAX {
            Err("it is too long")
        } else if text.chars().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a token has no blanks, colons or quotes and is one line of ASCII letters")
        }
    }

    /// The token as the user name of HTTP Basic.
    pub(super) fn basic(&self) -> HeaderValue {
        let field = format!("Basic {}", self.encoded());
        let mut field = HeaderValue::try_from(field).expect("Base64 is visible ASCII");
        field.set_sensitive(true);
        field
    }

    /// The token, for a form.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Every form in which the token could come back.
    pub(crate) fn forms(&self) -> [String; 2] {
        [self.0.clone(), self.encoded()]
    }

    fn encoded(&self) -> String {
        STANDARD.encode(format!("{}:", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str) -> Result<Token, TokenFault> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, text).unwrap();
        Token::read(&SecretSource::File(path))
    }

    #[test]
    fn a_token_is_its_text_whatever_the_editor_put_around_it() {
        for text in ["s3cret", "s3cret\n", "s3cret\r\n", "\u{feff}s3cret\n", " s3cret \n"] {
            assert_eq!(from_file(text).unwrap().basic(), "Basic czNjcmV0Og==", "{text:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        for text in ["", "\n", "TOP SECRET", "TOP\nSECRET", "TOP:SECRET", "TOPSECRÉT", "\"TOP\""] {
            let fault = from_file(text).unwrap_err();
            let shown = format!("{fault} {fault:?}");
            assert!(shown.contains("holds no access token"), "{text:?}: {shown}");
            assert!(!shown.contains("TOP"), "{shown}");
        }
        assert!(from_file(&"x".repeat(TOKEN_BYTES_MAX + 1)).is_err());
        let missing = Token::read(&SecretSource::File("/nonexistent/token".into())).unwrap_err();
        assert_eq!(missing.to_string(), "the access token cannot be read from /nonexistent/token");
        let unset = SecretSource::Environment("KEYSTILE_TEST_UNSET_TOKEN".to_owned());
        assert!(matches!(Token::read(&unset), Err(TokenFault::Environment(_))));
    }

    #[test]
    fn a_token_does_not_print() {
        let token = from_file("TOPSECRET").unwrap();
        let shown = format!("{token:?} {:?}", token.basic());
        assert!(!shown.contains("TOPSECRET") && !shown.contains(&token.encoded()), "{shown}");
    }
}
