//! The page of key sources, and what the admin API says of them.

use std::sync::{Arc, Mutex};

use keystile_core::keys::imported::ImportedText;
use keystile_core::owners::principal::Principal;
use keystile_core::owners::scope::Scope;
use keystile_core::time::{Span, Timestamp};
use keystile_engine::command::{Done, Failure, FailureKind};
use keystile_engine::findings::Finding;
use keystile_engine::keys::difference::{Difference, Reversal, Side, TakeableSide};
use keystile_engine::keys::look_up::answer::FoundThere;
use keystile_engine::keys::look_up::look_ups::{LookUpLimits, LookUps};
use keystile_engine::keys::source::{
    Deletions, FollowedLock, KeySourceView, MissingUsage, SyncMode, SyncReport, SyncWanted,
    UsageStanding,
};
use keystile_engine::{Engine, FromSource, KeySource};
use serde_json::json;

use crate::test_console::TestConsole;

const NAME: &str = "elsewhere <main>/1";
const PATH: &str = "/sources/elsewhere%20%3Cmain%3E%2F1";

/// A source that stands as a test says, and notes what it is asked for.
#[derive(Debug)]
struct TestSource {
    view: Mutex<KeySourceView>,
    requests: Mutex<Vec<String>>,
    look_ups: LookUps,
}

impl TestSource {
    fn note(&self, request: String) {
        self.requests.lock().unwrap().push(request);
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    fn set(&self, change: impl FnOnce(&mut KeySourceView)) {
        change(&mut self.view.lock().unwrap());
    }
}

impl KeySource for TestSource {
    fn name(&self) -> &str {
        NAME
    }

    fn synchronize<'a>(
        &'a self,
        _: &'a Arc<Engine>,
        wanted: SyncWanted,
    ) -> FromSource<'a, SyncReport> {
        self.note(format!("synchronize {wanted:?}"));
        Box::pin(async move {
            if wanted.deletions == Deletions::Guarded
                && self.view.lock().unwrap().awaits_confirmation
            {
                return Err(Failure {
                    kind: FailureKind::Conflict,
                    message: "20 of 40 are gone".to_owned(),
                    help: Some("see whether that is meant".to_owned()),
                });
            }
            Ok(SyncReport {
                source: NAME.to_owned(),
                mode: wanted.mode,
                applications: 3,
                unchanged: 1,
                changed: 2,
                left: 1,
                changes: Vec::new(),
                problems: Vec::new(),
            })
        })
    }

    fn look_ups(&self) -> &LookUps {
        &self.look_ups
    }

    fn look_up<'a>(
        &'a self,
        _: &'a Arc<Engine>,
        _: &'a ImportedText,
    ) -> FromSource<'a, FoundThere> {
        Box::pin(async { Ok(FoundThere::Unknown) })
    }

    fn check<'a>(&'a self, _: &'a Arc<Engine>) -> FromSource<'a, Vec<Finding>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn lock_there<'a>(&'a self, _: &'a Arc<Engine>, _: &'a str) -> FromSource<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn take_side<'a>(
        &'a self,
        _: &'a Arc<Engine>,
        by: &'a Principal,
        (difference, side): (&'a str, Side),
    ) -> FromSource<'a, Done> {
        self.note(format!("take {difference} {side} for {}", by.actor()));
        Box::pin(async move {
            if difference.starts_with("old") {
                return Err(Failure {
                    kind: FailureKind::Conflict,
                    message: "it is not as it was shown any more".to_owned(),
                    help: None,
                });
            }
            Ok(Done(format!("Took {difference}.")))
        })
    }

    fn show<'a>(&'a self, _: &'a Arc<Engine>) -> FromSource<'a, KeySourceView> {
        Box::pin(async { Ok(self.view.lock().unwrap().clone()) })
    }

    fn hint_secret(&self) -> Option<String> {
        None
    }

    fn take_hint(&self, _: &Engine, _: &[u8]) {
        unreachable!("it has no secret for hints");
    }
}

