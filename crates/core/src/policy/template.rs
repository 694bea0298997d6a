//! Path templates and the set of them that one path meets.
//!
//! A template is `*` (every path) or a path whose segments are literal, `{name}` (any one segment), one
//! `{name}` with text around it (`{id}:archive`), or a last `*` (whatever follows). What means something
//! else to other routers is refused rather than taken for a text. A path may meet several templates; all
//! of them are found, because the strictest of their rules must hold.

use std::fmt;
use std::str::FromStr;

use smallvec::{SmallVec, smallvec};

use crate::request::grammar::{canonical_segment, fold_path};

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
    Part { before: String, name: String, after: String },
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
    /// Two slashes in a row, a dot segment, or a character that no path has: no request has such a path.
    #[error("the segment {0:?} can never be part of a path here")]
    ImpossibleSegment(String),
    /// A star that is not the last segment.
    #[error("in {0:?}, `*` must stand alone at the end; any one segment is `{{name}}`")]
    Star(String),
    /// What other routers write for whatever follows.
    #[error("{0:?} is not understood: for whatever follows, write `*` as the last segment")]
    Rest(String),
    /// What other routers write for a segment of some form.
    #[error("{segment:?} is not understood: any one segment is `{{{name}}}`, whatever its form")]
    Form {
        segment: String,
        /// The name in it.
        name: String,
    },
    /// Braces that do not hold one name.
    #[error("in {0:?}, one `{{name}}` may stand, with plain text before and after it")]
    Braces(String),
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
    if part.contains(['{', '}']) {
        return segment_with_name(part);
    }
    if part.starts_with('*') && part != "*" && !part.starts_with("*.") {
        return Err(InvalidTemplate::Rest(part.to_owned()));
    }
    if part.contains('*') {
        return Err(InvalidTemplate::Star(part.to_owned()));
    }
    if part.len() > 1 && part.starts_with([':', '<']) || part.contains(".+") {
        return Err(foreign(part, part));
    }
    match canonical_segment(part) {
        Some(_) => Ok(Segment::Literal(part.to_owned())),
        None => Err(InvalidTemplate::ImpossibleSegment(part.to_owned())),
    }
}

/// A segment such as `{id}`, `{id}:archive`, `items:{verb}` or `items({id})`.
fn segment_with_name(part: &str) -> Result<Segment, InvalidTemplate> {
    let braces = || InvalidTemplate::Braces(part.to_owned());
    let (before, rest) = part.split_once('{').ok_or_else(braces)?;
    let (name, after) = rest.split_once('}').ok_or_else(braces)?;
    if name.is_empty() {
        return Err(braces());
    }
    let is_name_char = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.chars().all(is_name_char) || name.ends_with("...") {
        return Err(foreign(part, name));
    }
    // Text around a name is compared by its ends, so it has no form but the one that is written.
    let is_plain = |text: &str| {
        text.is_ascii()
            && !text.contains(['{', '}', '*', '%', ';'])
            && canonical_segment(&format!("x{text}")).is_some()
    };
    if !is_plain(before) || !is_plain(after) {
        return Err(braces());
    }
    if before.is_empty() && after.is_empty() {
        return Ok(Segment::Any(name.to_owned()));
    }
    Ok(Segment::Part { before: before.to_owned(), name: name.to_owned(), after: after.to_owned() })
}

