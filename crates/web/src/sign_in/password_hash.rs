//! Passwords, where passkeys cannot work: argon2id, never more than one or two at once.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use keystile_core::owners::secret::PasswordHash;
use keystile_engine::command::{Failure, FailureKind};
use tokio::sync::Semaphore;

/// Shorter ones are guessed; ASVS 5.0 asks for at least 8 and recommends 15 where it is the only factor.
pub(crate) const CHARS_MIN: usize = 15;
/// Longer ones only keep the hash busy.
const BYTES_MAX: usize = 1024;
/// Each takes 19 MiB and some 20 ms of a core: a flood of guesses waits here, not in the gate.
const AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

fn failure(message: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::Invalid, message: message.into(), help: None }
}

async fn in_turn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let turn = TURNS.acquire().await;
    let done = tokio::task::spawn_blocking(work).await;
    drop(turn);
    done.map_err(|_| failure("the password could not be checked"))
}

/// Hashes a new password, where it is a good one.
pub(crate) async fn hash(password: String) -> Result<PasswordHash, Failure> {
    if password.chars().count() < CHARS_MIN {
        return Err(failure(format!(
            "A password has at least {CHARS_MIN} characters; a sentence is easy to remember."
        )));
    }
    if password.len() > BYTES_MAX {
        return Err(failure("This password is longer than a page."));
    }
    let hashed = in_turn(move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
    });
    match hashed.await? {
        Ok(text) => Ok(PasswordHash::new(text)),
        Err(error) => Err(failure(format!("The password could not be hashed: {error}"))),
    }
}

/// Whether a password is the one that was hashed. Without a hash the same work is done, so that the time
/// does not tell who is an owner.
pub(crate) async fn verify(password: String, known: Option<PasswordHash>) -> Result<bool, Failure> {
    if password.len() > BYTES_MAX {
        return Ok(false);
    }
    in_turn(move || {
        if let Some(known) = known {
            return phc::PasswordHash::new(known.expose()).is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            });
        }
        let _ = Argon2::default().hash_password(password.as_bytes());
        false
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_passes() {
        let known = hash("correct horse battery staple".to_owned()).await.unwrap();
        assert!(known.expose().starts_with("$argon2id$"));
        let passes = |text: &str, known| verify(text.to_owned(), known);
        assert!(passes("correct horse battery staple", Some(known.clone())).await.unwrap());
        assert!(!passes("correct horse battery stable", Some(known.clone())).await.unwrap());
        assert!(!passes("correct horse battery staple", None).await.unwrap());
        assert!(!passes(&"x".repeat(2_000_000), Some(known)).await.unwrap());
        assert!(hash("too short".to_owned()).await.is_err());
    }
}
