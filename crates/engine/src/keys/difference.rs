//! What differs between a key source and what was brought over from it, and the two sides of that.
//!
//! A source finds differences when it is read, and keeps them. A difference is named by what it says: one whose
//! sides have changed has another name, so that nobody takes a side that they have not seen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Something that is not the same there and here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Difference {
    /// Its name within the source. It changes with what it says.
    pub id: String,
    /// The name of the application that it is about.
    pub application: String,
    /// The application's id here, where it is here.
    pub application_id: Option<String>,
    /// What it is about, as `plan`.
    pub about: String,
    /// How it is there, in a sentence.
    pub there: String,
    /// How it is here, in a sentence.
    pub here: String,
    /// The sides that can be taken.
    pub sides: Vec<TakeableSide>,
    /// What else can be done about it, where a side cannot be taken.
    pub advice: Option<String>,
}

/// A side that can be taken, and what that does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TakeableSide {
    /// Which one.
    pub side: Side,
    /// What taking it does, as an order: `put it on the plan open here`.
    pub does: String,
    /// Whether it can be taken back.
    pub undo: Reversal,
}

/// A side of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Side {
    /// It becomes there as it is here.
    Here,
    /// It becomes here as it is there.
    There,
}

/// Whether something can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Reversal {
    /// It can.
    Possible,
    /// It is final.
    Impossible,
}

/// A text that names no side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a side is `here` or `there`")]
pub struct NoSide;

impl Difference {
    /// One of its sides, where it can be taken.
    pub fn side(&self, side: Side) -> Option<&TakeableSide> {
        self.sides.iter().find(|takeable| takeable.side == side)
    }
}

impl TakeableSide {
    /// Whether taking it is final.
    pub fn is_final(&self) -> bool {
        self.undo == Reversal::Impossible
    }
}

impl Side {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::There => "there",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Side {
    type Err = NoSide;

    fn from_str(text: &str) -> Result<Self, NoSide> {
        match text {
            "here" => Ok(Self::Here),
            "there" => Ok(Self::There),
            _ => Err(NoSide),
        }
    }
}