/// A console with a source that was never read.
fn console() -> (TestConsole, Arc<TestSource>) {
    let view = KeySourceView {
        source: NAME.to_owned(),
        place: "https://elsewhere.example".to_owned(),
        applications: 0,
        synchronized: None,
        next: None,
        problem: None,
        failing_since: None,
        keys_work_until: None,
        awaits_confirmation: false,
        differences: Vec::new(),
        more_differences: 0,
        locks: Vec::new(),
        usage: None,
        hints: None,
    };
    let console = TestConsole::new();
    let (view, requests) = (Mutex::new(view), Mutex::default());
    let limits = LookUpLimits { per_second: 0, unknown_for: Span::from_secs(1) };
    let source = Arc::new(TestSource { view, requests, look_ups: LookUps::new(limits) });
    console.engine().set_key_sources(vec![source.clone()]);
    (console, source)
}

fn difference(id: &str, sides: &[(Side, Reversal)]) -> Difference {
    let takeable = |(side, undo): &(Side, Reversal)| TakeableSide {
        side: *side,
        does: format!("do what is right {side}"),
        undo: *undo,
    };
    Difference {
        id: id.to_owned(),
        application: "Acme <b>".to_owned(),
        application_id: Some("app_1".to_owned()),
        about: "plan".to_owned(),
        there: "It is on the plan A.".to_owned(),
        here: "It is on the plan B.".to_owned(),
        sides: sides.iter().map(takeable).collect(),
        advice: Some("Say in `plans` what <it> is.".to_owned()),
    }
}

impl TestConsole {
    async fn page(&self, cookie: &str) -> String {
        let shown = self.get("/sources").cookie(cookie).send().await;
        assert_eq!(shown.status, 200, "{shown:?}");
        shown.text
    }

    /// Sends a form, and gives the page that it leads to.
    async fn sent(&self, cookie: &str, path: &str, fields: &[(&str, &str)]) -> String {
        let told = self.post(path).cookie(cookie).form(fields).send().await;
        assert_eq!((told.status.as_u16(), told.header("location")), (303, "/sources"), "{told:?}");
        self.page(cookie).await
    }
}

#[tokio::test]
async fn the_header_leads_to_sources_only_where_one_is_set_up() {
    let without = TestConsole::new();
    let cookie = without.cookie("Ada").await;
    let page = without.page(&cookie).await;
    assert!(page.contains("No key source is set up"), "{page}");
    assert!(!page.contains("<a href=\"/sources\""), "{page}");
    let (with, _) = console();
    let cookie = with.cookie("Ada").await;
    let now = with.get("/").cookie(&cookie).send().await.text;
    assert!(now.contains("<a href=\"/sources\">Sources</a>"), "{now}");
}

