//! Hints of systems that issue keys.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use bytes::Bytes;
use keystile_core::keys::imported::ImportedText;
use keystile_core::owners::principal::Principal;
use keystile_core::time::Span;
use keystile_engine::command::{Done, Running};
use keystile_engine::findings::Finding;
use keystile_engine::keys::difference::Side;
use keystile_engine::keys::look_up::answer::FoundThere;
use keystile_engine::keys::look_up::look_ups::{LookUpLimits, LookUps};
use keystile_engine::keys::source::{KeySourceView, SyncReport, SyncWanted};
use keystile_engine::{Engine, KeySource};

use crate::test_console::TestConsole;

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const MIB: usize = 1024 * 1024;

/// A source that keeps its hints.
#[derive(Debug)]
struct Hinted {
    secret: &'static str,
    hints: Mutex<Vec<usize>>,
    look_ups: LookUps,
}

impl KeySource for Hinted {
    fn name(&self) -> &'static str {
        "another system"
    }

    fn synchronize<'a>(&'a self, _: &'a Arc<Engine>, _: SyncWanted) -> Running<'a, SyncReport> {
        unreachable!("a hint is looked at later, and elsewhere")
    }

    fn look_ups(&self) -> &LookUps {
        &self.look_ups
    }

    fn look_up<'a>(&'a self, _: &'a Arc<Engine>, _: &'a ImportedText) -> Running<'a, FoundThere> {
        unreachable!("it may not be asked")
    }

    fn check<'a>(&'a self, _: &'a Arc<Engine>) -> Running<'a, Vec<Finding>> {
        unreachable!("nobody checks")
    }

    fn lock_there<'a>(&'a self, _: &'a Arc<Engine>, _: &'a str) -> Running<'a, Option<String>> {
        unreachable!("nothing is locked")
    }

    fn take_side<'a>(
        &'a self,
        _: &'a Arc<Engine>,
        _: &'a Principal,
        _: (&'a str, Side),
    ) -> Running<'a, Done> {
        unreachable!("nothing differs")
    }

    fn show<'a>(&'a self, _: &'a Arc<Engine>) -> Running<'a, KeySourceView> {
        unreachable!("nobody looks")
    }

    fn hint_secret(&self) -> Option<String> {
        Some(self.secret.to_owned())
    }

    fn take_hint(&self, _: &Engine, body: &[u8]) {
        self.hints.lock().unwrap().push(body.len());
    }
}

/// A console with a source, and what that was told.
fn console() -> (TestConsole, Arc<Hinted>) {
    let console = TestConsole::new();
    let limits = LookUpLimits { per_second: 0, unknown_for: Span::from_secs(1) };
    let look_ups = LookUps::new(limits);
    let source = Arc::new(Hinted { secret: SECRET, hints: Mutex::default(), look_ups });
    console.engine().set_key_sources(vec![source.clone()]);
    (console, source)
}

#[tokio::test]
async fn whoever_knows_the_secret_is_heard_whatever_they_send() {
    let (console, source) = console();
    let path = format!("/hooks/keys/{SECRET}");
    let broken = Body::from_stream(futures_util::stream::iter([
        Ok(Bytes::from_static(b"<event>")),
        Err(std::io::Error::other("the connection is cut")),
    ]));
    let bodies = [
        Body::empty(),
        "<event/>".into(),
        vec![0xff; MIB].into(),
        vec![b'x'; MIB + 1].into(),
        broken,
    ];
    for body in bodies {
        // By whatever name the system knows the console.
        let told = console.post(&path).host("gate.internal").text(body).send().await;
        assert_eq!((told.status.as_u16(), told.text.as_str()), (202, ""));
    }
    // What is cut or too long is a hint all the same.
    assert_eq!(*source.hints.lock().unwrap(), [0, 8, MIB, 0, 0]);
}

#[tokio::test]
async fn a_secret_that_is_not_known_leads_nowhere_and_guessing_is_slowed() {
    let (console, source) = console();
    let mut slowed = 0;
    for number in 0..40 {
        let guess = format!("/hooks/keys/{number:032x}");
        let told = console.post(&guess).from("203.0.113.9").text("<event/>").send().await;
        match told.status.as_u16() {
            404 => assert_eq!(told.text, ""),
            429 => {
                assert!(told.header("retry-after").parse::<u64>().unwrap() > 0);
                slowed += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(slowed >= 19, "{slowed}");
    assert_eq!(*source.hints.lock().unwrap(), [0; 0]);
    for path in ["/hooks/keys/", "/hooks/keys", &format!("/hooks/keys/{SECRET}/x"), "/hooks/"] {
        let told = console.post(path).from("203.0.113.10").send().await;
        assert_eq!(told.status, 404, "{path}");
    }
    let path = format!("/hooks/keys/{SECRET}");
    assert_eq!(console.get(&path).send().await.status, 405);
    // Who knows it is not held up by those who guess beside them.
    assert_eq!(console.post(&path).from("203.0.113.9").send().await.status, 202);
}
