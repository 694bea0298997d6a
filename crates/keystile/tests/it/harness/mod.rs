//! What the tests work with: a site with a server, an upstream behind it, callers before it.

mod caller;
mod dice;
mod disk;
mod http2;
mod mail_server;
mod owner;
mod program;
mod test_server;
mod upstream;

use std::time::{Duration, Instant};

pub(crate) use caller::{Answer, Call, Caller};
pub(crate) use dice::Dice;
pub(crate) use disk::Disk;
pub(crate) use http2::Http2;
pub(crate) use mail_server::MailServer;
pub(crate) use owner::Owner;
pub(crate) use program::{Finished, Program, keystile};
pub(crate) use test_server::{Key, TestServer, free_port};
pub(crate) use upstream::Upstream;

/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        pause(10);
    }
}

/// Lets some milliseconds pass.
#[expect(clippy::disallowed_methods, reason = "a test that waits holds up nobody")]
pub(crate) fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}