#[tokio::test]
async fn a_source_says_whether_it_works_and_since_when_it_does_not() {
    let (console, source) = console();
    let cookie = console.cookie("Ada").await;
    let page = console.page(&cookie).await;
    for said in [
        "○ never read",
        "elsewhere &#60;main&#62;/1",
        "https://elsewhere.example",
        "It was not read yet",
        "No lock is followed there",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let now = console.engine().store().now();
    source.set(|view| {
        view.synchronized = Some(now);
        view.next = Some(Timestamp(now.0 + 300_000));
        view.applications = 12_345;
    });
    let page = console.page(&cookie).await;
    for said in ["● working", "12\u{202f}345", "in 5 min", "Nothing differs"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    source.set(|view| {
        view.problem = Some("the access token is refused".to_owned());
        view.failing_since = Some(Timestamp(now.0 - 7_200_000));
    });
    let page = console.page(&cookie).await;
    for said in ["■ problem", "The access token is refused", "2 h ago", "it is read again"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    for (path, said) in [
        ("/", "A key source is in trouble."),
        ("/", "it was not read to the end since"),
        ("/settings", "✗ elsewhere &#60;main&#62;/1</b>: it was not read to the end since"),
    ] {
        let page = console.get(path).cookie(&cookie).send().await.text;
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(!page.contains("/deletions"), "{page}");
    source.set(|view| view.awaits_confirmation = true);
    let page = console.page(&cookie).await;
    assert!(page.contains(&format!("href=\"{PATH}/deletions\"")), "{page}");
}

#[tokio::test]
async fn usage_that_a_source_may_lack_is_shown_with_its_amount() {
    let (console, source) = console();
    let cookie = console.cookie("Ada").await;
    assert!(!console.page(&cookie).await.contains("Usage reported there"));
    let now = console.engine().store().now();
    source.set(|view| {
        let missing = MissingUsage {
            name: "hits<b>".to_owned(),
            uncertain: 1_234,
            unreported: 56,
            since: Timestamp(now.0 - 7_200_000),
        };
        view.usage = Some(UsageStanding {
            waiting: 78,
            reported: 910_111,
            missing: vec![missing],
            problem: Some("the backend fails".to_owned()),
            ..UsageStanding::default()
        });
    });
    let page = console.page(&cookie).await;
    for said in [
        "910\u{202f}111",
        ">78<",
        "hits&#60;b&#62;",
        "1\u{202f}234",
        ">56<",
        "2 h ago",
        "The backend fails",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
}

#[tokio::test]
async fn differences_show_both_sides_and_only_buttons_that_do_something() {
    use Reversal::{Impossible, Possible};
    let (console, source) = console();
    let cookie = console.cookie("Ada").await;
    source.set(|view| {
        view.differences = vec![
            difference("plan-1-aa", &[(Side::There, Possible), (Side::Here, Possible)]),
            difference("gone-2-bb", &[(Side::There, Impossible)]),
            difference("keys-3-cc", &[]),
        ];
        view.more_differences = 4;
    });
    let page = console.page(&cookie).await;
    for said in [
        "Acme &#60;b&#62;",
        "It is on the plan A.",
        "It is on the plan B.",
        "Do what is right there",
        "Say in <code>plans</code> what &#60;it&#62; is.",
        "And 4 more",
        &format!("href=\"{PATH}/take/gone-2-bb/there\""),
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert_eq!(page.matches(&format!("action=\"{PATH}/take\"")).count(), 2, "{page}");
    assert!(!page.contains("keys-3-cc"), "{page}");
}

#[tokio::test]
async fn a_side_is_taken_for_the_owner_and_a_final_one_only_after_a_page_that_asks() {
    let (mut console, source) = console();
    let cookie = console.cookie("Ada").await;
    source.set(|view| {
        view.differences = vec![
            difference("plan-1-aa", &[(Side::Here, Reversal::Possible)]),
            difference("gone-2-bb", &[(Side::There, Reversal::Impossible)]),
        ];
    });
    let take = format!("{PATH}/take");
    let fields = [("difference", "plan-1-aa"), ("side", "here")];
    assert!(console.sent(&cookie, &take, &fields).await.contains("Took plan-1-aa."));
    assert_eq!(source.requests(), ["take plan-1-aa here for owner Ada"]);
    // A stale page.
    let fields = [("difference", "old-1-aa"), ("side", "here")];
    let page = console.sent(&cookie, &take, &fields).await;
    assert!(page.contains("Not done:") && page.contains("it is not as it was shown"), "{page}");
    assert_eq!(source.requests().len(), 1);
    // Final.
    let fields = [("difference", "gone-2-bb"), ("side", "there")];
    let told = console.post(&take).cookie(&cookie).form(&fields).send().await;
    let asks = format!("{PATH}/take/gone%2D2%2Dbb/there");
    assert_eq!((told.status.as_u16(), told.header("location")), (303, asks.as_str()));
    let page = console.get(&asks).cookie(&cookie).send().await.text;
    assert!(page.contains("This cannot be taken back."), "{page}");
    assert_eq!(source.requests(), Vec::<String>::new());
    assert!(console.sent(&cookie, &asks, &[]).await.contains("Took gone-2-bb."));
    assert_eq!(source.requests(), ["take gone-2-bb there for owner Ada"]);
    // One that is not shown any more.
    let gone = console.get(&format!("{PATH}/take/gone-9-bb/there")).cookie(&cookie).send().await;
    assert_eq!(gone.status, 404, "{gone:?}");
    // Forms of other sites do nothing.
    let fields = [("difference", "plan-1-aa"), ("side", "here")];
    let foreign = console.post(&take).header("cookie", &cookie).form(&fields);
    let foreign = foreign.header("sec-fetch-site", "cross-site").send().await;
    assert_eq!(foreign.status, 403);
    assert_eq!(source.requests(), Vec::<String>::new());
    // Later, an owner has to confirm their identity first.
    console.later(3_600_000);
    console.engine().set_key_sources(vec![source.clone()]);
    let told = console.post(&asks).cookie(&cookie).form(&[]).send().await;
    assert!(told.header("location").starts_with("/prove?next="), "{told:?}");
    assert_eq!(source.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_source_is_synchronized_and_many_deletions_are_confirmed_on_a_page_of_their_own() {
    let (console, source) = console();
    let cookie = console.cookie("Ada").await;
    let page = console.sent(&cookie, &format!("{PATH}/synchronize"), &[]).await;
    assert!(page.contains("to the end: 2 changes were followed; what could not"), "{page}");
    let guarded = SyncWanted::default();
    assert_eq!(source.requests(), [format!("synchronize {guarded:?}")]);
    source.set(|view| view.awaits_confirmation = true);
    let page = console.sent(&cookie, &format!("{PATH}/synchronize"), &[]).await;
    assert!(page.contains("was not synchronized; the reason is below"), "{page}");
    assert!(page.contains("see whether that is meant"), "{page}");
    source.requests();
    let deletions = format!("{PATH}/deletions");
    let page = console.get(&deletions).cookie(&cookie).send().await.text;
    assert!(page.contains("will be revoked") && page.contains("cannot be taken back"), "{page}");
    assert_eq!(source.requests(), Vec::<String>::new());
    console.sent(&cookie, &deletions, &[]).await;
    let confirmed = SyncWanted { deletions: Deletions::Confirmed, mode: SyncMode::Apply };
    assert_eq!(source.requests(), [format!("synchronize {confirmed:?}")]);
    let odd = console.sent(&cookie, "/sources/nobody/synchronize", &[]).await;
    assert!(odd.contains("there is no key source nobody"), "{odd}");
}

#[tokio::test]
async fn locks_that_are_followed_show_how_far_they_are() {
    let (console, source) = console();
    let (cookie, now) = (console.cookie("Ada").await, console.engine().store().now());
    let lock = |state: &str, attempts, next| FollowedLock {
        application: "Acme".to_owned(),
        state: state.to_owned(),
        since: now,
        attempts,
        next,
    };
    let soon = Some(Timestamp(now.0 + 90_000));
    source.set(|view| {
        view.locks = vec![
            lock("suspended there", 0, None),
            lock("failed: <refused>", 3, soon),
            lock("asked", 0, soon),
        ];
    });
    let page = console.page(&cookie).await;
    for said in [
        "<span class=\"delivery sent\">suspended there</span>",
        "<span class=\"delivery failed\">failed: &#60;refused&#62;</span> <span class=\"faint\">3 attempts",
        "<span class=\"delivery waiting\">asked</span>",
        "<time datetime",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
}

#[tokio::test]
async fn programs_read_sources_synchronize_them_and_take_sides() {
    let (mut console, source) = console();
    let (cookie, token) = (console.cookie("Ada").await, console.token(Scope::Write).await);
    source.set(|view| {
        view.differences = vec![
            difference("plan-1-aa", &[(Side::Here, Reversal::Possible)]),
            difference("gone-2-bb", &[(Side::There, Reversal::Impossible)]),
        ];
    });
    let shown = console.get("/api/v1/sources").token(&token).send().await.good();
    assert_eq!(shown["items"][0]["source"], NAME);
    assert_eq!(shown["items"][0]["differences"][0]["sides"][0]["side"], "here");
    assert_eq!(shown["items"][0]["differences"][1]["sides"][0]["undo"], "impossible");
    let path = format!("/api/v1{PATH}");
    let post = |what: &str, body| console.post(&format!("{path}/{what}")).token(&token).json(body);
    let read = post("synchronize", json!({ "mode": "dry_run" })).send().await.good();
    assert_eq!(
        (&read["items"][0]["changed"], &read["items"][0]["mode"]),
        (&json!(2), &json!("dry_run"))
    );
    let side = |id, side| json!({ "difference": id, "side": side });
    let done = post("take", side("plan-1-aa", "here")).send().await.good();
    assert_eq!(done["message"], "Took plan-1-aa.");
    post("take", side("old-1-aa", "here")).send().await.problem(409);
    post("take", side("plan-1-aa", "left")).send().await.problem(400);
    post("take", side("", "here")).send().await.problem(422);
    source.requests();
    // An owner with a session that is older may do what can be taken back.
    console.later(3_600_000);
    console.engine().set_key_sources(vec![source.clone()]);
    let post = |body| console.post(&format!("{path}/take")).cookie(&cookie).json(body);
    post(side("plan-1-aa", "here")).send().await.good();
    post(side("gone-2-bb", "there")).send().await.problem(403);
    let deletions = json!({ "deletions": "confirmed" });
    let all = console.post(&format!("{path}/synchronize")).cookie(&cookie).json(deletions);
    all.send().await.problem(403);
    assert_eq!(source.requests(), ["take plan-1-aa here for owner Ada"]);
}
