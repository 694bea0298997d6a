//! What applications use is reported, and counts there once, whatever answers and whatever crashes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use keystile_core::notifications::channel::SecretSource;
use keystile_core::request::call_method::CallMethod;
use keystile_engine::KeySource as _;
use keystile_engine::findings::FindingLevel;
use keystile_engine::keys::source::UsageStanding;
use keystile_threescale::drive::settings::{DriveSettings, UsageSettings};
use keystile_threescale::drive::usage::mapping::UsageMap;
use tokio::task::JoinSet;

use super::report_peer::{Fate, ReportPeer};
use super::setup::Driven;
use crate::setup::{TOKEN, tenant};

/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
const SERVICE_TOKEN: &str = "5erv1ce-t0ken";

struct Reporting {
    driven: Driven,
    peer: ReportPeer,
    _files: tempfile::TempDir,
}

/// An account that reports reads as `hits`, at work.
async fn reporting() -> Reporting {
    reporting_as(UsageMap { reads: Some("hits".to_owned()), ..UsageMap::default() }).await
}

async fn reporting_as(map: UsageMap) -> Reporting {
    let (peer, files) = (ReportPeer::start(), tempfile::tempdir().unwrap());
    let file = files.path().join("token");
    std::fs::write(&file, SERVICE_TOKEN).unwrap();
    let backend = peer.address().parse().unwrap();
    let usage = Some(UsageSettings { backend, service_token: SecretSource::File(file), map });
    let (tenant, ids) = tenant();
    let driven = Driven::with(tenant, ids, |settings| DriveSettings { usage, ..settings }).await;
    driven.sync().await;
    let mut reporting = Reporting { driven, peer, _files: files };
    reporting.work().await;
    reporting
}

