//! Recovery codes: the way in of an owner who has lost every other.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::{Secret, SecretHash, SecretKind};

use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;
use crate::owners::owner::OwnerView;

/// So many recovery codes an owner gets at once: they fit on one slip of paper.
pub const RECOVERY_CODES: usize = 10;

/// Gives the owner who asks recovery codes, which are shown only now; those before them are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MakeRecoveryCodes;

impl Command for MakeRecoveryCodes {
    type Answer = Vec<Secret>;
    const SCOPE: Scope = Scope::Admin;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Vec<Secret>> {
        Box::pin(async move {
            let (owner, codes) = (by.owner()?, new_recovery_codes());
            let hashes = engine.recovery_hashes(&codes);
            engine.store.make_recovery_codes(owner, hashes, by.actor().clone()).await?;
            Ok(codes)
        })
    }
}

impl Engine {
    pub(crate) fn recovery_hashes(&self, codes: &[Secret]) -> Vec<SecretHash> {
        let pepper = self.store.pepper();
        codes.iter().map(|code| code.hash(SecretKind::RecoveryCode, pepper)).collect()
    }

    /// Uses up a recovery code of an owner; `None` where it is not theirs or was used. Ask
    /// [`Engine::admit_sign_in`] first.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn use_recovery_code(
        &self,
        name: &str,
        code: &str,
    ) -> Result<Option<OwnerView>, Failure> {
        let Some(hash) = self.secret_hash(SecretKind::RecoveryCode, code) else {
            return Ok(None);
        };
        let used = self.store.use_recovery_code(name.to_owned(), hash).await?;
        Ok(used.map(OwnerView::from))
    }
}

pub(crate) fn new_recovery_codes() -> Vec<Secret> {
    (0..RECOVERY_CODES).map(|_| Engine::secret(SecretKind::RecoveryCode)).collect()
}
