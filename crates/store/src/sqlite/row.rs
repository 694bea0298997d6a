//! Reading columns of rows.

use std::fmt::Display;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The value that a text stands for.
///
/// # Errors
/// `Corrupt` when the text is no such value.
pub(crate) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error: T::Err| Error::Corrupt(error.to_string()))
}
