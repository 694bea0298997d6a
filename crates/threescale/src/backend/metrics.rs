//! The metrics of a service and their hierarchy: what is counted of a child is counted of all above it.

use std::collections::HashMap;

/// A metric, or a method, which is a metric under `hits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The id that the portal knows it by.
    pub id: Box<str>,
    /// The system name that calls use.
    pub name: Box<str>,
    /// The id of the metric above it.
    pub parent_id: Option<Box<str>>,
}

/// Which metric of a service. It means nothing for another service, nor after the metrics changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricIndex(u32);

/// Why metrics are no hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// Two metrics have one id.
    #[error("two metrics have the id {0}")]
    SameId(Box<str>),
    /// Two metrics have one name.
    #[error("two metrics have the name {0}")]
    SameName(Box<str>),
    /// A metric stands above itself.
    #[error("the metric {0} is one of its own parents")]
    Circle(Box<str>),
    /// More metrics than can be numbered.
    #[error("there are too many metrics")]
    TooMany,
}

/// All metrics of a service.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    all: Vec<Metric>,
    parents: Vec<Option<MetricIndex>>,
    children: Vec<Vec<MetricIndex>>,
    by_id: HashMap<Box<str>, MetricIndex>,
    by_name: HashMap<Box<str>, MetricIndex>,
}

impl Metrics {
    /// Orders metrics by their parents. A parent that does not exist is none: the portal deletes metrics one
    /// after the other.
    ///
    /// Fails when two share an id or a name, and when one stands above itself.
    pub fn new(metrics: Vec<Metric>) -> Result<Self, MetricsError> {
        let mut ordered = Self { children: vec![Vec::new(); metrics.len()], ..Self::default() };
        for (place, metric) in metrics.iter().enumerate() {
            let index = MetricIndex(u32::try_from(place).map_err(|_| MetricsError::TooMany)?);
            if ordered.by_id.insert(metric.id.clone(), index).is_some() {
                return Err(MetricsError::SameId(metric.id.clone()));
            }
            if ordered.by_name.insert(metric.name.clone(), index).is_some() {
                return Err(MetricsError::SameName(metric.name.clone()));
            }
        }
        for metric in &metrics {
            let parent = metric.parent_id.as_ref().and_then(|id| ordered.by_id.get(id)).copied();
            ordered.parents.push(parent);
            if let Some(parent) = parent {
                ordered.children[parent.place()].push(ordered.by_id[&metric.id]);
            }
        }
        ordered.all = metrics;
        // Who is on no way down from a top stands on a circle or below one.
        let mut found =
            ordered.indexes().filter(|index| ordered.parent(*index).is_none()).collect::<Vec<_>>();
        let mut at = 0;
        while let Some(index) = found.get(at).copied() {
            found.extend_from_slice(ordered.children(index));
            at = at.saturating_add(1);
        }
        if found.len() < ordered.all.len() {
            let lost = ordered.indexes().find(|index| !found.contains(index));
            let lost = lost.expect("fewer were found than there are");
            return Err(MetricsError::Circle(ordered.metric(lost).name.clone()));
        }
        Ok(ordered)
    }

    /// The metric behind an index of this service.
    ///
    /// # Panics
    /// When the index is another service's.
    pub fn metric(&self, index: MetricIndex) -> &Metric {
        &self.all[index.place()]
    }

    /// The metric that has an id.
    pub fn by_id(&self, id: &str) -> Option<MetricIndex> {
        self.by_id.get(id).copied()
    }

    /// The metric that has a name.
    pub fn by_name(&self, name: &str) -> Option<MetricIndex> {
        self.by_name.get(name).copied()
    }

    /// The metrics right below one, in the order in which they were given.
    pub fn children(&self, index: MetricIndex) -> &[MetricIndex] {
        &self.children[index.place()]
    }

    /// The metrics above one, nearest first.
    pub fn ancestors(&self, index: MetricIndex) -> impl Iterator<Item = MetricIndex> {
        std::iter::successors(self.parent(index), |index| self.parent(*index))
    }

    /// All metrics, in the order in which they were given.
    pub fn indexes(&self) -> impl Iterator<Item = MetricIndex> {
        (0..u32::try_from(self.all.len()).unwrap_or(u32::MAX)).map(MetricIndex)
    }

    fn parent(&self, index: MetricIndex) -> Option<MetricIndex> {
        self.parents[index.place()]
    }
}

impl MetricIndex {
    fn place(self) -> usize {
        usize::try_from(self.0).expect("a metric's place came from a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(id: &str, parent: Option<&str>) -> Metric {
        Metric { id: id.into(), name: format!("m{id}").into(), parent_id: parent.map(Into::into) }
    }

    #[test]
    fn ancestors_come_nearest_first_and_children_in_order() {
        let metrics = vec![metric("3", Some("2")), metric("1", None), metric("2", Some("1"))];
        let metrics = Metrics::new([metrics, vec![metric("4", Some("1"))]].concat()).unwrap();
        let ids = |indexes: &mut dyn Iterator<Item = MetricIndex>| {
            indexes.map(|index| metrics.metric(index).id.to_string()).collect::<Vec<_>>().join(" ")
        };
        let lowest = metrics.by_name("m3").unwrap();
        assert_eq!(ids(&mut metrics.ancestors(lowest)), "2 1");
        let top = metrics.by_id("1").unwrap();
        assert_eq!(ids(&mut metrics.children(top).iter().copied()), "2 4");
        assert!(metrics.ancestors(top).next().is_none());
    }

    #[test]
    fn a_parent_that_is_gone_is_none() {
        let metrics = Metrics::new(vec![metric("1", Some("9"))]).unwrap();
        assert!(metrics.ancestors(metrics.by_id("1").unwrap()).next().is_none());
    }

    #[test]
    fn what_is_no_hierarchy_is_refused() {
        let circle = vec![metric("1", Some("2")), metric("2", Some("1")), metric("3", None)];
        assert_eq!(Metrics::new(circle).unwrap_err(), MetricsError::Circle("m1".into()));
        assert_eq!(
            Metrics::new(vec![metric("1", Some("1"))]).unwrap_err(),
            MetricsError::Circle("m1".into())
        );
        let twice = vec![metric("1", None), metric("1", None)];
        assert_eq!(Metrics::new(twice).unwrap_err(), MetricsError::SameId("1".into()));
        let mut same_name = vec![metric("1", None), metric("2", None)];
        same_name[1].name = "m1".into();
        assert_eq!(Metrics::new(same_name).unwrap_err(), MetricsError::SameName("m1".into()));
    }
}
