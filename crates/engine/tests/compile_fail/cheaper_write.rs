//! No permit but from `decide`: nobody changes what one costs.

use keystile_core::decision::PermittedWrite;

fn main() {}

fn _cheaper(mut permit: PermittedWrite) -> PermittedWrite {
    permit.cost = 1;
    permit
}
