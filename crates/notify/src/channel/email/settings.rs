//! What one address of a mail channel needs.

use lettre::message::Mailbox;

use crate::channel::value::ChannelFault;
use crate::send::smtp::SmtpServer;

/// One address of a mail channel. A channel with several has one delivery for each, so that an address
/// that is refused keeps nothing from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Email {
    /// Who is notified.
    pub(super) to: Mailbox,
    /// Who sends.
    pub(super) from: Mailbox,
    /// The server that takes the mail.
    pub(super) smtp: SmtpServer,
}

/// Parses a mail address, as in `me@example.org` or `Me <me@example.org>`.
pub(super) fn mailbox(text: &str) -> Result<Mailbox, ChannelFault> {
    text.trim().parse().map_err(|_| ChannelFault::Mailbox(text.to_owned()))
}