impl Reporting {
    /// Lets the account work, and waits until it counts.
    async fn work(&mut self) {
        self.driven.work();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// As many reads that went out.
    fn read(&self, many: u64) {
        let store = self.driven.engine().store();
        let text = format!("key-{}", self.driven.test.ids.application);
        let key = store.keys().find(&store.pepper().hash(text.as_bytes())).unwrap();
        assert!(store.keys().counts_reads_of(&key));
        (0..many).for_each(|_| key.note_sent_read(CallMethod::Get));
    }

    async fn standing(&self) -> UsageStanding {
        self.driven.show().await.usage.unwrap()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&UsageStanding) -> bool) -> UsageStanding {
        let begun = Instant::now();
        loop {
            let standing = self.standing().await;
            if is_so(&standing) {
                return standing;
            }
            assert!(begun.elapsed() < PATIENCE, "{what} is waited for: {standing:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_reported(&self, calls: u64) -> UsageStanding {
        self.until("a report", |standing| standing.reported == calls).await
    }
}

fn lost(standing: &UsageStanding) -> (u64, u64) {
    (standing.uncertain, standing.unreported)
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_reported_once_and_by_the_key_that_the_application_has_there() {
    let reporting = reporting().await;
    reporting.read(3);
    let standing = reporting.until_reported(3).await;
    assert_eq!((standing.waiting, lost(&standing), standing.problem), (0, (0, 0), None));
    reporting.read(2);
    reporting.until_reported(5).await;
    assert_eq!(reporting.peer.counted("hits"), 5);
    let bodies = reporting.peer.bodies();
    let pairs: BTreeMap<_, _> = url::form_urlencoded::parse(bodies[0].as_bytes()).collect();
    let ids = reporting.driven.test.ids;
    assert_eq!(pairs["service_token"], SERVICE_TOKEN);
    assert_eq!(pairs["service_id"], ids.service.to_string());
    assert_eq!(pairs["transactions[0][user_key]"], format!("key-{}", ids.application));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_refused_waits_and_counts_once() {
    let reporting = reporting().await;
    let refusals = [
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n",
    ];
    // The first would make a pause of five minutes, so it stands for itself.
    reporting.peer.then(&[Fate::Answered(refusals[1]), Fate::Answered(refusals[2])]);
    reporting.read(4);
    let standing = reporting.until("a refusal", |standing| standing.problem.is_some()).await;
    assert_eq!((standing.waiting, lost(&standing)), (4, (0, 0)));
    let standing = reporting.until_reported(4).await;
    assert_eq!((reporting.peer.counted("hits"), lost(&standing)), (4, (0, 0)));
    assert_eq!(reporting.peer.bodies().len(), 3);
    for refusal in [refusals[0], refusals[3]] {
        let reporting = reporting_now(refusal).await;
        let standing = reporting.until("a refusal", |standing| standing.problem.is_some()).await;
        assert_eq!((standing.waiting, lost(&standing)), (1, (0, 0)), "{standing:?}");
    }
}

/// An account with one read, whose report is answered so.
async fn reporting_now(answer: &'static str) -> Reporting {
    let reporting = reporting().await;
    reporting.peer.then(&[Fate::Answered(answer)]);
    reporting.read(1);
    reporting
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_may_count_is_not_sent_again_and_is_shown_as_missing() {
    let mut cases = JoinSet::new();
    for (fate, counted) in [
        (Fate::CountedAndCut, 2),
        (Fate::CountedAndHung, 2),
        (Fate::Answered("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"), 0),
        (Fate::Answered("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>Welcome"), 0),
        (Fate::AnsweredAtLength("HTTP/1.1 500 Internal Server Error\r\n"), 0),
    ] {
        cases.spawn(leaves_doubt(fate, counted));
    }
    cases.join_all().await;
}

/// What becomes of a report leaves doubt, and so much counts.
async fn leaves_doubt(fate: Fate, counted: u64) {
    let reporting = reporting().await;
    reporting.peer.then(&[fate]);
    reporting.read(2);
    let standing = reporting.until("doubt", |standing| standing.uncertain > 0).await;
    assert_eq!((standing.waiting, standing.reported), (0, 0), "{fate:?}");
    let [missing] = standing.missing.as_slice() else { panic!("{standing:?}") };
    assert_eq!((missing.name.as_str(), missing.uncertain), ("hits", 2));
    assert_eq!(reporting.peer.counted("hits"), counted, "{fate:?}");
    let events = reporting.driven.events("key_source_problem").await;
    assert!(events[0].contains("2 calls of report"), "{events:?}");
    let said = format!("{standing:?} {events:?}");
    assert!(!said.contains(SERVICE_TOKEN) && !said.contains("key-"), "{said}");
    // Whoever answers a page is no backend, and is not asked again soon.
    if !matches!(fate, Fate::Answered(answer) if answer.contains("html")) {
        reporting.read(1);
        let standing = reporting.until_reported(1).await;
        assert_eq!((standing.uncertain, reporting.peer.probed()), (2, 2), "{fate:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_yes_is_enough_however_long_it_goes_on() {
    let reporting = reporting().await;
    reporting.peer.then(&[Fate::CountedAtLength]);
    reporting.read(2);
    let standing = reporting.until_reported(2).await;
    assert_eq!(lost(&standing), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_backend_that_takes_no_reports() {
    let reporting = reporting().await;
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    reporting.peer.probes(&[page]);
    reporting.read(1);
    let standing = reporting.until("a look", |standing| standing.problem.is_some()).await;
    assert!(standing.problem.unwrap().contains("no backend of 3scale's"));
    assert_eq!((standing.waiting, lost_none(&reporting).await), (1, true));
    assert!(reporting.peer.bodies().is_empty());
}

async fn lost_none(reporting: &Reporting) -> bool {
    lost(&reporting.standing().await) == (0, 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reported_for_a_metric_that_is_not_there() {
    let map = UsageMap { reads: Some("hit".to_owned()), ..UsageMap::default() };
    let reporting = reporting_as(map).await;
    reporting.read(1);
    let standing = reporting.until("a look", |standing| standing.problem.is_some()).await;
    assert!(standing.problem.unwrap().contains("no metric or method hit,"));
    assert!(reporting.peer.bodies().is_empty());
    let findings = reporting.driven.account.check(reporting.driven.engine()).await.unwrap();
    let problem = findings.iter().find(|finding| finding.level == FindingLevel::Problem).unwrap();
    assert!(problem.help.as_ref().unwrap().contains("hits, writes"), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_a_report_is_on_its_way_leaves_doubt_and_no_second_report() {
    let mut reporting = reporting().await;
    reporting.peer.then(&[Fate::CountedAndHung]);
    reporting.read(2);
    let begun = Instant::now();
    while reporting.peer.bodies().is_empty() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reporting.driven.restart().await;
    assert_eq!(reporting.standing().await.waiting, 2, "nobody looks at it before the work goes on");
    reporting.work().await;
    let standing = reporting.until("doubt", |standing| standing.uncertain == 2).await;
    assert_eq!((standing.waiting, reporting.peer.counted("hits")), (0, 2));
    assert!(standing.problem.unwrap().contains("ended while it was sent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_outlives_a_crash_and_waits_as_one_sum_for_each_hour() {
    let mut reporting = reporting().await;
    reporting.peer.probes(&["HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"; 3]);
    for round in 1..=3 {
        reporting.read(5);
        reporting.until("the count", |standing| standing.waiting == 5 * round).await;
    }
    let store = reporting.driven.engine().store();
    let slots = store.list_documents("threescale/main/usage/slots".to_owned(), String::new(), 10);
    assert!(slots.await.unwrap().len() <= 2, "an hour may have ended");
    reporting.driven.restart().await;
    reporting.work().await;
    let standing = reporting.until_reported(15).await;
    assert_eq!((reporting.peer.counted("hits"), lost(&standing)), (15, (0, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_whether_reports_are_taken() {
    let reporting = reporting().await;
    let check = || reporting.driven.account.check(reporting.driven.engine());
    let messages = |findings: Vec<keystile_engine::findings::Finding>| {
        findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>().join("\n")
    };
    let said = messages(check().await.unwrap());
    assert!(said.contains("the backend takes reports of this service"), "{said}");
    assert!(said.contains("reads are reported as hits, writes not"), "{said}");
    reporting.peer.probes(&["HTTP/1.1 403 Forbidden\r\ncontent-length: 91\r\n\r\n\
        <error code=\"service_token_invalid\">service token \"5erv1ce-t0ken\" is invalid ......</error>"]);
    let said = messages(check().await.unwrap());
    assert!(said.contains("put the service token of this `service`"), "{said}");
    assert!(!said.contains(SERVICE_TOKEN) && !said.contains(TOKEN), "{said}");
}
