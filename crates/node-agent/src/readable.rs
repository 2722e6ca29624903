//! Waiting for a descriptor without holding a thread.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a value that owns its descriptor; gives it back when the kernel cannot wait for it.
#[allow(
    deprecated,
    reason = "its replacement is unsafe; T owns one descriptor, which AsFd ties to its life"
)]
pub fn readable<T: AsFd + AsRawFd>(owner: T) -> Result<AsyncFd<T>, (T, io::Error)> {
    AsyncFd::try_with_interest(owner, Interest::READABLE).map_err(|refused| refused.into_parts())
}
