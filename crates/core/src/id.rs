//! How ids are written: what they are of, and a UUID in hexadecimal digits.

use uuid::Uuid;

/// The text is not the id that was expected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not the id of {what}: it reads {prefix} and 32 of the characters 0-9 and a-f")]
pub struct InvalidId {
    text: String,
    what: &'static str,
    prefix: &'static str,
}

/// The UUID of an id; only the form that `Display` writes is read, so one id has one spelling.
pub(crate) fn read(
    text: &str,
    prefix: &'static str,
    what: &'static str,
) -> Result<Uuid, InvalidId> {
    digits(text, prefix).ok_or_else(|| InvalidId { text: text.to_owned(), what, prefix })
}

fn digits(text: &str, prefix: &str) -> Option<Uuid> {
    let digits = text.strip_prefix(prefix)?;
    let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 32 || !digits.bytes().all(lower_hex) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(Uuid::from_u128)
}

/// Declares the id of something; it lies in the file of that.
macro_rules! id {
    ($name:ident, $prefix:literal, $what:literal) => {
        #[doc = concat!("The id of ", $what, ", written `", $prefix, "` and 32 hexadecimal digits.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String))]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// Gives the UUID, drawn by the caller, its meaning.
            pub const fn new(uuid: uuid::Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID, as the store keeps it.
            pub const fn uuid(self) -> uuid::Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::InvalidId;

            fn from_str(text: &str) -> Result<Self, $crate::id::InvalidId> {
                $crate::id::read(text, $prefix, $what).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use id;

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::keys::application::ApplicationId;
    use crate::keys::key::KeyId;

    #[test]
    fn an_id_has_one_spelling() {
        let id = KeyId::new(Uuid::from_u128(0x0190_b2c3_d4e5));
        let text = "key_000000000000000000000190b2c3d4e5";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<KeyId>(&format!("\"{text}\"")).unwrap(), id);
        assert!(text.parse::<ApplicationId>().is_err());
        for other in [
            "key_000000000000000000000190B2C3D4E5",
            "key_00000000-0000-0000-0000-0190b2c3d4e5",
            "key_+00000000000000000000190b2c3d4e5",
            "key_",
            "000000000000000000000190b2c3d4e5",
        ] {
            assert!(other.parse::<KeyId>().is_err(), "{other}");
        }
    }
}
