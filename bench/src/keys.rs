//! The keys of a run: the same ones for every peer.

use std::fmt::Write as _;

use crate::Outcome;
use crate::scratch::Scratch;

/// The most keys that the load generator sends; more would measure its memory.
const SENT_MAX: usize = 20_000;

/// Keys by plan: many that may do everything, and one that may only read.
#[derive(Clone)]
pub struct Keys {
    pub open: Vec<String>,
    pub reader: String,
}

impl Keys {
    /// Makes keys of Keystile's shape for the peers when no Keystile is there to make real ones.
    pub fn invent(count: usize) -> Self {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || format!("ks_{}_{}", base62(&mut seed, 43), base62(&mut seed, 6));
        Self { reader: next(), open: (0..count).map(|_| next()).collect() }
    }

    /// Writes the keys that the load generator sends, one a line, spread evenly over all.
    pub fn write_sent(&self, scratch: &Scratch) -> Outcome<()> {
        let step = self.open.len().div_ceil(SENT_MAX).max(1);
        let sent: Vec<&str> = self.open.iter().step_by(step).map(String::as_str).collect();
        scratch.write("keys", &(sent.join("\n") + "\n"))?;
        Ok(())
    }

    /// Writes `key application` and `application plan`, the two maps of HAProxy and nginx.
    pub fn write_maps(&self, scratch: &Scratch) -> Outcome<()> {
        let mut applications = String::new();
        for key in &self.open {
            writeln!(applications, "{key} bench")?;
        }
        writeln!(applications, "{} readers", self.reader)?;
        scratch.write("applications.map", &applications)?;
        scratch.write("plans.map", "bench open\nreaders reader\n")?;
        Ok(())
    }
}

/// Letters from a xorshift generator: they only need to look random to a hash table.
fn base62(seed: &mut u64, length: usize) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..length)
        .map(|_| {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            let at = usize::try_from((*seed >> 32) % 62).unwrap_or(0);
            char::from(LETTERS[at])
        })
        .collect()
}
