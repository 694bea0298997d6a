//! No grant without a permit or a reservation: a write that is not reserved gives none.

use keystile_engine::admission::permit::WritePermit;

fn main() {}

fn _unreserved(permit: WritePermit) {
    let _grant = permit.grant();
}