/// What to write instead of another router's syntax.
fn foreign(segment: &str, inner: &str) -> InvalidTemplate {
    let is_rest = inner.starts_with(['*', '+', '/'])
        || inner.ends_with(['*', '+'])
        || inner.ends_with("...")
        || inner.contains(":path");
    // A pattern such as `[0-9]+` bounds what one segment holds.
    if is_rest && !inner.contains(['[', '\\', '(']) {
        return InvalidTemplate::Rest(segment.to_owned());
    }
    // `:id`, `id:int`, `int:id>`: the name is the word that is no type.
    let words = inner.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    let mut words = words.filter(|word| !word.is_empty());
    let first = words.next().unwrap_or("name");
    let name = match words.next() {
        Some(second) if inner.starts_with('<') => second,
        Some(_) | None => first,
    };
    InvalidTemplate::Form { segment: segment.to_owned(), name: name.to_owned() }
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
                Segment::Part { before, name, after } => write!(f, "/{before}{{{name}}}{after}")?,
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

    /// Whether a path that meets the template has a segment that the template leaves open.
    pub(crate) fn has_names(&self) -> bool {
        self.segments.iter().any(|segment| !matches!(segment, Segment::Literal(_)))
    }

    /// A path that meets the template: what is open in it is called `x`.
    pub(crate) fn example(&self) -> String {
        let path = self.example_segments();
        match self.rest {
            Rest::Anything => path + "/x-no-rule-names",
            Rest::Nothing if path.is_empty() => "/".to_owned(),
            Rest::Nothing => path,
        }
    }

    /// The plainest path that meets the template, in the spelling that paths have in requests.
    pub(crate) fn shortest_example(&self) -> String {
        let path = self.canonical().example_segments();
        let is_open = self.rest == Rest::Anything || path.is_empty();
        if is_open { path + "/" } else { path }
    }

    fn example_segments(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                Segment::Any(_) => path.push('x'),
                Segment::Part { before, after, .. } => path.extend([before, "x", after]),
            }
        }
        path
    }

    /// How closely the template describes a path; a higher rank names it better.
    pub(crate) fn rank(&self) -> u32 {
        let of_segment = |segment: &Segment| match segment {
            Segment::Literal(_) => 5,
            Segment::Part { .. } => 4,
            Segment::Any(_) => 3,
        };
        let exact_end = u32::from(self.rest == Rest::Nothing);
        self.segments.iter().map(of_segment).sum::<u32>() * 2 + exact_end
    }

    /// The template that paths are held against in the spelling that the grammar gives them.
    fn canonical(&self) -> Self {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => {
                Segment::Literal(canonical_segment(text).unwrap_or_else(|| text.clone()))
            }
            Segment::Any(_) | Segment::Part { .. } => segment.clone(),
        });
        Self { segments: segments.collect(), rest: self.rest }
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
                Segment::Any(_) => segment.clone(),
                Segment::Part { before, name, after } => Segment::Part {
                    before: before.to_ascii_lowercase(),
                    name: name.clone(),
                    after: after.to_ascii_lowercase(),
                },
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
    /// How a segment begins and ends, with something between.
    parts: Vec<(Box<str>, Box<str>, usize)>,
    any: Option<usize>,
    ends: IndexSet,
    rests: IndexSet,
}

impl TemplateIndex {
    /// An index in which a path meets templates as they are written.
    pub fn exact<'a>(templates: impl Iterator<Item = &'a PathTemplate>) -> Self {
        Self::build(templates.map(PathTemplate::canonical))
    }

    /// An index for folded paths: case and a trailing slash make no difference.
    pub fn folded<'a>(templates: impl Iterator<Item = &'a PathTemplate>) -> Self {
        Self::build(templates.map(PathTemplate::folded))
    }

    /// Lets a template of a folded index be met by everything below it too.
    pub(crate) fn extend_below(&mut self, number: usize, template: &PathTemplate) {
        let at = self.end_of(&template.folded());
        self.nodes[at].rests.insert(number);
    }

    fn build(templates: impl Iterator<Item = PathTemplate>) -> Self {
        let mut index = Self { nodes: vec![Node::default()] };
        for (number, template) in templates.enumerate() {
            let at = index.end_of(&template);
            match template.rest {
                Rest::Nothing => index.nodes[at].ends.insert(number),
                Rest::Anything => index.nodes[at].rests.insert(number),
            }
        }
        index
    }

    fn end_of(&mut self, template: &PathTemplate) -> usize {
        template.segments.iter().fold(0, |at, segment| self.child(at, segment))
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
            Segment::Part { before, after, .. } => {
                let is_same =
                    |part: &&(Box<str>, Box<str>, usize)| *part.0 == **before && *part.1 == **after;
                if let Some((_, _, known)) = node.parts.iter().find(is_same) {
                    return *known;
                }
                node.parts.push((before.as_str().into(), after.as_str().into(), next));
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
        if node.any.is_none() && node.literals.is_empty() && node.parts.is_empty() {
            return;
        }
        let (segment, after) = match memchr::memchr(b'/', left.as_bytes()) {
            Some(slash) => (&left[..slash], Some(&left[slash + 1..])),
            None => (left, None),
        };
        if let Ok(place) = node.literals.binary_search_by(|(known, _)| (**known).cmp(segment)) {
            self.walk(node.literals[place].1, after, found);
        }
        for (before, after_name, next) in &node.parts {
            let name = segment.strip_prefix(&**before).and_then(|s| s.strip_suffix(&**after_name));
            if name.is_some_and(is_whole_name) {
                self.walk(*next, after, found);
            }
        }
        if let Some(any) = node.any
            && !segment.is_empty()
        {
            self.walk(any, after, found);
        }
    }
}

