//! Tokens: how long they work.

use keystile_core::owners::scope::Scope;
use keystile_engine::owners::token::{CreateToken, ListTokens, RevokeToken};

use crate::test_engine::{TestEngine, shell, wait};

#[test]
fn a_token_works_until_it_ends_or_is_revoked() {
    let mut desk = TestEngine::new();
    let make = |desk: &TestEngine, name: &str, for_millis| {
        let new = CreateToken { name: name.to_owned(), scope: Scope::Write, for_millis };
        wait(desk.engine().execute(&shell(), new))
    };
    let list = |desk: &TestEngine| wait(desk.engine().execute(&shell(), ListTokens)).unwrap();
    let short = make(&desk, "short", Some(3_600_000)).unwrap();
    let long = make(&desk, "long", None).unwrap();
    let ask = |desk: &TestEngine, text: &str| wait(desk.engine().token(text)).unwrap();
    let found = ask(&desk, short.token.expose()).unwrap();
    assert_eq!((found.name.as_str(), found.scope), ("short", Scope::Write));
    assert!(list(&desk)[0].used.is_some());
    desk.later(3_600_000);
    assert_eq!(ask(&desk, short.token.expose()), None);
    assert!(ask(&desk, long.token.expose()).is_some());
    let revoke = RevokeToken { token: "long".to_owned() };
    wait(desk.engine().execute(&shell(), revoke)).unwrap();
    assert_eq!(ask(&desk, long.token.expose()), None);
    for text in ["", "kst_x", &long.token.expose().replace("kst_", "kss_")] {
        assert_eq!(ask(&desk, text), None);
    }
    for span in [0, -1, i64::MIN, i64::MAX] {
        assert!(make(&desk, "past", Some(span)).is_err(), "{span}");
    }
    let states: Vec<_> = list(&desk).into_iter().map(|token| token.state).collect();
    assert_eq!(states, ["expired", "revoked"]);
}
