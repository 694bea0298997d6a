//! Tokens: how long they work.

use keystile_core::owners::scope::Scope;
use keystile_engine::owners::token::{CreateToken, ListTokens, RevokeToken};

use crate::test_engine::{TestEngine, shell, wait};

#[test]
fn a_token_works_until_it_ends_or_is_revoked() {
    let mut fixture = TestEngine::new();
    let make = |fixture: &TestEngine, name: &str, for_millis| {
        let new = CreateToken { name: name.to_owned(), scope: Scope::Write, for_millis };
        wait(fixture.engine().execute(&shell(), new))
    };
    let list = |fixture: &TestEngine| wait(fixture.engine().execute(&shell(), ListTokens)).unwrap();
    let short = make(&fixture, "short", Some(3_600_000)).unwrap();
    let long = make(&fixture, "long", None).unwrap();
    let ask = |fixture: &TestEngine, text: &str| wait(fixture.engine().token(text)).unwrap();
    let found = ask(&fixture, short.token.expose()).unwrap();
    assert_eq!((found.name.as_str(), found.scope), ("short", Scope::Write));
    assert!(list(&fixture)[0].used.is_some());
    fixture.later(3_600_000);
    assert_eq!(ask(&fixture, short.token.expose()), None);
    assert!(ask(&fixture, long.token.expose()).is_some());
    let revoke = RevokeToken { token: "long".to_owned() };
    wait(fixture.engine().execute(&shell(), revoke)).unwrap();
    assert_eq!(ask(&fixture, long.token.expose()), None);
    for text in ["", "kst_x", &long.token.expose().replace("kst_", "kss_")] {
        assert_eq!(ask(&fixture, text), None);
    }
    for span in [0, -1, i64::MIN, i64::MAX] {
        assert!(make(&fixture, "past", Some(span)).is_err(), "{span}");
    }
    let states: Vec<_> = list(&fixture).into_iter().map(|token| token.state).collect();
    assert_eq!(states, ["expired", "revoked"]);
}
