//! No permit but from `decide`: a door makes none of the parts that it has seen.

use keystile_core::decision::PermittedRead;
use keystile_engine::AdmittedRequest;
use keystile_engine::admission::permit::ReadPermit;

fn main() {}

fn _forged(request: AdmittedRequest, permit: PermittedRead) -> ReadPermit {
    ReadPermit { request, permit }
}
