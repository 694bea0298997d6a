//! What every kind of channel makes its form of: a message whose texts are safe to show.
//!
//! # What this protects
//! Paths, names and reasons are chosen by strangers. No renderer reads a [`Message`]: each is given a
//! [`Shown`], in which every text is cut, has nothing hidden in it (line breaks and direction marks are
//! written out by `core::text`), and no address that a program would make a link of. What a format
//! would obey on top of that (HTML, mrkdwn, Markdown, mentions) its renderer escapes.

pub(crate) mod text;

use keystile_core::journal::Outcome;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::text::{printable, shortened};
use url::Url;

use crate::message::Message;

const STATE_CHARS_MAX: usize = 24;
const WHO_CHARS_MAX: usize = 48;
const WHAT_CHARS_MAX: usize = 120;
const SENTENCE_CHARS_MAX: usize = 400;
const FACTS_MAX: usize = 12;
const NAME_CHARS_MAX: usize = 32;
const VALUE_CHARS_MAX: usize = 200;
const WRITES_MAX: usize = 10;
const PATH_CHARS_MAX: usize = 120;
const LINKS_MAX: usize = 4;
/// Also keeps `List-Unsubscribe` within the 998 bytes of a header line (RFC 5322, section 2.1.1).
const URL_BYTES_MAX: usize = 900;

/// A message with every text safe to show and of bounded length.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) trigger: Trigger,
    /// State first: `LOCKED | scraper-17 | 21st of 20 writes in a day (DELETE /bookmarks/41)`.
    pub(crate) title: String,
    pub(crate) sentence: String,
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) writes: Vec<ShownWrite>,
    pub(crate) links: Vec<ShownLink>,
    pub(crate) unsubscribe: Option<String>,
}

/// One write, made safe to show.
#[derive(Debug)]
pub(crate) struct ShownWrite {
    pub(crate) time: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) outcome: &'static str,
    pub(crate) who: Option<String>,
}

impl ShownWrite {
    /// The write in one line.
    pub(crate) fn line(&self) -> String {
        let Self { time, method, path, outcome, who } = self;
        let who = who.as_deref().map(|who| format!(" {who}:")).unwrap_or_default();
        format!("{time}{who} {method} {path} ({outcome})")
    }
}

/// A link whose address is HTTP and holds no character that any markup would obey.
#[derive(Debug)]
pub(crate) struct ShownLink {
    pub(crate) label: String,
    pub(crate) url: String,
    pub(crate) is_act: bool,
}

impl Shown {
    pub(crate) fn of(message: &Message) -> Self {
        let facts = message.facts.iter().take(FACTS_MAX);
        let writes = message.writes.iter().take(WRITES_MAX);
        let links = message.links.iter().filter_map(|link| {
            Some(ShownLink {
                label: shown(&link.label, NAME_CHARS_MAX),
                url: address(&link.url)?,
                is_act: link.is_act,
            })
        });
        Self {
            trigger: message.trigger,
            title: title(message),
            sentence: shown(&message.sentence, SENTENCE_CHARS_MAX),
            facts: facts
                .map(|(name, value)| (shown(name, NAME_CHARS_MAX), shown(value, VALUE_CHARS_MAX)))
                .collect(),
            writes: writes
                .map(|write| ShownWrite {
                    time: write.time.readable(),
                    method: shown(&write.method, NAME_CHARS_MAX),
                    path: shown(&write.path, PATH_CHARS_MAX),
                    outcome: outcome_words(write.outcome),
                    who: write.who.as_deref().map(|who| shown(who, WHO_CHARS_MAX)),
                })
                .collect(),
            links: links.take(LINKS_MAX).collect(),
            unsubscribe: message.unsubscribe.as_deref().and_then(address),
        }
    }

    /// What the list of writes is called.
    pub(crate) fn writes_heading(&self) -> &'static str {
        match (self.trigger, self.writes.len()) {
            // What was there before the lock, not what the message is about.
            (Trigger::KeyLocked, 1) => "Last write",
            (_, 1) => "The write",
            (_, _) => "Last writes",
        }
    }

    /// Where a click on the message itself leads: the first link that only shows.
    pub(crate) fn view(&self) -> Option<&ShownLink> {
        self.links.iter().find(|link| !link.is_act).or_else(|| self.links.first())
    }
}

fn title(message: &Message) -> String {
    // The bar parts the title, so a name with a bar in it could pass for two parts.
    let part = |text: &str, chars_max| shown(text, chars_max).replace('|', "¦");
    let mut title = part(&message.state, STATE_CHARS_MAX);
    if let Some(who) = &message.who {
        title.push_str(" | ");
        title.push_str(&part(who, WHO_CHARS_MAX));
    }
    title.push_str(" | ");
    title.push_str(&part(&message.what, WHAT_CHARS_MAX));
    title
}

