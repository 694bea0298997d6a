use proptest::prelude::*;

use super::super::alerts::{Threshold, Thresholds, Utilization};
use super::super::call::Operation;
use super::super::options::Options;
use super::super::period::Period;
use super::super::query::Query;
use super::TestBackend;

fn thresholds(percents: &[u16]) -> Thresholds {
    percents
        .iter()
        .fold(Thresholds::default(), |all, percent| all.with(Threshold::at(*percent).unwrap()))
}

#[test]
fn the_highest_enabled_threshold_alerts_once() {
    let enabled = thresholds(&[300, 50, 90]);
    let alert = |current, alerted: Option<u16>| {
        let alerted = alerted.and_then(Threshold::at);
        enabled.alert(current, 10, alerted).map(Threshold::percent)
    };
    assert_eq!(alert(4, None), None);
    assert_eq!(alert(5, None), Some(50));
    assert_eq!(alert(5, Some(50)), None);
    assert_eq!(alert(8, Some(50)), None, "80 is not enabled");
    assert_eq!(alert(29, None), Some(90), "in one step");
    assert_eq!(alert(30, Some(90)), Some(300));
    assert_eq!(alert(5, Some(90)), None, "after a set");
}

#[test]
fn only_the_thresholds_of_3scale_can_be_enabled() {
    for percent in [0, 1, 49, 110, 400] {
        assert_eq!(Threshold::at(percent), None);
    }
    let enabled = thresholds(&[80, 100]).without(Threshold::at(80).unwrap());
    assert_eq!(enabled.iter().map(Threshold::percent).collect::<Vec<_>>(), [100]);
    assert_eq!(thresholds(&[]).alert(100, 1, None), None);
}

#[test]
fn a_disabled_metric_does_not_alert() {
    assert_eq!(thresholds(&[50]).alert(5, 0, None), None);
}

#[test]
fn utilization_is_that_of_the_most_used_limit() {
    let limits =
        [("hits", Period::Day, 100), ("hits", Period::Hour, 0), ("upload", Period::Day, 10)];
    let mut backend = TestBackend::with_limits(&limits);
    backend.set("hits", Period::Day, 70);
    backend.set("hits", Period::Hour, 70);
    backend.set("upload", Period::Day, 8);
    let utilization = |backend: &TestBackend| {
        let query = Query::parse(b"provider_key=pk&app_id=app").unwrap();
        let options = Options::default();
        let decision = backend.decide(Operation::Authorize, &query, options).unwrap();
        let most = Utilization::of(&decision.reports);
        most.map(|most| (most.to_string(), most.percent()))
    };
    assert_eq!(utilization(&backend), Some(("upload per day: 8/10".to_owned(), 80)));
    backend.set("hits", Period::Day, 301);
    assert_eq!(utilization(&backend), Some(("hits per day: 301/100".to_owned(), 300)));
    let disabled = TestBackend::with_limits(&[("hits", Period::Day, 0)]);
    assert_eq!(utilization(&disabled), Some(("hits per day: 0/0".to_owned(), 0)));
    assert_eq!(utilization(&TestBackend::new()), None);
}

proptest! {
    #[test]
    fn rising_use_alerts_at_each_threshold_at_most_once_and_never_lower(
        steps in prop::collection::vec(0..20_u64, 0..60), max in 1..100_u64, mask in 0..256_u16,
    ) {
        let enabled = Threshold::ALL.into_iter().enumerate();
        let enabled = enabled.filter(|(place, _)| mask & (1 << place) != 0);
        let enabled = enabled.fold(Thresholds::default(), |all, (_, one)| all.with(one));
        let (mut current, mut alerted) = (0, None);
        for step in steps {
            current += step;
            if let Some(threshold) = enabled.alert(current, max, alerted) {
                prop_assert!(Some(threshold) > alerted && threshold.is_reached(current, max));
                alerted = Some(threshold);
            }
            let highest = enabled.iter().rev().find(|one| one.is_reached(current, max));
            prop_assert_eq!(alerted, highest);
        }
    }
}
