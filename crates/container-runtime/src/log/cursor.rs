//! A position between two frames of a log.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::record::{read_whole, write_whole};

const SHIPPED_FILE: &str = "shipped";

/// A segment and an offset in it. The default is the beginning of the oldest segment there is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LogCursor {
    pub segment: u64,
    pub offset: u64,
}

impl LogCursor {
    /// Tells the shim that everything before this cursor has been taken over: it may delete it, and
    /// a blocked or full log goes on.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn mark_shipped(self, log_dir: &Path) -> io::Result<()> {
        write_whole(&log_dir.join(SHIPPED_FILE), &self, false)
    }

    /// The cursor last marked.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn shipped(log_dir: &Path) -> io::Result<LogCursor> {
        Ok(read_whole(&log_dir.join(SHIPPED_FILE))?.unwrap_or_default())
    }
}
