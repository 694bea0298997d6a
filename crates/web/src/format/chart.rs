//! Charts, drawn on the server. Their parts are numbers and times, which need no escaping.

use std::fmt::{self, Write};

use askama::filters::HtmlSafe;

/// A finished chart.
pub(crate) struct Svg(String);

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Svg {}

/// One bar: what it stands for, and its two parts.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) writes: u64,
    pub(crate) refused: u64,
}

const BAR: u64 = 24;
const GAP: u64 = 4;
const HEIGHT: u64 = 96;

/// Writes and refusals by hour. Each bar says its numbers to a pointer and to a screen reader.
pub(crate) fn bars(bars: &[Bar]) -> Svg {
    let width = bars.len() as u64 * (BAR + GAP);
    let most = bars.iter().map(|bar| bar.writes + bar.refused).max().unwrap_or(0).max(1);
    let mut svg = format!(
        "<svg class=\"bars\" viewBox=\"0 0 {width} {}\" role=\"img\" aria-label=\"Writes by hour\">",
        HEIGHT + 16
    );
    for (place, bar) in bars.iter().enumerate() {
        let left = place as u64 * (BAR + GAP);
        let scaled = |count: u64| {
            if count == 0 { 0 } else { (count * HEIGHT / most).max(2) }
        };
        let (writes, refused) = (scaled(bar.writes), scaled(bar.refused));
        let top = HEIGHT.saturating_sub(writes);
        let _ = write!(
            svg,
            "<g><title>{label}: {} writes, {} refused</title>\
             <rect class=\"slot\" x=\"{left}\" y=\"0\" width=\"{BAR}\" height=\"{HEIGHT}\"/>\
             <rect class=\"writes\" x=\"{left}\" y=\"{top}\" width=\"{BAR}\" height=\"{writes}\"/>\
             <rect class=\"refused\" x=\"{left}\" y=\"{}\" width=\"{BAR}\" height=\"{refused}\"/></g>",
            bar.writes,
            bar.refused,
            top.saturating_sub(refused),
            label = bar.label,
        );
        if place % 6 == 0 {
            let _ = write!(svg, "<text x=\"{left}\" y=\"{}\">{}</text>", HEIGHT + 13, bar.label);
        }
    }
    svg.push_str("</svg>");
    Svg(svg)
}

/// A line without axes, for the shape of a thing.
pub(crate) fn sparkline(values: &[u64], label: &str) -> Svg {
    const TALL: u64 = 24;
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let mut points = String::new();
    for (place, value) in values.iter().enumerate() {
        let _ = write!(points, "{},{} ", place * 4, TALL - value * (TALL - 2) / most - 1);
    }
    let width = values.len().max(2) * 4;
    Svg(format!(
        "<svg class=\"spark\" viewBox=\"0 0 {width} {TALL}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{label}\"><polyline points=\"{}\"/></svg>",
        points.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_stands_as_high_as_its_share_and_a_single_write_can_be_seen() {
        let bar = |writes, refused| Bar { label: "10:00".to_owned(), writes, refused };
        let svg = bars(&[bar(1_000, 0), bar(1, 0), bar(0, 0)]).to_string();
        assert!(svg.contains("class=\"writes\" x=\"0\" y=\"0\" width=\"24\" height=\"96\""));
        assert!(svg.contains("class=\"writes\" x=\"28\" y=\"94\" width=\"24\" height=\"2\""));
        assert!(svg.contains("class=\"writes\" x=\"56\" y=\"96\" width=\"24\" height=\"0\""));
        assert!(svg.contains("<title>10:00: 1 writes, 0 refused</title>"));
    }

    #[test]
    fn nothing_is_a_flat_line() {
        assert!(sparkline(&[0, 0], "calls").to_string().contains("0,23 4,23"));
        assert!(sparkline(&[], "calls").to_string().contains("points=\"\""));
    }
}
