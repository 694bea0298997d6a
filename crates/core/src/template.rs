//! Path templates and the set of them that one path meets.
//!
//! A template is `*` (every path) or a path whose segments are literal, `{name}` (any one segment), or
//! a last `*` (whatever follows). A path may meet several templates; all of them are found, because
//! the strictest of their rules must hold.

use std::fmt;
use std::str::FromStr;

use smallvec::{SmallVec, smallvec};

use crate::grammar::fold_path;

/// One path template, as in `/bookmarks/{id}` or `/files/*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathTemplate {
    segments: Vec<Segment>,
    rest: Rest,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Any(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Rest {
    Nothing,
    Anything,
}

/// Why a text is not a path template.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidTemplate {
    /// It does not begin with a slash.
    #[error("a path template is `*` or begins with `/`")]
    NoSlash,
    /// Two slashes in a row, or a dot segment: no request has such a path.
    #[error("the segment {0:?} can never be part of a path here")]
    ImpossibleSegment(String),
    /// Braces or a star inside a segment.
    #[error("in {0:?}, a `{{name}}` must be a whole segment and `*` the last one")]
    PartialWildcard(String),
}

impl FromStr for PathTemplate {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        if text == "*" {
            return Ok(Self { segments: Vec::new(), rest: Rest::Anything });
        }
        let path = text.strip_prefix('/').ok_or(InvalidTemplate::NoSlash)?;
        let mut segments = Vec::new();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            if part == "*" && is_last {
                return Ok(Self { segments, rest: Rest::Anything });
            }
            segments.push(segment(part, is_last)?);
        }
        Ok(Self { segments, rest: Rest::Nothing })
    }
}

fn segment(part: &str, is_last: bool) -> Result<Segment, InvalidTemplate> {
    if matches!(part, "." | "..") || (part.is_empty() && !is_last) {
        return Err(InvalidTemplate::ImpossibleSegment(part.to_owned()));
    }
    if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
        && !name.is_empty()
        && !name.contains(['{', '}', '*'])
    {
        return Ok(Segment::Any(name.to_owned()));
    }
    if part.contains(['{', '}', '*']) {
        return Err(InvalidTemplate::PartialWildcard(part.to_owned()));
    }
    if part.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '\\'))
    {
        return Err(InvalidTemplate::ImpossibleSegment(part.to_owned()));
    }
    Ok(Segment::Literal(part.to_owned()))
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_every_path() {
            return f.write_str("*");
        }
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Any(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match self.rest {
            Rest::Nothing => Ok(()),
            Rest::Anything => f.write_str("/*"),
        }
    }
}

impl PathTemplate {
    /// Whether the template is `*`.
    pub fn is_every_path(&self) -> bool {
        self.segments.is_empty() && self.rest == Rest::Anything
    }

    /// A path that meets the template: what is open in it is called `x`.
    pub(crate) fn example(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            path.push_str(match segment {
                Segment::Literal(text) => text,
                Segment::Any(_) => "x",
            });
        }
        match self.rest {
            Rest::Anything => path + "/x-no-rule-names",
            Rest::Nothing if path.is_empty() => "/".to_owned(),
            Rest::Nothing => path,
        }
    }

    /// How closely the template describes a path; a higher rank names it better.
    pub(crate) fn rank(&self) -> u32 {
        let of_segment = |segment: &Segment| match segment {
            Segment::Literal(_) => 4,
            Segment::Any(_) => 3,
        };
        let exact_end = u32::from(self.rest == Rest::Nothing);
        self.segments.iter().map(of_segment).sum::<u32>() * 2 + exact_end
    }

    /// The template that folded paths are held against.
    fn folded(&self) -> Self {
        let mut segments: Vec<_> = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => {
                    Segment::Literal(fold_path(&format!("/{text}"))[1..].to_owned())
                }
                Segment::Any(name) => Segment::Any(name.clone()),
            })
            .collect();
        let ends_in_slash = segments.last() == Some(&Segment::Literal(String::new()));
        if self.rest == Rest::Nothing && ends_in_slash && segments.len() > 1 {
            segments.pop();
        }
        Self { segments, rest: self.rest }
    }
}

/// A set of small numbers: indices into a list of patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexSet {
    words: SmallVec<[u64; 2]>,
}

impl IndexSet {
    /// Adds an index.
    pub fn insert(&mut self, index: usize) {
        let word = index / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (index % 64);
    }

    /// Adds all of another set.
    pub fn union_with(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Keeps what another set also has.
    pub fn intersect_with(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= theirs;
        }
    }

    /// Whether the two share an index.
    pub fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Whether the set has an index.
    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// The indices in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(place, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(place * 64 + bit)
            })
        })
    }
}

/// Finds every template of a list that a path meets.
#[derive(Clone, Debug)]
pub struct TemplateIndex {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    literals: Vec<(Box<str>, usize)>,
    any: Option<usize>,
    ends: IndexSet,
    rests: IndexSet,
}

