//! The HTML part of a mail: the same as the text part, with nothing fetched from anywhere.

use askama::Template;

use super::text;
use crate::render::Shown;

#[derive(Template)]
#[template(path = "mail.html")]
struct Mail<'a> {
    shown: &'a Shown,
    footer: String,
}

/// The mail as HTML. `host` is the console that sends it.
pub(crate) fn mail(shown: &Shown, host: &str) -> String {
    let mail = Mail { shown, footer: text::footer(host) };
    mail.render().expect("a template that compiled renders into a string")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::render::{example, hostile};
    use proptest::prelude::*;

    #[test]
    fn the_html_part_reads_well() {
        insta::assert_snapshot!(mail(&Shown::of(&example()), "gate.example.org"));
    }

    /// What a reader of the HTML part sees, with addresses of links beside their labels.
    fn seen(html: &str) -> String {
        let body = html.split_once("<body").unwrap().1.split_once('>').unwrap().1;
        let mut text = String::new();
        let mut rest = body;
        while let Some((before, after)) = rest.split_once('<') {
            text.push_str(before);
            text.push(' ');
            let (tag, after) = after.split_once('>').unwrap();
            if let Some((_, href)) = tag.split_once("href=\"") {
                text.push_str(href.split_once('"').unwrap().0);
                text.push(' ');
            }
            rest = after;
        }
        let text = ["&#60;<", "&#62;>", "&#34;\"", "&#39;'", "&#38;&"]
            .iter()
            .fold(text, |text, pair| text.replace(&pair[..5], &pair[5..]));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn both_parts_say_the_same() {
        let message = Message {
            unsubscribe: Some("https://gate.example.org/stop/abc".to_owned()),
            ..example()
        };
        let shown = Shown::of(&message);
        let html = seen(&mail(&shown, "gate.example.org"));
        let text = text::mail(&shown, "gate.example.org");
        let words = text.split_whitespace().filter(|word| *word != "--");
        let mut words = words.map(|word| word.trim_end_matches(':'));
        let missing = words.find(|word| !html.contains(word));
        assert_eq!(missing, None, "{html}");
        let order = [&shown.sentence, "Plan open", "Last write", "/act/", "Keystile at", "Stop"];
        let places = order.map(|part| html.find(part).unwrap());
        assert!(places.is_sorted(), "{html}");
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(message in hostile()) {
            let html = mail(&Shown::of(&message), "gate.example.org");
            let tags = html.split('<').skip(1).filter_map(|part| part.split(['>', ' ']).next());
            for tag in tags {
                prop_assert!(
                    ["!DOCTYPE", "html", "head", "meta", "title", "body", "div", "p", "table", "tr", "td",
                     "ul", "li", "a", "br"].contains(&tag.trim_start_matches('/').trim()),
                    "{}", tag
                );
            }
            prop_assert!(!html.contains("src=") || !html.contains("<img"));
            prop_assert!(!html.contains("href=\"javascript"));
        }
    }
}
