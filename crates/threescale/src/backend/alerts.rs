//! When an owner is told that a limit is nearly or more than spent.
//!
//! The reference looks at the most used limit of an application only, at most once a day for each threshold, and
//! says itself that this surprises. Here each limit has its own levels in each of its windows: the highest that
//! is enabled and was reached counts, once.

use std::fmt;

use super::decide::UsageReport;

/// How much of a limit is used, in percent, at which 3scale can alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u16);

impl Threshold {
    /// All that there are, lowest first.
    pub const ALL: [Self; 8] =
        [Self(50), Self(80), Self(90), Self(100), Self(120), Self(150), Self(200), Self(300)];

    /// The threshold at so many percent, where there is one.
    pub fn at(percent: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|threshold| threshold.0 == percent)
    }

    /// In percent.
    pub const fn percent(self) -> u16 {
        self.0
    }

    /// Whether a counter has reached it. A limit of zero is never reached: it disables a metric.
    pub fn is_reached(self, current: u64, max: u64) -> bool {
        max > 0 && u128::from(current) * 100 >= u128::from(max) * u128::from(self.0)
    }

    fn bit(self) -> u8 {
        let place = Self::ALL.iter().position(|known| *known == self);
        1 << place.expect("a threshold is one of all")
    }
}

/// The thresholds that a service alerts at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Thresholds(u8);

impl Thresholds {
    /// With one more.
    #[must_use]
    pub fn with(self, threshold: Threshold) -> Self {
        Self(self.0 | threshold.bit())
    }

    /// With one less.
    #[must_use]
    pub fn without(self, threshold: Threshold) -> Self {
        Self(self.0 & !threshold.bit())
    }

    /// Those that are enabled, lowest first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Threshold> {
        Threshold::ALL.into_iter().filter(move |threshold| self.0 & threshold.bit() != 0)
    }

    /// The threshold to alert at, now that a counter holds `current` of `max`: the highest enabled one that is
    /// reached, unless it or a higher one was alerted at before in the same window.
    pub fn alert(self, current: u64, max: u64, alerted: Option<Threshold>) -> Option<Threshold> {
        let highest = self.iter().rev().find(|threshold| threshold.is_reached(current, max))?;
        (Some(highest) > alerted).then_some(highest)
    }
}

/// How much is used of the most used limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utilization<'r, 'c>(&'r UsageReport<'c>);

impl<'r, 'c> Utilization<'r, 'c> {
    /// The most used of an application's limits; the first of equals. Limits of zero count only where there are no
    /// others. `None` without limits.
    pub fn of(reports: &'r [UsageReport<'c>]) -> Option<Self> {
        let mut most = reports.first()?;
        for report in reports {
            let (used, max) = (u128::from(report.stored), u128::from(report.limit.max));
            let (most_used, most_max) = (u128::from(most.stored), u128::from(most.limit.max));
            if max > 0 && (most_max == 0 || used * most_max > most_used * max) {
                most = report;
            }
        }
        Some(Self(most))
    }

    /// The limit.
    pub const fn report(&self) -> &'r UsageReport<'c> {
        self.0
    }

    /// The highest threshold that is reached, in percent; zero below the lowest.
    pub fn percent(&self) -> u16 {
        let (current, max) = (self.0.stored, self.0.limit.max);
        let reached = Threshold::ALL.into_iter().rev().find(|level| level.is_reached(current, max));
        reached.map_or(0, Threshold::percent)
    }
}

/// As the portal shows it: `hits per day: 80/100`.
impl fmt::Display for Utilization<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UsageReport { metric, limit, stored, .. } = self.0;
        write!(f, "{metric} per {}: {stored}/{}", limit.period, limit.max)
    }
}
