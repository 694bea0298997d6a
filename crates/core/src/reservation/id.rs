//! The name of a reservation that somebody else settles.

use std::fmt;
use std::str::FromStr;

const PREFIX: &str = "rsv_";
const BYTES: usize = 16;

/// The id of a reservation. Whoever has it may say what became of the write, so it is random, and shows
/// itself only where it is meant to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReservationId([u8; BYTES]);

impl ReservationId {
    /// An id of bytes that nobody can guess.
    pub fn from_random(random: [u8; BYTES]) -> Self {
        Self(random)
    }
}

impl fmt::Debug for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReservationId([redacted])")
    }
}

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is not the id of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the id of a reservation: it looks like rsv_ and 32 hexadecimal digits")]
pub struct InvalidReservationId;

impl FromStr for ReservationId {
    type Err = InvalidReservationId;

    fn from_str(text: &str) -> Result<Self, InvalidReservationId> {
        let digits = text.strip_prefix(PREFIX).ok_or(InvalidReservationId)?.as_bytes();
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 2 * BYTES || !digits.iter().all(is_digit) {
            return Err(InvalidReservationId);
        }
        let value =
            |digit: u8| if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
        let mut bytes = [0; BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0]) << 4 | value(pair[1]);
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_as_it_was_written_and_in_no_other_form() {
        let id = ReservationId::from_random(std::array::from_fn(|place| {
            u8::try_from(place).unwrap().wrapping_mul(37)
        }));
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        let (upper, short) = (text.to_uppercase(), &text[..text.len() - 1]);
        for other in ["", "rsv_", &upper, short, &format!("{text}0"), &text.replace('_', "-")] {
            assert_eq!(other.parse::<ReservationId>(), Err(InvalidReservationId), "{other}");
        }
        assert!(!format!("{id:?}").contains(&text[4..]));
    }
}
