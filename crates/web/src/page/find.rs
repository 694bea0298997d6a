//! Finding what was pasted into the search field. A key's text is looked up by its hash and kept nowhere;
//! the field is posted, so that it stands in no address and no log.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::response::Response;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::application::ShowApplication;
use keystile_engine::keys::key::ShowKey;
use serde::Deserialize;

use super::redirect;
use crate::flash::Flash;
use crate::sign_in::session::SignedIn;
use crate::web::Web;

#[derive(Debug, Deserialize)]
pub(crate) struct FindForm {
    text: String,
}

pub(crate) async fn find(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Form(form): Form<FindForm>,
) -> Response {
    let text = form.text.trim().trim_end_matches('…').to_owned();
    let principal = owner.principal();
    if text.starts_with("write_")
        && super::journal::find_record(&web, &principal, &text).await.is_ok()
    {
        return redirect(&format!("/journal/{text}"));
    }
    if let Ok(key) = web.engine.execute(&principal, ShowKey { key: text.clone() }).await {
        return redirect(&format!("/keys/{}", key.key.id));
    }
    if let Ok(found) = web.engine.execute(&principal, ShowApplication { application: text }).await {
        let name = crate::form::path_segment(&found.name);
        return redirect(&format!("/applications/{name}"));
    }
    // What was pasted may be somebody's key: it is not repeated.
    let failure = Failure {
        kind: FailureKind::Missing,
        message: "Nothing goes by that.".to_owned(),
        help: Some("Paste a whole key, a key id or prefix, an application’s name, or a record such as write_123.".to_owned()),
    };
    web.flashes.put(owner.session(), Flash::failed(&failure));
    redirect("/keys")
}
