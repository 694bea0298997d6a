//! Tokens: how long they work.

use keystile_core::owners::scope::Scope;

use crate::desk::{Desk, cli, wait};

#[test]
fn a_token_works_until_it_ends_or_is_revoked() {
    let mut desk = Desk::new();
    let ends = keystile_core::time::Timestamp(desk.engine().store().now().0 + 3_600_000);
    let make = |desk: &Desk, name: &str, ends| {
        wait(desk.engine().create_token(name, Scope::Write, ends, cli())).unwrap()
    };
    let (short, long) = (make(&desk, "short", Some(ends)), make(&desk, "long", None));
    let ask = |desk: &Desk, text: &str| wait(desk.engine().token(text)).unwrap();
    let found = ask(&desk, short.token.expose()).unwrap();
    assert_eq!((found.name.as_str(), found.scope), ("short", Scope::Write));
    assert!(desk.engine().tokens().unwrap()[0].used.is_some());
    desk.later(3_600_000);
    assert_eq!(ask(&desk, short.token.expose()), None);
    assert!(ask(&desk, long.token.expose()).is_some());
    wait(desk.engine().revoke_token("long", cli())).unwrap();
    assert_eq!(ask(&desk, long.token.expose()), None);
    for text in ["", "kst_x", &long.token.expose().replace("kst_", "kss_")] {
        assert_eq!(ask(&desk, text), None);
    }
    let past = Some(keystile_core::time::Timestamp(5));
    assert!(wait(desk.engine().create_token("past", Scope::Read, past, cli())).is_err());
    let states: Vec<_> = desk.engine().tokens().unwrap().into_iter().map(|t| t.state).collect();
    assert_eq!(states, ["expired", "revoked"]);
}
