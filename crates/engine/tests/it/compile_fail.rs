//! What must not compile: the three sentences that `admission::permit` promises.

use std::process::Command;

/// Whose messages stand beside the cases; another compiler words them differently.
const COMPILER: &str = "rustc 1.95.";

/// `TRYBUILD=overwrite` writes the expected errors again; the first line of each is what matters.
#[test]
fn a_door_that_forgets_a_check_does_not_compile() {
    let version = Command::new("rustc").arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    if !version.starts_with(COMPILER) {
        println!("not held: the messages are those of {COMPILER}x, and this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
