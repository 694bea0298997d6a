//! A permit sends one request, once.

use keystile_engine::admission::permit::ReadPermit;

fn main() {}

fn _twice(permit: ReadPermit) {
    let _first = permit.grant();
    let _second = permit.grant();
}
