//! What calls say that they use, and what that means for the metrics above.

use smallvec::SmallVec;

use super::error::{RequestError, unless_blank};
use super::metrics::{MetricIndex, Metrics};
use super::params::{Params, Value};

/// The most that one call may use and one counter may hold: what the store can keep.
pub const AMOUNT_MAX: u64 = i64::MAX.unsigned_abs();

/// What happens to a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    /// So much more.
    Add(u64),
    /// From now on so much: `#n`, which 3scale deprecated and still takes.
    Set(u64),
}

impl Amount {
    /// What a counter holds afterwards, at most [`AMOUNT_MAX`].
    #[must_use]
    pub fn after(self, current: u64) -> u64 {
        match self {
            Self::Add(more) => current.saturating_add(more).min(AMOUNT_MAX),
            Self::Set(value) => value,
        }
    }

    /// The number without what is done with it.
    pub const fn value(self) -> u64 {
        match self {
            Self::Add(value) | Self::Set(value) => value,
        }
    }

    /// Whether it changes no counter.
    pub const fn is_nothing(self) -> bool {
        matches!(self, Self::Add(0))
    }

    /// Blanks, perhaps `#`, digits, blanks; nothing else.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
        let (digits, amount): (_, fn(u64) -> Self) = match text.strip_prefix('#') {
            Some(digits) => (digits, Self::Set),
            None => (text, Self::Add),
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = is_number.then(|| digits.parse::<u64>().ok())??;
        (value <= AMOUNT_MAX).then(|| amount(value))
    }
}

/// Amounts by metric, each metric once, in the order in which they came up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage(SmallVec<[(MetricIndex, Amount); 4]>);

impl Usage {
    /// Reads `usage[metric]=n`.
    ///
    /// Fails on the first amount that is none and the first metric that the service does not have.
    pub fn named(params: &Params<'_>, metrics: &Metrics) -> Result<Self, RequestError> {
        let mut usage = Self::default();
        for (name, value) in params.iter() {
            usage.add_named(name, value, metrics)?;
        }
        Ok(usage)
    }

    /// As [`Self::named`], without what is plainly `0`: nobody looks whether its metric exists.
    pub(super) fn named_without_zeros(
        params: &Params<'_>,
        metrics: &Metrics,
    ) -> Result<Self, RequestError> {
        let mut usage = Self::default();
        for (name, value) in params.iter().filter(|(_, value)| value.text() != Some("0")) {
            usage.add_named(name, value, metrics)?;
        }
        Ok(usage)
    }

    fn add_named(
        &mut self,
        name: &str,
        value: &Value<'_>,
        metrics: &Metrics,
    ) -> Result<(), RequestError> {
        let name = stripped(name);
        let amount = value.text().and_then(Amount::parse).ok_or_else(|| {
            let value = value.text().and_then(unless_blank);
            RequestError::UsageValueInvalid { metric: name.to_owned(), value }
        })?;
        *self.slot(metric(name, metrics)?, amount) = amount;
        Ok(())
    }

    /// Adds each amount to all metrics above its own, in the order of the call.
    ///
    /// Where both add and set reach a metric, set replaces what was there and add adds to it. The reference
    /// shows the same sum to callers, but counts only what was added; what is shown and what is counted are one
    /// number here.
    #[must_use]
    pub fn with_ancestors(&self, metrics: &Metrics) -> Self {
        let mut total = self.clone();
        for (metric, amount) in &self.0 {
            for ancestor in metrics.ancestors(*metric) {
                let was = total.amount(ancestor);
                let sum = match (was, *amount) {
                    (None, amount) | (_, amount @ Amount::Set(_)) => amount,
                    (Some(Amount::Add(was)), more) => Amount::Add(more.after(was)),
                    (Some(Amount::Set(was)), more) => Amount::Set(more.after(was)),
                };
                *total.slot(ancestor, sum) = sum;
            }
        }
        total
    }

    /// The amount of a metric, where it has one.
    pub fn amount(&self, metric: MetricIndex) -> Option<Amount> {
        self.0.iter().find(|(known, _)| *known == metric).map(|(_, amount)| *amount)
    }

    /// Metrics with their amounts.
    pub fn iter(&self) -> impl Iterator<Item = (MetricIndex, Amount)> {
        self.0.iter().copied()
    }

    /// Whether no counter changes.
    pub fn is_nothing(&self) -> bool {
        self.0.iter().all(|(_, amount)| amount.is_nothing())
    }

    fn slot(&mut self, metric: MetricIndex, amount: Amount) -> &mut Amount {
        let place = self.0.iter().position(|(known, _)| *known == metric).unwrap_or_else(|| {
            self.0.push((metric, amount));
            self.0.len().saturating_sub(1)
        });
        &mut self.0[place].1
    }
}

/// Looks a metric up by the name that a call has for it. Fails when the service has none of that name.
pub(super) fn metric(name: &str, metrics: &Metrics) -> Result<MetricIndex, RequestError> {
    let name = stripped(name);
    metrics.by_name(name).ok_or_else(|| RequestError::MetricInvalid(name.to_owned()))
}

/// A text without the blanks around it, of which the reference takes NUL for one.
pub(super) fn stripped(text: &str) -> &str {
    text.trim_matches(['\0', ' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
}
