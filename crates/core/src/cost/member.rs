//! Names that some decoder takes for one another.
//!
//! Decoders compare names by case or not, by Unicode's folding or ASCII's, with or without `_` and `-`,
//! as far as a NUL, or after a conversion that loses characters. Which one stands behind the gate is not
//! known here, so what any of them could confuse is near.

/// What a name is compared by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// A letter or digit, in lower case.
    Is(char),
    /// A character that folds into others, or into none: any run of letters.
    Any,
}

/// Whether some decoder could take one name for the other. Equal names are near.
pub(super) fn is_near(name: &str, wanted: &str) -> bool {
    if !wanted.is_ascii() && !name.is_ascii() {
        // How those fold depends on more than one character, so none of them are told apart.
        return true;
    }
    let wanted = marks(wanted);
    [name, before(name, '\0'), before(name, '[')].into_iter().any(|name| {
        let name = marks(name);
        fits(&name, &wanted) || fits(&wanted, &name)
    })
}

/// Whether a name would change what an object inherits, where its members are copied in JavaScript.
pub(super) fn is_prototype(name: &str) -> bool {
    is_near(name, "__proto__")
}

fn before(name: &str, end: char) -> &str {
    name.split(end).next().unwrap_or_default()
}

fn marks(name: &str) -> Vec<Mark> {
    let mark = |c: char| match c {
        _ if c.is_ascii_alphanumeric() => Some(Mark::Is(c.to_ascii_lowercase())),
        // Letters of these scripts fold into no ASCII letter.
        '\u{370}'..='\u{1cff}' | '\u{2c00}'..='\u{2dff}' | '\u{3041}'..='\u{d7ff}' => {
            Some(Mark::Is(c))
        }
        _ if c.is_ascii() => None,
        _ => Some(Mark::Any),
    };
    name.chars().filter_map(mark).collect()
}

/// Whether a name fits a pattern in which [`Mark::Any`] is any run.
fn fits(pattern: &[Mark], name: &[Mark]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Where the last run began in the pattern, and how far it goes in the name.
    let mut run = None;
    while place < name.len() {
        if pattern.get(at) == Some(&Mark::Any) {
            run = Some((at, place));
            at += 1;
        } else if pattern.get(at) == Some(&name[place]) {
            at += 1;
            place += 1;
        } else if let Some((start, end)) = run {
            run = Some((start, end + 1));
            (at, place) = (start + 1, end + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|mark| *mark == Mark::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_decoder_folds_together_are_near() {
        for name in [
            "bookmarks",
            "BookMarks",
            "boo\u{212a}marks",
            "book\u{fb05}marks",
            "bookmark\u{17f}",
            "book_marks",
            "book-marks",
            " bookmarks",
            "bookmarks\0",
            "bookmarks\0x",
            "book\0marks",
            "bookmarks[]",
            "bookmarks[0]",
            "\u{feff}bookmarks",
            "book\u{ad}marks",
            "\u{ff42}ookmarks",
            "bookmark\u{fffd}",
            "b\u{f6}\u{f6}kmarks",
        ] {
            assert!(is_near(name, "bookmarks"), "{name:?}");
        }
        assert!(is_near("gro\u{308}sse", "gr\u{f6}sse") && is_near("grosse", "gr\u{f6}sse"));
    }

    #[test]
    fn other_names_are_not_near() {
        for name in ["", "bookmark", "marks", "bookmarks2", "\u{540d}\u{524d}", "gr\u{f6}sse", "x"]
        {
            assert!(!is_near(name, "bookmarks"), "{name:?}");
        }
    }
}
