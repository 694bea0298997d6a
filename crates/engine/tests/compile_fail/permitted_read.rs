//! No permit but from `decide`.

use keystile_core::decision::PermittedRead;

fn main() {
    let _permit = PermittedRead { plan: None, objection: None };
}