/// A text from anywhere: cut, with nothing hidden, and with nothing that would become a link.
pub(crate) fn shown(text: &str, chars_max: usize) -> String {
    // Cut before and after, since what is written out grows.
    let text = shortened(text, chars_max);
    // Programs make a link of whatever looks like one, and a name chosen by a stranger must not become
    // a link in a message that tells its reader to act.
    let text = printable(&text).replace("://", "[:]//");
    shortened(&text, chars_max).into_owned()
}

/// The address of a link, or nothing where it is not HTTP or too long for every channel.
fn address(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    // What `url` leaves as it is and mrkdwn, Markdown or HTML would obey.
    let mut text = String::with_capacity(url.as_str().len());
    for c in url.as_str().chars() {
        match c {
            '|' | '(' | ')' | '\'' | '"' | '<' | '>' | '`' | '\\' | '*' => {
                text.push_str(&format!("%{:02X}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    (text.len() <= URL_BYTES_MAX && text.is_ascii()).then_some(text)
}

fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pending => "under way",
        Outcome::Applied => "applied",
        Outcome::RefusedByUpstream => "refused by the upstream",
        Outcome::NotSent => "not sent",
        Outcome::Unknown => "outcome unknown",
        Outcome::Refused => "refused",
        Outcome::HandedOver => "handed over",
    }
}

/// The text with each character written as its format wants it, as much as fits, with a sign where
/// something is missing. `size` counts as the channel counts.
pub(crate) fn fitted(
    text: &str,
    max: usize,
    size: fn(&str) -> usize,
    written: impl Fn(char) -> String,
) -> String {
    const MORE: &str = "…";
    let mut out = String::new();
    let mut used = 0;
    // Where the text is cut if the rest does not fit.
    let mut cut = 0;
    for c in text.chars() {
        let piece = written(c);
        used += size(&piece);
        if used > max {
            out.truncate(cut);
            if size(MORE) <= max {
                out.push_str(MORE);
            }
            return out;
        }
        out.push_str(&piece);
        if used + size(MORE) <= max {
            cut = out.len();
        }
    }
    out
}

/// Units of UTF-16: how most chats count, and never less than characters.
pub(crate) fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
pub(crate) use tests::{example, hostile};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Link, MessageScope, Urgency, WriteLine};
    use keystile_core::text::is_hidden;
    use keystile_core::time::Timestamp;
    use proptest::prelude::*;

    pub(crate) fn example() -> Message {
        let time = Timestamp(1_795_500_000_000);
        let link = |label: &str, url: &str, is_act| Link {
            label: label.to_owned(),
            url: url.to_owned(),
            is_act,
        };
        Message {
            id: "msg_0190f5c0".to_owned(),
            thread: "key_7Qm2".to_owned(),
            trigger: Trigger::KeyLocked,
            scope: MessageScope::Event,
            state: "LOCKED".to_owned(),
            who: Some("scraper-17".to_owned()),
            what: "21st of 20 writes in a day (DELETE /bookmarks/41)".to_owned(),
            sentence:
                "The key of scraper-17 is locked for writes: it tried its 21st write of 20 in a day."
                    .to_owned(),
            facts: [
                ("Key", "key_7Qm2 (prefix kst_9fA)"),
                ("Application", "scraper-17"),
                ("Plan", "open"),
                ("Operation", "DELETE /bookmarks/{id}"),
                ("Budget", "20 of 20 in 1 day"),
                ("Address", "203.0.113.7"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            writes: vec![WriteLine {
                time,
                method: "DELETE".to_owned(),
                path: "/bookmarks/40".to_owned(),
                outcome: Outcome::Applied,
                who: Some("scraper-17".to_owned()),
            }],
            links: vec![
                link("View", "https://gate.example.org/keys/key_7Qm2?a=b&c=d", false),
                link("Unlock", "https://gate.example.org/act/eyJ0b2tlbiI", true),
            ],
            time,
            urgency: Urgency::High,
            unsubscribe: None,
        }
    }

    fn text() -> impl Strategy<Value = String> {
        let nasty = prop::sample::select(vec![
            "\r\nBcc: x@example.org\r\n\r\n",
            "@everyone",
            "<!channel>",
            "<@U123>",
            "](https://x.example)",
            "\u{202e}gpj",
            "<svg onload=alert(1)>",
            "https://x.example/",
            "&amp;",
            "*_~`|",
            "\u{1b}[2J",
            "𝕏𝕏𝕏𝕏",
            "日本語",
            "\"\\\"",
            "👩‍👩‍👧‍👧",
            "</b>",
            "\0",
            "&&&&&&&&&&&&",
            "\\\\\\\\",
        ]);
        prop_oneof![
            3 => prop::collection::vec(nasty, 0..60).prop_map(|parts| parts.concat()),
            1 => prop::collection::vec(any::<char>(), 0..600).prop_map(String::from_iter),
            1 => (0usize..4000).prop_map(|length| "\"".repeat(length)),
            1 => (0usize..4000).prop_map(|length| "𝕏".repeat(length)),
        ]
    }

    fn write() -> impl Strategy<Value = WriteLine> {
        (text(), text(), prop::sample::select(Outcome::ALL.to_vec()), prop::option::of(text()))
            .prop_map(|(method, path, outcome, who)| WriteLine {
                time: Timestamp(1_795_500_000_000),
                method,
                path,
                outcome,
                who,
            })
    }

    fn link() -> impl Strategy<Value = Link> {
        let url = prop_oneof![
            Just("https://gate.example.org/keys".to_owned()),
            Just("javascript:alert(1)".to_owned()),
            text().prop_map(|text| format!("https://gate.example.org/{text}")),
            (0usize..3000)
                .prop_map(|length| format!("https://gate.example.org/{}", "a".repeat(length))),
        ];
        (text(), url, any::<bool>()).prop_map(|(label, url, is_act)| Link { label, url, is_act })
    }

    /// Messages whose every text is chosen by somebody who means harm.
    pub(crate) fn hostile() -> impl Strategy<Value = Message> {
        (
            (text(), prop::option::of(text()), text(), text()),
            prop::collection::vec((text(), text()), 0..30),
            prop::collection::vec(write(), 0..20),
            prop::collection::vec(link(), 0..8),
            prop::option::of(link()),
            prop::sample::select(Trigger::ALL.to_vec()),
        )
            .prop_map(
                |((state, who, what, sentence), facts, writes, links, end, trigger)| Message {
                    trigger,
                    state,
                    who,
                    what,
                    sentence,
                    facts,
                    writes,
                    links,
                    unsubscribe: end.map(|link| link.url),
                    ..example()
                },
            )
    }

    #[test]
    fn the_state_stands_first() {
        assert_eq!(
            Shown::of(&example()).title,
            "LOCKED | scraper-17 | 21st of 20 writes in a day (DELETE /bookmarks/41)"
        );
        let message = Message { who: None, state: "STORAGE FAILURE".to_owned(), ..example() };
        assert!(Shown::of(&message).title.starts_with("STORAGE FAILURE | 21st"));
    }

    #[test]
    fn a_name_cannot_pass_for_another_part_or_a_link() {
        let who = "x | UNLOCKED\r\nBcc: a\u{202e}b https://x.example/".to_owned();
        let shown = Shown::of(&Message { who: Some(who), ..example() });
        assert_eq!(
            shown.title,
            "LOCKED | x ¦ UNLOCKED\\u{d}\\u{a}Bcc: a\\u{202e}b https[:]//… | \
             21st of 20 writes in a day (DELETE /bookmarks/41)"
        );
    }

    #[test]
    fn only_addresses_of_the_web_become_links() {
        for url in ["javascript:alert(1)", "data:text/html,x", "/keys", "", "mailto:a@b"] {
            assert_eq!(address(url), None, "{url}");
        }
        assert_eq!(
            address("https://h/a|b)<'\">").as_deref(),
            Some("https://h/a%7Cb%29%3C%27%22%3E")
        );
        assert_eq!(address("http://[::1]:8400/a").as_deref(), Some("http://[::1]:8400/a"));
    }

    #[test]
    fn a_text_is_fitted_between_whole_pieces() {
        let doubled = |c: char| format!("\\{c}");
        assert_eq!(fitted("abc", 6, str::len, doubled), "\\a\\b\\c");
        assert_eq!(fitted("abc", 5, str::len, doubled), "\\a…");
        assert_eq!(fitted("abc", 2, str::len, doubled), "");
        assert_eq!(fitted("𝕏𝕏", 3, utf16, String::from), "𝕏…");
        assert_eq!(fitted("", 0, utf16, String::from), "");
    }

    proptest! {
        #[test]
        fn whatever_is_said_nothing_hidden_reaches_a_channel(message in hostile()) {
            let shown = Shown::of(&message);
            let mut texts = vec![shown.title.clone(), shown.sentence.clone()];
            texts.extend(shown.facts.iter().flat_map(|(name, value)| [name.clone(), value.clone()]));
            texts.extend(shown.writes.iter().map(ShownWrite::line));
            texts.extend(shown.links.iter().map(|link| link.label.clone()));
            for text in texts {
                // Joiners stay where a script or an emoji needs them.
                let is_joiner = |c: char| matches!(c, '\u{200c}' | '\u{200d}');
                let is_wrong = |c: char| is_hidden(c) && !is_joiner(c);
                prop_assert!(!text.chars().any(is_wrong), "{:?}", text);
                prop_assert!(!text.contains("://"), "{:?}", text);
                prop_assert!(text.chars().count() <= SENTENCE_CHARS_MAX + 1, "{:?}", text);
            }
            prop_assert!(shown.title.chars().count() <= 205);
            for link in &shown.links {
                prop_assert!(link.url.starts_with("http") && link.url.is_ascii());
                prop_assert!(!link.url.contains(['<', '>', '"', '|', ')', ' ', '\n']));
            }
        }
    }
}