impl TemplateIndex {
    /// An index in which a path meets templates as they are written.
    pub fn exact<'a>(templates: impl Iterator<Item = &'a PathTemplate>) -> Self {
        Self::build(templates.cloned())
    }

    /// An index for folded paths: case and a trailing slash make no difference.
    pub fn folded<'a>(templates: impl Iterator<Item = &'a PathTemplate>) -> Self {
        Self::build(templates.map(PathTemplate::folded))
    }

    fn build(templates: impl Iterator<Item = PathTemplate>) -> Self {
        let mut index = Self { nodes: vec![Node::default()] };
        for (number, template) in templates.enumerate() {
            let mut at = 0;
            for segment in &template.segments {
                at = index.child(at, segment);
            }
            match template.rest {
                Rest::Nothing => index.nodes[at].ends.insert(number),
                Rest::Anything => index.nodes[at].rests.insert(number),
            }
        }
        index
    }

    fn child(&mut self, at: usize, segment: &Segment) -> usize {
        let next = self.nodes.len();
        let node = &mut self.nodes[at];
        match segment {
            Segment::Any(_) => {
                if let Some(known) = node.any {
                    return known;
                }
                node.any = Some(next);
            }
            Segment::Literal(text) => {
                match node.literals.binary_search_by(|(known, _)| (**known).cmp(text)) {
                    Ok(place) => return node.literals[place].1,
                    Err(place) => node.literals.insert(place, (text.as_str().into(), next)),
                }
            }
        }
        self.nodes.push(Node::default());
        next
    }

    /// The numbers of all templates that the path meets. The path begins with a slash.
    pub fn matches(&self, path: &str) -> IndexSet {
        let mut found = IndexSet { words: smallvec![0; 2] };
        self.walk(0, path.strip_prefix('/'), &mut found);
        found
    }

    /// `left` is what follows the segments that led to this node; `None` when nothing does. The
    /// recursion is as deep as the longest template, so a caller's path cannot deepen it.
    fn walk(&self, at: usize, left: Option<&str>, found: &mut IndexSet) {
        let node = &self.nodes[at];
        let Some(left) = left else {
            found.union_with(&node.ends);
            return;
        };
        found.union_with(&node.rests);
        if node.any.is_none() && node.literals.is_empty() {
            return;
        }
        let (segment, after) = match memchr::memchr(b'/', left.as_bytes()) {
            Some(slash) => (&left[..slash], Some(&left[slash + 1..])),
            None => (left, None),
        };
        if let Ok(place) = node.literals.binary_search_by(|(known, _)| (**known).cmp(segment)) {
            self.walk(node.literals[place].1, after, found);
        }
        if let Some(any) = node.any
            && !segment.is_empty()
        {
            self.walk(any, after, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn met(templates: &[&str], path: &str) -> Vec<usize> {
        let templates: Vec<PathTemplate> = templates.iter().map(|t| t.parse().unwrap()).collect();
        TemplateIndex::exact(templates.iter()).matches(path).iter().collect()
    }

    #[test]
    fn a_path_meets_every_template_that_describes_it() {
        let templates =
            ["*", "/bookmarks/{id}", "/bookmarks/import", "/bookmarks/*", "/", "/bookmarks"];
        assert_eq!(met(&templates, "/bookmarks/import"), [0, 1, 2, 3]);
        assert_eq!(met(&templates, "/bookmarks/7"), [0, 1, 3]);
        assert_eq!(met(&templates, "/bookmarks/7/tags"), [0, 3]);
        assert_eq!(met(&templates, "/bookmarks"), [0, 5]);
        assert_eq!(met(&templates, "/bookmarks/"), [0, 3]);
        assert_eq!(met(&templates, "/"), [0, 4]);
    }

    #[test]
    fn a_folded_path_meets_templates_of_any_case_and_slash() {
        let templates: Vec<PathTemplate> =
            ["/Admin/", "/admin/{id}"].map(|t| t.parse().unwrap()).into();
        let index = TemplateIndex::folded(templates.iter());
        assert_eq!(index.matches("/admin").iter().collect::<Vec<_>>(), [0]);
        assert_eq!(index.matches("/admin/x").iter().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn impossible_templates_are_refused() {
        for text in ["", "bookmarks", "/a//b", "/a/../b", "/a{id}", "/*/b", "/{}", "/a b", "/a?b"] {
            assert!(text.parse::<PathTemplate>().is_err(), "{text}");
        }
    }

    /// What a template means, told segment by segment, without an index.
    fn meets(template: &PathTemplate, path: &str) -> bool {
        let parts: Vec<&str> = path[1..].split('/').collect();
        let fits = |(segment, part): (&Segment, &&str)| match segment {
            Segment::Literal(text) => text == part,
            Segment::Any(_) => !part.is_empty(),
        };
        let long_enough = match template.rest {
            Rest::Nothing => parts.len() == template.segments.len(),
            Rest::Anything => parts.len() > template.segments.len(),
        };
        long_enough && template.segments.iter().zip(&parts).all(fits)
    }

    proptest! {
        #[test]
        fn the_index_finds_what_each_template_means(
            templates in prop::collection::vec("(/(a|b|c|\\{x\\})){1,4}(/\\*|/)?|\\*|/", 1..90),
            path in "(/(a|b|c)){0,5}/?",
        ) {
            let path = if path.is_empty() { "/".to_owned() } else { path };
            let templates: Vec<PathTemplate> = templates.iter().map(|t| t.parse().unwrap()).collect();
            let found = TemplateIndex::exact(templates.iter()).matches(&path);
            for (number, template) in templates.iter().enumerate() {
                prop_assert_eq!(found.contains(number), meets(template, &path), "{} {}", template, path);
            }
        }

        #[test]
        fn templates_read_back_as_written(text in "(/(a|Bc|\\{x\\})){1,4}(/\\*|/)?|\\*|/") {
            prop_assert_eq!(text.parse::<PathTemplate>().unwrap().to_string(), text);
        }

        #[test]
        fn hostile_texts_never_panic(text in ".*", path in "/.*") {
            if let Ok(template) = text.parse::<PathTemplate>() {
                TemplateIndex::folded(std::iter::once(&template)).matches(&path);
            }
        }
    }
}
