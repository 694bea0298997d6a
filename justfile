# A menu: `just` lists it. What needs more than five lines is a script or a test.

_list:
    @just --list --unsorted

# Start the demo.
demo:
    cargo run --release -- demo

# Everything that continuous integration runs.
check:
    bash .ci/run

# Install what the tests need, and pass them.
test:
    bash .ci/test

# Formatting and lints.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Rewrite the references and snapshots that follow from the code.
bless:
    KEYSTILE_BLESS=1 cargo test -p keystile --test tidy
    INSTA_UPDATE=always TRYBUILD=overwrite cargo test --workspace

# Licenses, sources, bans and advisories of the dependencies (needs cargo-deny).
deny:
    cargo deny --workspace check

# Each fuzz target for some seconds (needs a nightly toolchain and cargo-fuzz).
fuzz-smoke seconds="20":
    fuzz/smoke {{seconds}}

# Keystile next to other proxies.
bench:
    bench/run

# The documentation of the code.
docs:
    cargo doc --workspace --no-deps --document-private-items --open
