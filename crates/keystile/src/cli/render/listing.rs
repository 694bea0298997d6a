//! The form of answers: cells, the listings and details that they make, and how those fit a terminal.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use keystile_core::text::{printable, printable_lines, shortened};
use keystile_core::time::Timestamp;

use super::super::session::{Color, Medium, Screen};
use super::super::when::{exact_and_relative, relative};

/// Below so many columns, a listing is one block per entry.
const TABLE_COLUMNS_MIN: u16 = 56;
/// A listing shows no more of one text on a terminal; `show` and JSON have the rest.
const LISTED_CHARS_MAX: usize = 100;

/// What a cell's content means for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
}

/// A text that is safe to show.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()).into_owned(), tone: Tone::Plain }
    }

    /// A text of several lines.
    pub(super) fn lines(text: &str) -> Self {
        Self { text: printable_lines(text).into_owned(), tone: Tone::Plain }
    }

    /// A text that may be long: cut where it would push its neighbors off a terminal.
    pub(super) fn listed(text: &str, screen: &Screen) -> Self {
        match screen.width {
            Some(_) => Self::new(shortened(text, LISTED_CHARS_MAX)),
            None => Self::new(text),
        }
    }

    pub(super) fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    pub(super) fn relative(time: Option<Timestamp>, now: Timestamp) -> Self {
        time.map_or_else(
            || Self::new("never").tone(Tone::Faint),
            |time| Self::new(relative(time, now)),
        )
    }

    pub(super) fn exact(time: Option<Timestamp>, now: Timestamp) -> Self {
        time.map_or_else(
            || Self::new("never").tone(Tone::Faint),
            |time| Self::new(exact_and_relative(time, now)),
        )
    }

    fn render(&self) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(&self.text);
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(comfy_table::Color::Green),
            Tone::Warning => cell.fg(comfy_table::Color::Yellow),
            Tone::Bad => cell.fg(comfy_table::Color::Red),
            Tone::Faint => cell.add_attribute(comfy_table::Attribute::Dim),
        }
    }
}

/// A column of a listing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    /// Left out on narrower terminals.
    width_min: u16,
    /// Never broken into lines.
    whole: bool,
}

impl Column {
    pub(super) const fn new(title: &'static str) -> Self {
        Self { title, width_min: 0, whole: false }
    }

    pub(super) const fn from(mut self, width_min: u16) -> Self {
        self.width_min = width_min;
        self
    }

    pub(super) const fn whole(mut self) -> Self {
        self.whole = true;
        self
    }
}

/// Entries with the same columns.
pub(super) struct Listing<'a> {
    pub(super) columns: &'a [Column],
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Listing<'_> {
    pub(super) fn render(&self, screen: &Screen) -> String {
        match screen.width {
            Some(width) if width < TABLE_COLUMNS_MIN => self.stacked(screen),
            Some(width) => self.table(screen, width),
            None => self.table(screen, u16::MAX),
        }
    }

    fn table(&self, screen: &Screen, width: u16) -> String {
        let places: Vec<_> = (0..self.columns.len())
            .filter(|place| self.columns[*place].width_min <= width)
            .collect();
        let mut table = plain_table(screen);
        let head = |place: &usize| {
            comfy_table::Cell::new(self.columns[*place].title)
                .add_attribute(comfy_table::Attribute::Bold)
        };
        table.set_header(places.iter().map(head));
        for row in &self.rows {
            table.add_row(places.iter().map(|place| row[*place].render()));
        }
        for (shown, place) in places.iter().enumerate() {
            if let (true, Some(column)) = (self.columns[*place].whole, table.column_mut(shown)) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        finished(&mut table)
    }

    fn stacked(&self, screen: &Screen) -> String {
        let block = |row: &Vec<Cell>| {
            let pairs = self.columns.iter().zip(row);
            details(
                screen,
                &pairs.map(|(column, cell)| (column.title, cell.clone())).collect::<Vec<_>>(),
            )
        };
        self.rows.iter().map(block).collect::<Vec<_>>().join("\n")
    }
}

/// Names with what they stand for, one below the other.
pub(super) fn details(screen: &Screen, rows: &[(&'static str, Cell)]) -> String {
    let mut table = plain_table(screen);
    for (name, cell) in rows {
        let name = comfy_table::Cell::new(name).add_attribute(comfy_table::Attribute::Bold);
        table.add_row([name, cell.render()]);
    }
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    finished(&mut table)
}

/// A part of a page, with a title.
pub(super) fn section(title: &str, body: &str) -> String {
    format!("\n{title}\n{body}")
}

fn plain_table(screen: &Screen) -> Table {
    let mut table = Table::new();
    // What the streams are was found out once; the table must not look again.
    table.force_no_tty().load_style(presets::NOTHING);
    if let Some(width) = screen.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    if (screen.stdout, screen.color) == (Medium::Terminal, Color::Wanted) {
        table.enforce_styling();
    }
    table
}

fn finished(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}
