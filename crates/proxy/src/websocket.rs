//! A connection that has become a WebSocket: bytes are passed on both ways, unread, for as long as its key
//! may call.

use std::rc::Rc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use keystile_core::policy::api::Mode;
use keystile_engine::{AdmittedRequest, Identity, OpenCall};

use crate::caller::connection::UnderWay;
use crate::worker::Worker;

/// How often it is asked whether the key still may.
const CHECK: Duration = Duration::from_millis(500);

/// What becomes of a caller's connection when the upstream switches protocols.
pub(crate) struct Switch {
    caller: OnUpgrade,
    worker: Rc<Worker>,
    /// Who must keep the right to call; nobody where the API only observes.
    identity: Option<Identity>,
    call: OpenCall,
}

impl Switch {
    pub(crate) fn new(
        caller: OnUpgrade,
        worker: &Rc<Worker>,
        request: &AdmittedRequest,
        call: OpenCall,
    ) -> Self {
        let enforces = request.api.spec().mode == Mode::Enforce;
        let identity = enforces.then(|| request.identity.clone());
        Self { caller, worker: worker.clone(), identity, call }
    }

    /// Passes bytes on until either end breaks off, or the key may not call any more. Frames are not
    /// told apart here, so the end comes without a closing frame.
    pub(crate) async fn run(self, upstream: OnUpgrade, under_way: Option<UnderWay>) {
        let Self { caller, worker, identity, call } = self;
        let (caller, upstream) = match tokio::try_join!(caller, upstream) {
            Ok(ends) => ends,
            Err(error) => return tracing::debug!(%error, "an upgrade was not completed"),
        };
        let (mut caller, mut upstream) = (TokioIo::new(caller), TokioIo::new(upstream));
        let ended = async {
            while identity.as_ref().is_none_or(|who| worker.engine.may_go_on(who, call)) {
                tokio::time::sleep(CHECK).await;
            }
        };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut caller, &mut upstream) => {}
            () = ended => tracing::debug!("a WebSocket was ended with its key"),
        }
        drop(under_way);
    }
}
