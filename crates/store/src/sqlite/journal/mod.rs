//! The journal: its rows, what follows from them, and how they are listed.

pub use self::activity::{
    Activity, AddressUse, activity_of_subject, addresses_of_subject, last_of_subject,
};
pub use self::hour::{HourCount, writes_by_hour};
pub use self::listing::{RecordPage, RecordQuery, list, page};
pub use self::order::Direction;
pub use self::retention::count;
pub use crate::reservation::Settlement;

pub(crate) mod activity;
pub(crate) mod facet_index;
pub(crate) mod hour;
pub(crate) mod listing;
pub(crate) mod named;
pub(crate) mod order;
pub(crate) mod record;
pub(crate) mod retention;
pub(crate) mod subject;
pub(crate) mod subject_index;
