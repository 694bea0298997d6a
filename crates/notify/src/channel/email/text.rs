//! The text part of a mail.

use crate::render::Shown;

/// The mail as plain text. `host` is the console that sends it.
pub(crate) fn mail(shown: &Shown, host: &str) -> String {
    let mut text = format!("{}\n", shown.sentence);
    if !shown.facts.is_empty() {
        text.push('\n');
        let width = shown.facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in &shown.facts {
            text.push_str(&format!("  {name:width$}  {value}\n"));
        }
    }
    if !shown.writes.is_empty() {
        text.push_str(&format!("\n{}\n", shown.writes_heading()));
        for write in &shown.writes {
            text.push_str(&format!("  {}\n", write.line()));
        }
    }
    if !shown.links.is_empty() {
        text.push('\n');
        for link in &shown.links {
            text.push_str(&format!("{}: {}\n", link.label, link.url));
        }
    }
    // The line that mail programs know as the start of a signature.
    text.push_str(&format!("\n-- \n{}\n", footer(host)));
    if let Some(url) = &shown.unsubscribe {
        text.push_str(&format!("Stop these digests: {url}\n"));
    }
    text
}

/// Why this message came.
pub(super) fn footer(host: &str) -> String {
    format!("Keystile at {host} sent this because its configuration names this address.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::example;

    #[test]
    fn the_text_part_reads_well() {
        insta::assert_snapshot!(mail(&Shown::of(&example()), "gate.example.org"));
    }
}