/// Whether what stands between two texts is all that a server sees there: `;` would end the segment
/// for some before the second text, and half an escape is no character.
fn is_whole_name(name: &str) -> bool {
    let ends_in_half = name.bytes().rev().take(2).any(|byte| byte == b'%');
    !name.is_empty() && !name.contains(';') && !name.contains("%3B") && !ends_in_half
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
        for text in [
            "",
            "bookmarks",
            "/a//b",
            "/a/../b",
            "/*/b",
            "/{}",
            "/a b",
            "/a?b",
            "/a/%2e%2e",
            "/a%2fb",
            "/a%zz",
            "/a|b",
            "/[id]",
            "/a^b",
            "/%25",
        ] {
            assert!(text.parse::<PathTemplate>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_other_routers_write_is_refused_with_what_to_write_here() {
        for text in
            ["{path+}", "{+path}", "{path*}", "{*rest}", "{**rest}", "{rest...}", "**", "*rest"]
        {
            let error = format!("/files/{text}").parse::<PathTemplate>().unwrap_err().to_string();
            assert!(error.ends_with("write `*` as the last segment"), "{text}: {error}");
        }
        for text in [
            "{id:[0-9]+}",
            "{id:int}",
            "{id?}",
            "{id=1}",
            ":id",
            "<id>",
            "<int:id>",
            "{id:\\d+}",
            "{id:[0-9]{3}}",
        ] {
            let error = format!("/files/{text}").parse::<PathTemplate>().unwrap_err().to_string();
            assert!(error.contains("any one segment is `{id}`"), "{text}: {error}");
        }
        for text in ["{a}-{b}", "{a", "a}", "{a}*", "a;{b}", "{a}%41", "{{a}}"] {
            assert!(format!("/files/{text}").parse::<PathTemplate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_may_have_text_around_it() {
        let templates =
            ["/items:{verb}", "/items/{id}:archive", "/{id}.json", "/items({id})", "/{any}"];
        assert_eq!(met(&templates, "/items:batchGet"), [0, 4]);
        assert_eq!(met(&templates, "/items:"), [4], "something stands for the name");
        assert_eq!(met(&templates, "/items/7:archive"), [1]);
        assert!(met(&templates, "/items/:archive").is_empty());
        assert!(met(&templates, "/items/7:delete").is_empty());
        assert_eq!(met(&templates, "/7.json"), [2, 4]);
        assert_eq!(met(&templates, "/items(7)"), [3, 4]);
        assert_eq!(met(&templates, "/items%3AbatchGet"), [4], "another spelling");
        assert_eq!(met(&templates, "/items/7%20a:archive"), [1]);
        assert!(met(&templates, "/items/7;x:archive").is_empty(), "some read `/items/7`");
        assert!(met(&["/{x}3A"], "/7%3A").is_empty());
        let templates: Vec<PathTemplate> =
            ["/Items:{verb}"].map(|text| text.parse().unwrap()).into();
        let index = TemplateIndex::folded(templates.iter());
        assert_eq!(index.matches(&fold_path("/ITEMS%3AbatchGet/")).iter().count(), 1);
    }

    #[test]
    fn a_literal_is_met_in_the_spelling_that_requests_have() {
        assert_eq!(met(&["/caf\u{e9}"], "/caf%C3%A9"), [0]);
        assert_eq!(met(&["/%63af%c3%a9"], "/caf%C3%A9"), [0]);
    }

    /// What a template means, told segment by segment, without an index.
    fn meets(template: &PathTemplate, path: &str) -> bool {
        let parts: Vec<&str> = path[1..].split('/').collect();
        let fits = |(segment, part): (&Segment, &&str)| match segment {
            Segment::Literal(text) => text == part,
            Segment::Any(_) => !part.is_empty(),
            Segment::Part { before, after, .. } => {
                part.len() > before.len() + after.len()
                    && part.starts_with(before.as_str())
                    && part.ends_with(after.as_str())
            }
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
            templates in prop::collection::vec("(/(a|b|c|\\{x\\}|a\\{x\\}|\\{x\\}b|a:\\{x\\}b)){1,4}(/\\*|/)?|\\*|/", 1..90),
            path in "(/(a|b|c|ab|aa|a:b|a:bb)){0,5}/?",
        ) {
            let path = if path.is_empty() { "/".to_owned() } else { path };
            let templates: Vec<PathTemplate> = templates.iter().map(|t| t.parse().unwrap()).collect();
            let found = TemplateIndex::exact(templates.iter()).matches(&path);
            for (number, template) in templates.iter().enumerate() {
                prop_assert_eq!(found.contains(number), meets(template, &path), "{} {}", template, path);
            }
        }

        #[test]
        fn templates_read_back_as_written(text in "(/(a|Bc|\\{x\\}|a:\\{x\\}|\\{x\\}\\.b)){1,4}(/\\*|/)?|\\*|/") {
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
