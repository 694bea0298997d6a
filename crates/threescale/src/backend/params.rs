//! Parameters as the reference sees them: texts, arrays and hashes inside of each other, in the order in
//! which they came.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// How many bytes a query or form may have.
pub const QUERY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many parameters a query or form may have, so a report has at most 4095 transactions.
pub const PARAMETERS_MAX: usize = 4096;

/// How deep brackets may be nested.
pub const DEPTH_MAX: usize = 32;

/// The value of a parameter.
#[derive(Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A name without `=`.
    Null,
    /// What stands behind `=`.
    Text(Cow<'a, str>),
    /// `a[]`.
    List(Vec<Self>),
    /// `a[b]`.
    Hash(Params<'a>),
}

impl<'a> Value<'a> {
    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The hash, where it is one.
    pub const fn hash(&self) -> Option<&Params<'a>> {
        if let Self::Hash(params) = self { Some(params) } else { None }
    }
}

/// How many entries are looked through one after the other, before they get an index.
const SCANNED_MAX: usize = 16;

/// Parameters by name. A name stands once, at the place where it came first.
#[derive(Clone, Default)]
pub struct Params<'a> {
    entries: Vec<(Cow<'a, str>, Value<'a>)>,
    /// The place of each name, once there are more than [`SCANNED_MAX`]: without it, a report of thousands
    /// of transactions would cost millions of comparisons.
    index: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Params<'a> {
    /// The value of a name, where it has one.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        Some(&self.entries[self.place(name)?].1)
    }

    /// The text of a name, where its value is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    /// Names and values, in the order in which the names came first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.entries.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// How many names there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no name.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn place(&self, name: &str) -> Option<usize> {
        if self.entries.len() <= SCANNED_MAX {
            // The last name is the likeliest: parameters of one hash come together.
            self.entries.iter().rposition(|(known, _)| known == name)
        } else {
            self.index.get(name).copied()
        }
    }

    /// The value of a name, which is made where it has none.
    pub(super) fn slot(&mut self, name: Cow<'a, str>) -> &mut Value<'a> {
        let place = self.place(&name).unwrap_or_else(|| {
            let place = self.entries.len();
            if place == SCANNED_MAX {
                let names = self.entries.iter().enumerate();
                self.index = names.map(|(place, (name, _))| (name.clone(), place)).collect();
            }
            if place >= SCANNED_MAX {
                self.index.insert(name.clone(), place);
            }
            self.entries.push((name, Value::Null));
            place
        });
        &mut self.entries[place].1
    }

    /// Takes over all values of another set, which win over those of this one.
    pub(super) fn overlay(&mut self, other: Self) {
        for (name, value) in other.entries {
            *self.slot(name) = value;
        }
    }
}

impl PartialEq for Params<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for Params<'_> {}

/// Names only: among the values are keys.
impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The shape only: the text may be a key.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Text(_) => f.write_str("[redacted]"),
            Self::List(values) => f.debug_list().entries(values).finish(),
            Self::Hash(params) => params.fmt(f),
        }
    }
}
