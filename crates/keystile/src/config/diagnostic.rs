//! What is wrong with a configuration: where, why, and what to write instead.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// A stretch of bytes of the source.
pub(crate) type Place = Range<usize>;

const SHOWN_BYTES_MAX: usize = 2000;

/// A file, or what stands for one, that diagnostics point into.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    text: String,
    shown: NamedSource<String>,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Arc<Self> {
        // A file that somebody sent may hold escape sequences. They reach the terminal as blanks,
        // one for one, so that places stay the same.
        let calm = |c: char| {
            if c.is_ascii_control() && !matches!(c, '\n' | '\t') { ' ' } else { c }
        };
        let name: String = name.chars().map(calm).collect();
        let shown = NamedSource::new(&name, text.chars().map(calm).collect());
        Arc::new(Self { shown, name, text: text.to_owned() })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text of a place, empty where the place lies outside.
    pub(crate) fn at(&self, place: &Place) -> &str {
        self.text.get(place.clone()).unwrap_or_default()
    }

    /// Line and column of a byte, both from 1, the column in characters.
    pub(crate) fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(at)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// Whether the lines around a place can be shown. Long ones fill the screen, and miette cannot
    /// underline beyond column 65535.
    fn is_showable(&self, place: &Place) -> bool {
        let before = self.text[..place.start].rfind('\n').unwrap_or(0);
        let start = self.text[..before].rfind('\n').unwrap_or(0);
        let lines = self.text[start..].split('\n').take(4);
        place.len() <= SHOWN_BYTES_MAX
            && lines.map(str::len).all(|length| length <= SHOWN_BYTES_MAX)
    }

    /// The nearest place that a caret can stand under: whole characters, at least one, on the text.
    fn clamped(&self, place: Place) -> Place {
        let start = self.text.floor_char_boundary(place.start);
        let end = self.text.ceil_char_boundary(place.end.max(start));
        if end > start {
            return start..end;
        }
        match self.text[start..].chars().next() {
            Some(c) if c != '\n' && c != '\r' => start..start + c.len_utf8(),
            // Nothing is left on the line, so the caret goes under its last character.
            _ => match self.text[..start].chars().next_back() {
                Some(c) if c != '\n' => start - c.len_utf8()..start,
                _ => start..start,
            },
        }
    }
}

/// Whether a finding stops the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, but probably it is not meant.
    Warning,
}

/// Whether a rendering uses terminal colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// Plain text.
    Off,
    /// ANSI escape sequences.
    On,
}

/// One finding about a configuration.
#[derive(Clone)]
pub struct Diagnostic {
    source: Arc<Source>,
    place: Option<Place>,
    severity: Severity,
    message: String,
    label: Option<String>,
    help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(source: &Arc<Source>, place: Option<Place>, message: String) -> Self {
        let place = place.map(|place| source.clamped(place));
        let (severity, label, help) = (Severity::Error, None, None);
        Self { source: Arc::clone(source), place, severity, message, label, help }
    }

    /// A warning about what a file leads to and not about its text.
    pub(crate) fn beside(file: &str, message: String, help: String) -> Self {
        let mut warning = Self::new(&Source::new(file, ""), None, message);
        warning.warn().help(help);
        warning
    }

    pub(crate) fn warn(&mut self) -> &mut Self {
        self.severity = Severity::Warning;
        self
    }

    /// Says beside the caret what stands there.
    pub(crate) fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.label = Some(text.into());
        self
    }

    /// Says what to write instead.
    pub(crate) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// Says what to write instead, where somebody knows.
    pub(crate) fn help_if(&mut self, text: Option<String>) -> &mut Self {
        if text.is_some() {
            self.help = text;
        }
        self
    }

    /// The file, or `--upstream` where an argument is meant.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// The line, from 1; `None` where the file as a whole is meant.
    pub fn line(&self) -> Option<usize> {
        self.position().map(|(line, _)| line)
    }

    /// The column, from 1, in characters.
    pub fn column(&self) -> Option<usize> {
        self.position().map(|(_, column)| column)
    }

    fn position(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|place| self.source.line_and_column(place.start))
    }

    /// Whether the configuration can be used all the same.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in a sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The bytes of the source that it points at.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The finding with the lines it points at, for a terminal of a given width.
    pub fn render(&self, width: usize, colors: Colors) -> String {
        let theme = match colors {
            Colors::Off => GraphicalTheme::unicode_nocolor(),
            Colors::On => GraphicalTheme::unicode(),
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width.max(40))
            .with_links(false)
            .with_context_lines(1);
        let mut text = String::new();
        match handler.render_report(&mut text, &Shown(self)) {
            Ok(()) => text,
            Err(fmt::Error) => format!("{self}\n"),
        }
    }
}

/// `file:line:column: message`, on one line.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file())?;
        if let Some((line, column)) = self.position() {
            write!(f, ":{line}:{column}")?;
        }
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(f, ": {severity}{}", self.message)
    }
}

impl fmt::Debug for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `{file, line, column, severity, message, help}`.
impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Diagnostic", 6)?;
        fields.serialize_field("file", self.file())?;
        fields.serialize_field("line", &self.line())?;
        fields.serialize_field("column", &self.column())?;
        fields.serialize_field("severity", &self.severity)?;
        fields.serialize_field("message", &self.message)?;
        fields.serialize_field("help", &self.help)?;
        fields.end()
    }
}

impl std::error::Error for Diagnostic {}

/// How miette shows it: the place comes from the snippet, so the title is the message alone.
struct Shown<'a>(&'a Diagnostic);

impl Shown<'_> {
    fn snippet(&self) -> Option<&Place> {
        self.0.place.as_ref().filter(|place| self.0.source.is_showable(place))
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.snippet() {
            Some(_) => f.write_str(&self.0.message),
            None => fmt::Display::fmt(self.0, f),
        }
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.0.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.snippet().map(|_| &self.0.source.shown as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.snippet()?;
        let label = LabeledSpan::new(self.0.label.clone(), place.start, place.len());
        Some(Box::new(std::iter::once(label)))
    }
}

/// Everything that was found in a configuration that cannot be used.
#[derive(Clone)]
pub struct Report {
    problems: Vec<Diagnostic>,
}

impl Report {
    pub(crate) fn new(problems: Vec<Diagnostic>) -> Self {
        Self { problems }
    }

    /// A report of one mistake that has no place in a text.
    pub(crate) fn of_file(name: &str, message: String, help: &str) -> Self {
        let mut problem = Diagnostic::new(&Source::new(name, ""), None, message);
        problem.help(help);
        Self::new(vec![problem])
    }

    /// The findings, errors and warnings, in the order of the file.
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    /// All findings with the lines they point at, and their number.
    pub fn render(&self, width: usize, colors: Colors) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&problem.render(width, colors));
            text.push('\n');
        }
        text + &summary(&self.problems) + "\n"
    }
}

/// How many findings there are, as in `keystile.toml: 2 mistakes, 1 warning`.
pub fn summary(problems: &[Diagnostic]) -> String {
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let file = problems.first().map_or("configuration", Diagnostic::file);
    let plural = |count| if count == 1 { "" } else { "s" };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mistakes = format!("{file}: {errors} mistake{}", plural(errors));
    match warnings {
        0 => mistakes,
        _ => format!("{mistakes}, {warnings} warning{}", plural(warnings)),
    }
}

/// One line for each finding.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if place == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An array of the findings.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.problems)
    }
}

impl std::error::Error for Report {}
