//! Named points of a launch that can be made to fail, for `cargo xtask campaign launches`; and those of a rotation of the master key, for
//! its tests.
//!
//! In a build with optimisation a point is nothing at all. In any other `OUTPORT_FAIL_POINTS` says which fail and how
//! often, and the agent hands that on to its shims:
//!
//! ```text
//! OUTPORT_FAIL_POINTS="seed=7,all=3,shim.overlay=20"     per cent
//! ```
//!
//! **Invariant:** a point fails as what stands behind it does: with an error of the kernel, before it has
//! done anything.

/// What the variable is called.
#[cfg(debug_assertions)]
pub const VARIABLE: &str = "OUTPORT_FAIL_POINTS";

/// Fails if this point's turn has come.
///
/// # Errors
/// The injected one, whose text names the point.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_point: &str) -> std::io::Result<()> {
    Ok(())
}

#[cfg(debug_assertions)]
pub use injected::reach;

#[cfg(debug_assertions)]
mod injected {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{SystemTime, UNIX_EPOCH};

    use crate::container_key::fnv1a;

    struct Plan {
        seed: u64,
        /// Point and per cent; `all` stands for every one that is not named.
        points: Vec<(String, u64)>,
    }

    static PLAN: OnceLock<Plan> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);

    /// Fails if this point's turn has come.
    ///
    /// # Errors
    /// The injected one, whose text names the point.
    pub fn reach(point: &str) -> io::Result<()> {
        let plan = PLAN.get_or_init(|| parse(&std::env::var(super::VARIABLE).unwrap_or_default()));
        let of =
            |name: &str| plan.points.iter().find(|(one, _)| one == name).map(|(_, rate)| *rate);
        let rate = of(point).or_else(|| of("all")).unwrap_or(0);
        if rate == 0 {
            return Ok(());
        }
        let number = REACHED.fetch_add(1, Ordering::Relaxed);
        let drawn = draw(plan.seed, point, number);
        if drawn % 100 >= rate {
            return Ok(());
        }
        let kinds = [libc::EIO, libc::ENOSPC, libc::EMFILE, libc::ENOMEM];
        let error = io::Error::from_raw_os_error(kinds[(drawn / 100 % 4) as usize]);
        Err(io::Error::new(error.kind(), format!("injected at {point}: {error}")))
    }

    /// Shims are processes of their own: what tells them apart is their number and the time.
    fn draw(seed: u64, point: &str, number: u64) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let text = format!("{seed} {point} {number} {} {now}", std::process::id());
        // The low bits of the hash are those of its last bytes.
        fnv1a(text.as_bytes()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
    }

    fn parse(text: &str) -> Plan {
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        let numbers =
            pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        let (seeds, points): (Vec<_>, Vec<_>) = numbers.partition(|(name, _)| name == "seed");
        Plan { seed: seeds.first().map_or(0, |(_, seed)| *seed), points }
    }
}
