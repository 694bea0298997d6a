//! What is printed first: where everything is, and lines to paste.

use clap::builder::styling::Style;

use super::{Intro, Lines};

impl Lines {
    /// What is printed first.
    pub(crate) fn intro(&self, intro: &Intro) -> String {
        let Intro { gate, api, health, console, file, data, program, key } = intro;
        let title = |text: &str| self.paint(Style::new().bold(), text);
        let rows = [
            ("Gate", format!("{gate}  where callers arrive")),
            ("API", format!("{api}  the bookmarks behind it")),
            ("Health", format!("{health}/readyz")),
            ("Policy", file.clone()),
            ("Data", data.clone()),
        ]
        .map(|(name, value)| format!("  {name:<8}{value}\n"))
        .concat();
        let who = self.prose(
            "reader and sweeper are on plan open: past 20 writes per minute, their key locks. wiki is on plan \
             trusted, 5000 per hour. sweeper will misbehave in a few seconds.",
        );
        let yours = format!("curl -i -H 'X-API-Key: {key}'");
        let draft = r#"{"url":"https://example.org","title":"Mine"}"#;
        format!(
            "{}\n\n{rows}\n{who}\n{}\n\n\
             Read, without a key and with one:\n\
             \x20 curl -i '{gate}/bookmarks'\n\
             \x20 {yours} '{gate}/bookmarks'\n\
             Write, with a key of your own; past 20 a minute, it locks:\n\
             \x20 {yours} -H 'Content-Type: application/json' -d '{draft}' '{gate}/bookmarks'\n\
             Become the owner of its console, in a browser:\n\
             \x20 {console}\n\
             See every write, and the keys:\n\
             \x20 {program} journal follow --data {data}\n\
             \x20 {program} key list --data {data}\n\
             Change the policy, which is a file, and put it in force:\n\
             \x20 {program} reload --data {data}\n\n\
             {}\n",
            title("Keystile in front of a small API"),
            title("Try it in another terminal"),
            title("Every write, as it comes. Ctrl-C ends all of it."),
        )
    }
}
