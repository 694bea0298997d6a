//! What must not compile: the three sentences that `admission::permit` promises.

/// The expected errors are those of the compiler that the workspace names. `TRYBUILD=overwrite` writes
/// them again after a change of it; the first line of each is what matters.
#[test]
fn a_door_that_forgets_a_check_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
