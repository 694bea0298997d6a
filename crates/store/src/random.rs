//! Randomness of the system.

/// Bits from the system's generator.
///
/// # Panics
/// When the system has none, without which no key can be issued.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has a random number generator");
    bytes
}
