//! No grant without a permit or a reservation: only the store's answer makes one.

use keystile_engine::admission::settle::OpenWrite;
use keystile_engine::{AdmittedRequest, Reservation};

fn main() {}

fn _forged(request: AdmittedRequest, write: OpenWrite) -> Reservation {
    Reservation { request, write }
}
