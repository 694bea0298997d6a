//! Every mistake is reported in one run, not only the first.

use super::read;
use crate::config::Colors;

#[test]
fn all_mistakes_of_a_file_are_reported_at_once() {
    let report = read(include_str!("everything.toml")).unwrap_err();
    assert_eq!(report.problems().len(), 13);
    insta::assert_snapshot!(report.render(100, Colors::Off));
}
