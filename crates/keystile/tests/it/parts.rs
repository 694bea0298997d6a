//! A part of a server that ends by itself ends the server, in order, and it says so.

use keystile::config;
use keystile::server::{Server, Signals};

use crate::harness::TestServer;

const OPEN: &str = "[plan.open]\nallow = \"bookmarks: *\"\n";

/// A server in this process, so that a thread of it can be made to panic.
async fn start(server: &TestServer) -> Server {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = server.path("keystile.toml");
    Server::start(config::load(&file).unwrap(), Some(file)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_panics_ends_the_server_in_order_and_it_says_so() {
    let server = TestServer::new(OPEN);
    let running = start(&server).await;
    let signals = Signals::listen().unwrap();
    let store = running.engine().store().clone();
    store.panic_writer().await;
    let ended = running.until_signalled(signals).await.unwrap_err();
    assert_eq!(
        ended.to_string(),
        "the store's writer ended unexpectedly, so the server stopped; its log says why"
    );
    assert!(
        !server.path("keystile-data/control.sock").exists(),
        "what it leaves behind is in order"
    );
    // Nothing of it is left: another one can start at once.
    drop(store);
    let again = start(&server).await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_whole_is_not_taken_for_one_that_failed() {
    let server = TestServer::new(OPEN);
    let mut running = start(&server).await;
    let second = std::time::Duration::from_secs(1);
    assert!(tokio::time::timeout(second, running.failed()).await.is_err());
    running.stop().await;
}
