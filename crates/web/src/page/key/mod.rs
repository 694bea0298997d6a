//! The screens of keys.

use std::sync::Arc;

use keystile_engine::keys::key::{KeyView, ShowKey};

use crate::page::{ConfirmPage, PageResult, failure_page, page};
use crate::sign_in::session::SignedIn;
use crate::web::Web;

pub(crate) mod create;
pub(crate) mod edit;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod show;

/// Asks before something is done to a key.
async fn confirm_for_key(
    web: &Arc<Web>,
    owner: &SignedIn,
    id: &str,
    asks: impl FnOnce(&KeyView) -> ConfirmPage,
) -> PageResult {
    let shown = web.engine.execute(&owner.principal(), ShowKey { key: id.to_owned() }).await;
    let details = shown.map_err(failure_page(web, owner))?;
    Ok(page(&asks(&details.key)))
}
