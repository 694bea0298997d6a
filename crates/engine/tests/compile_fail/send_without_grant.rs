//! No send without a grant: what sends takes a `SendGrant`, and nobody makes one.

use keystile_engine::{OpenCall, SendGrant};

fn main() {
    let _grant = SendGrant { call: OpenCall::Writes, departure: None };
}
