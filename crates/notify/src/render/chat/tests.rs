use proptest::prelude::*;

use super::*;
use crate::render::{example, hostile};

fn length(value: &Value) -> usize {
    utf16(value.as_str().unwrap())
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn each_chat_is_sent_what_it_can_show() {
    let message = example();
    let shown = Shown::of(&message);
    insta::assert_snapshot!("slack", pretty(&slack(&shown)));
    insta::assert_snapshot!("discord", pretty(&discord(&shown, &message)));
    insta::assert_snapshot!("teams", pretty(&teams(&shown)));
    insta::assert_snapshot!("ntfy", pretty(&ntfy(&shown, "alerts", message.urgency)));
    insta::assert_snapshot!("gotify", pretty(&gotify(&shown, message.urgency)));
    insta::assert_snapshot!("telegram", pretty(&telegram(&shown, "-100123", message.urgency)));
    insta::assert_snapshot!("pushover", pretty(&pushover(&shown, &message)));
    insta::assert_snapshot!("matrix", pretty(&matrix(&shown)));
}

#[test]
fn a_name_is_shown_and_not_obeyed() {
    let name = "<!channel> @everyone *b* [a](b) <b>x</b> & @admin";
    let message = Message { sentence: name.to_owned(), ..example() };
    let shown = Shown::of(&message);
    assert_eq!(
        slack(&shown)["blocks"][1]["text"]["text"],
        "&lt;!channel&gt; @everyone *b* [a](b) &lt;b&gt;x&lt;/b&gt; &amp; @admin"
    );
    let discord = discord(&shown, &message);
    let said = discord["embeds"][0]["description"].as_str().unwrap();
    assert!(said.starts_with(r"\<\!channel\> \@everyone \*b\* \[a\]\(b\) \<b\>x\<"), "{said}");
    assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
    let telegram = telegram(&shown, "1", message.urgency);
    let said = telegram["text"].as_str().unwrap();
    assert!(said.contains("@\u{200b}everyone *b* [a](b) &#60;b&#62;x&#60;/b&#62;"), "{said}");
    let matrix = matrix(&shown);
    assert_eq!(matrix["m.mentions"], json!({}));
    assert!(!matrix["formatted_body"].as_str().unwrap().contains("<b>"));
}

proptest! {
    #[test]
    fn slack_is_kept_within_its_limits(message in hostile()) {
        let document = slack(&Shown::of(&message));
        let blocks = document["blocks"].as_array().unwrap();
        prop_assert!(blocks.len() <= 50 && document["text"].as_str().unwrap().len() <= 40_000);
        for block in blocks {
            if block["type"] == "header" {
                prop_assert!((1..=150).contains(&length(&block["text"]["text"])));
            } else if let Some(fields) = block["fields"].as_array() {
                prop_assert!((1..=10).contains(&fields.len()));
                for field in fields {
                    prop_assert!((1..=2000).contains(&length(&field["text"])));
                }
            } else {
                prop_assert!(length(&block["text"]["text"]) <= 3000);
            }
        }
        // The header is plain text, in which Slack obeys nothing.
        let text = format!("{} {}", document["text"], json!(blocks[1..]));
        prop_assert!(!text.contains("<!") && !text.contains("<@"));
    }

    #[test]
    fn discord_is_kept_within_its_limits(message in hostile()) {
        let document = discord(&Shown::of(&message), &message);
        let embed = &document["embeds"][0];
        let mut total = length(&embed["title"]) + length(&embed["description"]);
        prop_assert!(length(&embed["title"]) <= 256 && length(&embed["description"]) <= 4096);
        let fields = embed["fields"].as_array().unwrap();
        prop_assert!(fields.len() <= 25);
        for field in fields {
            prop_assert!((1..=256).contains(&length(&field["name"])));
            prop_assert!((1..=1024).contains(&length(&field["value"])));
            total += length(&field["name"]) + length(&field["value"]);
        }
        prop_assert!(total <= 6000, "{}", total);
    }

    #[test]
    fn teams_is_kept_within_its_limit(message in hostile()) {
        let length = teams(&Shown::of(&message)).to_string().len();
        prop_assert!(length <= 28 * 1024, "{}", length);
    }

    #[test]
    fn ntfy_is_kept_within_its_limits(message in hostile()) {
        let document = ntfy(&Shown::of(&message), &"t".repeat(64), message.urgency);
        prop_assert!(document.to_string().len() <= 4096);
        prop_assert!(document["actions"].as_array().unwrap().len() <= 3);
    }

    #[test]
    fn telegram_is_kept_within_its_limit(message in hostile()) {
        let document = telegram(&Shown::of(&message), "1", message.urgency);
        prop_assert!((1..=4096).contains(&length(&document["text"])));
    }

    #[test]
    fn pushover_is_kept_within_its_limits(message in hostile()) {
        let document = pushover(&Shown::of(&message), &message);
        prop_assert!(length(&document["title"]) <= 250 && length(&document["message"]) <= 1024);
        if let Some(url) = document["url"].as_str() {
            prop_assert!(url.len() <= 512 && length(&document["url_title"]) <= 100);
        }
    }

    #[test]
    fn matrix_and_gotify_are_kept_small(message in hostile()) {
        let shown = Shown::of(&message);
        let length = matrix(&shown).to_string().len();
        prop_assert!(length <= 60_000, "{}", length);
        let length = gotify(&shown, message.urgency).to_string().len();
        prop_assert!(length <= 32_000, "{}", length);
    }
}
