//! Deliveries and channels for people.

use keystile_core::notifications::delivery::DeliveryState;
use keystile_engine::notifications::delivery::{
    AttemptView, ChannelView, DeliveryDetails, DeliveryView,
};

use super::super::session::Screen;
use super::super::when::relative;
use super::listing::{Cell, Column, Listing, Tone};

const DELIVERY_COLUMNS: &[Column] = &[
    Column::new("TIME").whole(),
    Column::new("EVENT").whole(),
    Column::new("ABOUT").from(80),
    Column::new("CHANNEL"),
    Column::new("RECEIVER").from(100),
    Column::new("STATE").whole(),
    Column::new("TRIED").from(100).whole(),
    Column::new("SAID"),
    Column::new("ID").from(160).whole(),
];

const CHANNEL_COLUMNS: &[Column] = &[
    Column::new("CHANNEL"),
    Column::new("KIND").whole(),
    Column::new("STATE"),
    Column::new("WAITING").whole(),
    Column::new("FAILED").whole(),
    Column::new("LAST SENT").from(70).whole(),
    Column::new("TARGET").from(90),
    Column::new("RULES").from(110),
];

const ATTEMPT_COLUMNS: &[Column] = &[
    Column::new("TIME").whole(),
    Column::new("OUTCOME").whole(),
    Column::new("TOOK").whole(),
    Column::new("SAID"),
];

fn state(state: DeliveryState) -> Cell {
    let tone = match state {
        DeliveryState::Waiting | DeliveryState::Sending => Tone::Warning,
        DeliveryState::Sent => Tone::Good,
        DeliveryState::Failed => Tone::Bad,
    };
    Cell::new(state.name()).tone(tone)
}

fn row(delivery: &DeliveryView, screen: &Screen) -> Vec<Cell> {
    let event = match delivery.count {
        1 => delivery.event.name().to_owned(),
        count => format!("{} x {count}", delivery.event.name()),
    };
    vec![
        Cell::new(relative(delivery.time, screen.now)),
        Cell::new(event),
        Cell::listed(&delivery.about, screen),
        Cell::listed(&delivery.channel, screen),
        Cell::listed(delivery.receiver.as_deref().unwrap_or("-"), screen),
        state(delivery.state),
        Cell::new(delivery.attempts.to_string()),
        Cell::listed(delivery.said.as_deref().unwrap_or("-"), screen),
        Cell::new(delivery.id.to_string()),
    ]
}

/// A list of deliveries.
pub(crate) fn deliveries(deliveries: &[DeliveryView], screen: &Screen) -> String {
    let rows = deliveries.iter().map(|delivery| row(delivery, screen)).collect();
    Listing { columns: DELIVERY_COLUMNS, rows }.render(screen)
}

/// A delivery with what was tried.
pub(crate) fn delivery(details: &DeliveryDetails, screen: &Screen) -> String {
    let tried = |attempt: &AttemptView| {
        vec![
            Cell::new(relative(attempt.time, screen.now)),
            Cell::new(&attempt.outcome),
            Cell::new(format!("{} ms", attempt.duration_ms)),
            Cell::listed(&attempt.said, screen),
        ]
    };
    let delivery = deliveries(std::slice::from_ref(&details.delivery), screen);
    if details.tried.is_empty() {
        return format!("{delivery}\nNot tried yet.\n");
    }
    let rows = details.tried.iter().map(tried).collect();
    format!("{delivery}\n{}", Listing { columns: ATTEMPT_COLUMNS, rows }.render(screen))
}

/// A list of channels.
pub(crate) fn channels(channels: &[ChannelView], screen: &Screen) -> String {
    let row = |channel: &ChannelView| {
        let (state, tone) = match &channel.gone {
            Some(said) => (format!("off: {said}"), Tone::Bad),
            None => ("on".to_owned(), Tone::Good),
        };
        vec![
            Cell::listed(&channel.name, screen),
            Cell::new(&channel.kind),
            Cell::listed(&state, screen).tone(tone),
            Cell::new(channel.open.to_string()),
            Cell::new(channel.failed.to_string()),
            Cell::relative(channel.last_sent, screen.now),
            Cell::listed(&channel.target, screen),
            Cell::listed(&channel.rules.join(", "), screen),
        ]
    };
    Listing { columns: CHANNEL_COLUMNS, rows: channels.iter().map(row).collect() }.render(screen)
}
