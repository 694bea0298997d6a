//! What to do about a failure, for every surface in its own words.
//!
//! A failure carries the words alone, which hold wherever they are read: on a page, in an answer of the API,
//! in a message. The command line adds the command that does it.

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What to do, in words that name no command.
    pub words: &'static str,
    /// How it is done at a command line.
    pub command: &'static str,
}

macro_rules! advice {
    ($($(#[$about:meta])* $name:ident = $words:literal, $command:literal;)*) => {
        $($(#[$about])* pub(crate) const $name: &str = $words;)*

        /// All of it.
        pub const ALL: &[Advice] = &[$(Advice { words: $words, command: $command },)*];
    };
}

advice! {
    /// Where a new application came without a plan.
    SAY_PLAN = "say which plan it gets", "--plan PLAN";
    /// Where a name or id is not known.
    LIST_KEYS = "list the keys to see what there is", "keystile key list";
    LIST_APPLICATIONS = "list the applications to see what there is", "keystile application list";
    LIST_TOKENS = "list the tokens to see what there is", "keystile token list";
    LIST_OWNERS = "list the owners to see who there is", "keystile owner list";
    LIST_CHANNELS = "list the channels to see what there is", "keystile notify channels";
    /// Where something needs the server.
    START_SERVER = "start one", "keystile run";
    /// Where a token of the name works.
    OTHER_TOKEN = "take another name, or revoke that one", "keystile token revoke NAME";
    /// Where the last owner would go.
    OTHER_OWNER = "make a link for another one first", "keystile owner link";
    /// Where a claim link works no longer.
    NEW_LINK = "have a new one made", "keystile owner link";
}

/// The command that does what some words advise.
pub fn command_for(words: &str) -> Option<&'static str> {
    ALL.iter().find(|advice| advice.words == words).map(|advice| advice.command)
}
