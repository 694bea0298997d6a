use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::error::RequestError;
use super::super::metrics::{Metric, Metrics};
use super::super::query::Query;
use super::super::usage::{AMOUNT_MAX, Amount, Usage};
use super::metrics;

fn named(query: &str, metrics: &Metrics) -> Result<Usage, RequestError> {
    let query = Query::parse(query.as_bytes()).unwrap();
    let params = query.params().unwrap();
    Usage::named(params.get("usage").unwrap().hash().unwrap(), metrics)
}

fn total(query: &str) -> BTreeMap<String, Amount> {
    let metrics = metrics();
    let usage = named(query, &metrics).unwrap().with_ancestors(&metrics);
    usage.iter().map(|(index, amount)| (metrics.metric(index).name.to_string(), amount)).collect()
}

fn amounts(amounts: &[(&str, Amount)]) -> BTreeMap<String, Amount> {
    amounts.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
}

#[test]
fn what_is_used_of_a_metric_is_used_of_all_above_it() {
    use Amount::{Add, Set};
    assert_eq!(
        total("usage[deep]=2"),
        amounts(&[("deep", Add(2)), ("search", Add(2)), ("hits", Add(2))])
    );
    assert_eq!(
        total("usage[hits]=1&usage[deep]=2&usage[search]=4&usage[upload]=8"),
        amounts(&[("hits", Add(7)), ("search", Add(6)), ("deep", Add(2)), ("upload", Add(8))])
    );
    assert_eq!(
        total("usage[search]=%235&usage[deep]=3"),
        amounts(&[("search", Set(8)), ("hits", Set(8)), ("deep", Add(3))])
    );
    assert_eq!(
        total("usage[deep]=3&usage[search]=%235"),
        amounts(&[("deep", Add(3)), ("search", Set(8)), ("hits", Set(5))])
    );
}

#[test]
fn amounts_are_digits_with_blanks_around_and_perhaps_a_hash_sign() {
    let read = |value: &str| {
        let metrics = metrics();
        let usage = named(&format!("usage[+hits+]={value}"), &metrics)?;
        Ok::<_, RequestError>(usage.amount(metrics.by_name("hits").unwrap()).unwrap())
    };
    for (value, amount) in [
        ("1", Amount::Add(1)),
        ("0", Amount::Add(0)),
        ("007", Amount::Add(7)),
        ("+42%0A", Amount::Add(42)),
        ("%2342", Amount::Set(42)),
        ("+%230+", Amount::Set(0)),
        ("9223372036854775807", Amount::Add(AMOUNT_MAX)),
    ] {
        assert_eq!(read(value), Ok(amount), "{value}");
    }
    for (value, text) in [
        ("-1", r#"usage value "-1" for metric "hits" is invalid"#),
        ("%2B1", r#"usage value "+1" for metric "hits" is invalid"#),
        ("1.5", r#"usage value "1.5" for metric "hits" is invalid"#),
        ("%23%233", r###"usage value "##3" for metric "hits" is invalid"###),
        ("%23", r##"usage value "#" for metric "hits" is invalid"##),
        ("%23+1", r##"usage value "# 1" for metric "hits" is invalid"##),
        ("tons!", r#"usage value "tons!" for metric "hits" is invalid"#),
        (
            "9223372036854775808",
            r#"usage value "9223372036854775808" for metric "hits" is invalid"#,
        ),
        ("", r#"usage value for metric "hits" can not be empty"#),
        ("+", r#"usage value for metric "hits" can not be empty"#),
    ] {
        let error = read(value).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!((error.status(), error.code()), (403, "usage_value_invalid"));
    }
    for query in ["usage[hits]", "usage[hits][]=1", "usage[hits][a]=1"] {
        let error = named(query, &metrics()).unwrap_err();
        assert_eq!(error.to_string(), r#"usage value for metric "hits" can not be empty"#);
    }
}

#[test]
fn no_counter_runs_over() {
    assert_eq!(Amount::Add(AMOUNT_MAX).after(AMOUNT_MAX), AMOUNT_MAX);
    let most = "usage[hits]=9223372036854775807&usage[search]=9223372036854775807";
    assert_eq!(total(most)["hits"], Amount::Add(AMOUNT_MAX));
}

/// Metrics whose parents come before them, so that there is no circle.
fn hierarchies() -> impl Strategy<Value = Vec<Option<usize>>> {
    prop::collection::vec(any::<prop::sample::Index>(), 1..20).prop_map(|indexes| {
        let parent = |(place, index): (usize, &prop::sample::Index)| {
            Some(index.index(place + 1)).filter(|parent| *parent < place)
        };
        indexes.iter().enumerate().map(parent).collect()
    })
}

proptest! {
    #[test]
    fn a_metric_gets_the_sum_of_all_below_it(
        parents in hierarchies(), used in prop::collection::vec(0..1000_u64, 20),
    ) {
        let metric = |(place, parent): (usize, &Option<usize>)| Metric {
            id: place.to_string().into(),
            name: format!("m{place}").into(),
            parent_id: parent.map(|parent| parent.to_string().into()),
        };
        let metrics = Metrics::new(parents.iter().enumerate().map(metric).collect()).unwrap();
        let query = used.iter().take(parents.len()).enumerate();
        let query = query.map(|(place, used)| format!("usage[m{place}]={used}"));
        let query = query.collect::<Vec<_>>().join("&");
        let usage = named(&query, &metrics).unwrap().with_ancestors(&metrics);
        let is_below = |mut place: usize, top: usize| loop {
            if place == top {
                break true;
            }
            match parents[place] {
                Some(parent) => place = parent,
                None => break false,
            }
        };
        for top in 0..parents.len() {
            let below = (0..parents.len()).filter(|place| is_below(*place, top));
            let sum = below.map(|place| used[place]).sum();
            let index = metrics.by_id(&top.to_string()).unwrap();
            prop_assert_eq!(usage.amount(index), Some(Amount::Add(sum)));
        }
    }
}
