//! Upstream connections over HTTP/2, which requests share: reads with reads, writes with writes.
//!
//! A request that is given up is reset, and servers end a connection on which many are: Node after a
//! thousand at once. All requests under way on it then fail. So reads, which their callers can give up as
//! they like, never share with writes, and a connection is left before resets come near such limits.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hyper::client::conn::http2::SendRequest;
use tokio::sync::Mutex;

use crate::body::request::RequestBody;

/// A connection with so many resets takes no new requests.
const RESETS_MAX: u32 = 100;
/// Nor does one with so many requests under way: all of them could be reset yet.
const STREAMS_MAX: u32 = 256;

/// What a request's neighbors on a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Reads,
    Writes,
}

/// The open connections of one kind to one origin.
#[derive(Default)]
pub(crate) struct Connections {
    open: RefCell<Vec<Rc<Connection>>>,
    /// Held while one is made, so that those who wait share it.
    pub(crate) making: Mutex<()>,
}

struct Connection {
    sender: SendRequest<RequestBody>,
    streams: Cell<u32>,
    resets: Cell<u32>,
}

/// One request's part of a connection.
pub(crate) struct Share {
    pub(crate) sender: SendRequest<RequestBody>,
    connection: Rc<Connection>,
    has_ended: bool,
}

impl Connections {
    /// A part of a connection that is open and can take more.
    pub(crate) fn checkout_idle(&self) -> Option<Share> {
        let mut open = self.open.borrow_mut();
        let mut is_first = true;
        open.retain(|connection| {
            connection.is_useful()
                && (std::mem::take(&mut is_first) || connection.streams.get() > 0)
        });
        let room = |connection: &&Rc<Connection>| connection.streams.get() < STREAMS_MAX;
        open.iter().find(room).map(Share::of)
    }

    /// A part of a new connection.
    pub(crate) fn add(&self, sender: SendRequest<RequestBody>) -> Share {
        let connection =
            Rc::new(Connection { sender, streams: Cell::new(0), resets: Cell::new(0) });
        let share = Share::of(&connection);
        self.open.borrow_mut().push(connection);
        share
    }
}

impl Connection {
    fn is_useful(&self) -> bool {
        !self.sender.is_closed() && self.resets.get() < RESETS_MAX
    }
}

impl Share {
    fn of(connection: &Rc<Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self { sender: connection.sender.clone(), connection: connection.clone(), has_ended: false }
    }

    /// The exchange came to its end, so that nothing is reset.
    pub(crate) fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Connection { streams, resets, .. } = &*self.connection;
        streams.set(streams.get() - 1);
        if !self.has_ended {
            resets.set(resets.get() + 1);
        }
    }
}
