//! Bodies that are taken in to be counted, as they come in bad faith or break off.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use keystile_core::policy::api::Mode;
use keystile_core::refusal::Reason;
use keystile_core::request::head::{Fields, HttpVersion, RequestHead, Target};
use keystile_engine::Admission;
use keystile_engine::admission::body::{BodyFault, BodyRoom, NoRoom};
use keystile_engine::admission::caller::{Caller, DoorRules, Transport};
use keystile_engine::admission::permit::{BodyPermit, CountedPermit};

use crate::admission::{HOST, policy};
use crate::test_engine::{TestEngine, address, settings, wait};

/// What comes of a body, one after the other.
enum Piece {
    Data(Vec<u8>),
    Trailers,
    Broken,
}

struct Pieces(VecDeque<Piece>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        context.waker().wake_by_ref();
        Poll::Ready(self.0.pop_front().map(|piece| match piece {
            Piece::Data(bytes) => Ok(Frame::data(bytes.into())),
            Piece::Trailers => Ok(Frame::trailers(HeaderMap::new())),
            Piece::Broken => Err("it broke off"),
        }))
    }
}

/// Room for so many bytes.
struct Room(Cell<usize>);

impl BodyRoom for Room {
    fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        self.0.set(self.0.get().checked_sub(bytes).ok_or(NoRoom)?);
        Ok(())
    }
}

fn guarded() -> TestEngine {
    let fixture = TestEngine::new();
    fixture.engine().replace_policy(policy(Mode::Enforce, "2 per day"), settings());
    fixture
}

fn permit(fixture: &TestEngine, media_type: &[u8]) -> BodyPermit {
    let head = RequestHead {
        method: "POST",
        target: Target { scheme: None, authority: None, path_and_query: "/items" },
        version: HttpVersion::Http11,
        fields: Fields(&[HOST, ("Transfer-Encoding", b"chunked"), ("content-TYPE", media_type)]),
    };
    let rules = DoorRules::default();
    let caller = Caller { peer: address(), transport: Transport::Plain, rules: &rules };
    match fixture.engine().admit(&head, &caller) {
        Admission::Counted(permit) => permit,
        other => panic!("its body tells: {other:?}"),
    }
}

const JSON: &[u8] = b"application/json";

fn read(
    fixture: &TestEngine,
    pieces: impl IntoIterator<Item = Piece>,
    room: usize,
) -> Result<Vec<u8>, BodyFault<&'static str>> {
    let permit = permit(fixture, JSON);
    let pieces = Pieces(pieces.into_iter().collect());
    wait(permit.read(pieces, &Room(Cell::new(room))))
}

#[test]
fn a_body_is_taken_whole_or_not_at_all() {
    let fixture = guarded();
    let max = permit(&fixture, JSON).body_bytes_max();
    let data = |length: usize| Piece::Data(vec![b'a'; length]);
    let whole = read(&fixture, [data(0), data(max - 1), data(0), data(1), Piece::Trailers], max);
    assert_eq!(whole.unwrap().len(), max);
    let over = read(&fixture, [data(max), data(1)], usize::MAX);
    assert!(matches!(over, Err(BodyFault::TooLarge)));
    let small = read(&fixture, std::iter::repeat_with(|| data(1)).take(max + 1), usize::MAX);
    assert!(matches!(small, Err(BodyFault::TooLarge)));
    let crowded = read(&fixture, [data(4_097)], 8_191);
    assert!(matches!(crowded, Err(BodyFault::NoRoom)));
    let broken = read(&fixture, [data(1), Piece::Broken, data(1)], max);
    assert!(matches!(broken, Err(BodyFault::Broken("it broke off"))));
    assert!(read(&fixture, [], 0).unwrap().is_empty());
}

#[test]
fn a_body_counts_by_the_head_that_it_came_with_and_is_refused_where_that_has_no_reading() {
    let fixture = guarded();
    let count =
        |media_type, body: &[u8]| permit(&fixture, media_type).count(fixture.engine(), body);
    assert!(matches!(count(JSON, b"[1, 2]"), Ok(CountedPermit::Write(_))));
    assert!(matches!(count(JSON, b"[]"), Ok(CountedPermit::Write(_))));
    for (media_type, body) in [
        (JSON, &b"[1, 2"[..]),
        (JSON, b""),
        (JSON, b"\xff"),
        (b"application/json; charset=utf-7", b"[1]"),
        (b"\xff", b"[1]"),
        (b"", b"[1]"),
    ] {
        let refused = count(media_type, body).unwrap_err();
        assert_eq!(refused.problem.reason, Reason::BodyUncountable, "{media_type:?} {body:?}");
    }
}

#[test]
fn a_body_with_more_in_it_than_its_budget_has_room_for_is_refused_as_one() {
    let fixture = guarded();
    let reserve = |body: &[u8]| {
        let counted = permit(&fixture, JSON).count(fixture.engine(), body).unwrap();
        let CountedPermit::Write(permit) = counted else { panic!("items are written") };
        wait(fixture.engine().reserve_by_id(permit))
    };
    let refused = reserve(b"[1, 2, 3]").unwrap_err();
    assert_eq!(refused.problem.reason, Reason::BudgetExhausted);
    reserve(b"[1, 2]").unwrap();
    assert_eq!(reserve(b"[1]").unwrap_err().problem.reason, Reason::BudgetExhausted);
}
