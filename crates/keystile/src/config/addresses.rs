//! Addresses that the command line gives in the place of the file's, held to the same rules.

use std::net::SocketAddr;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Place, Source};
use super::raw::File;
use super::value::{OneOrMany, Spanned};

/// What the command line says in the place of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Where the gate listens; as the file says where there is none.
    pub listen: Vec<SocketAddr>,
    /// Where the console listens.
    pub console: Option<SocketAddr>,
}

/// The text of these addresses. Its places begin where those of the file have ended, so that a value knows
/// by its place in which of the two it was written.
#[derive(Debug)]
pub(super) struct CommandLine {
    source: Arc<Source>,
    offset: usize,
}

impl CommandLine {
    /// Puts addresses into what was read of a file.
    pub(super) fn write_into(addresses: &Addresses, file: &mut File, source: &Source) -> Self {
        let offset = source.text().len() + 1;
        let mut text = String::new();
        let mut spot = |option: &str, address: SocketAddr| {
            text.push_str(&format!("{option} "));
            let (start, value) = (offset + text.len(), address.to_string());
            text.push_str(&format!("{value} "));
            Spanned { place: start..start + value.len(), value }
        };
        let listen: Vec<_> =
            addresses.listen.iter().map(|address| spot("--listen", *address)).collect();
        if let (Some(first), Some(last)) = (listen.first(), listen.last()) {
            let place = first.place.start..last.place.end;
            file.gate.listen = Some(OneOrMany { values: listen, place });
        }
        if let Some(console) = addresses.console {
            file.console.listen = Some(spot("--console", console));
        }
        Self { source: Source::new("the command line", text.trim_end()), offset }
    }

    /// A finding about a place, if the place is in these addresses.
    pub(super) fn finding(&self, place: &Place, message: &str) -> Option<Diagnostic> {
        let place = place.start.checked_sub(self.offset)?..place.end.checked_sub(self.offset)?;
        Some(Diagnostic::new(&self.source, Some(place), message.to_owned()))
    }
}
