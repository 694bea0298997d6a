//! JSON that is safe to look at.
//!
//! `serde_json` escapes what JSON demands, which leaves direction marks and zero-width characters as they are.
//! They are written as `\uXXXX` here: the same value to a program, visible to a person.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use keystile_core::text::is_hidden;

/// Writes a value and ends the line.
pub(super) fn write_line(
    out: &mut dyn io::Write,
    value: &impl Serialize,
    layout: Layout,
) -> io::Result<()> {
    match layout {
        Layout::Line => value
            .serialize(&mut Serializer::with_formatter(&mut *out, Visible(CompactFormatter)))?,
        Layout::Indented => {
            let formatter = Visible(PrettyFormatter::new());
            value.serialize(&mut Serializer::with_formatter(&mut *out, formatter))?;
        }
    }
    out.write_all(b"\n")
}

/// How a value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// In one line, for programs.
    Line,
    /// Indented, for people.
    Indented,
}

struct Visible<F>(F);

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $argument: $type)*) -> io::Result<()> {
            self.0.$name(writer $(, $argument)*)
        }
    )*};
}

impl<F: Formatter> Formatter for Visible<F> {
    forward! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_hidden) {
            let (shown, hidden) = rest.split_at(at);
            writer.write_all(shown.as_bytes())?;
            let c = hidden.chars().next().expect("a character was found here");
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &hidden[c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: &impl Serialize, layout: Layout) -> String {
        let mut out = Vec::new();
        write_line(&mut out, value, layout).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hidden_characters_are_escaped_and_read_back() {
        let text = "a\u{202e}b\u{200b}\u{7f}\u{1b}\n\"\\é日\u{e0041}z";
        let shown = line(&text, Layout::Line);
        assert_eq!(shown, "\"a\\u202eb\\u200b\\u007f\\u001b\\n\\\"\\\\é日\\udb40\\udc41z\"\n");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }

    #[test]
    fn layouts_are_those_of_serde_json() {
        let value = serde_json::json!({"a": [1, {"b": null}], "c": {}});
        assert_eq!(line(&value, Layout::Line).trim_end(), value.to_string());
        let indented = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(line(&value, Layout::Indented).trim_end(), indented);
    }
}
