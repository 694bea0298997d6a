//! No grant without a permit or a reservation: a body that is not counted gives none.

use keystile_engine::admission::permit::BodyPermit;

fn main() {}

fn _uncounted(permit: BodyPermit) {
    let _grant = permit.grant();
}
