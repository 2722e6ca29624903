//! A container's output as framed, append-only segment files.
//!
//! ```text
//! <log>/<segment, 16 hex digits>.log   frames, see `frame`
//! <log>/shipped                        the cursor up to which everything has been taken over
//! ```
//!
//! **Invariant:** the shim is the only writer of segments, the agent the only writer of `shipped`.
//! The shim never waits for the agent, but for the container's sake in blocking mode; it never holds
//! more on disk than the mode allows, by one segment at most; what it drops it counts.

mod cursor;
mod frame;
mod lines;
mod reader;
#[cfg(test)]
mod reader_test;
mod watch;
mod writer;

pub use cursor::LogCursor;
pub use frame::{LogContent, LogFrame, LogStream};
pub(crate) use lines::LineSplitter;
pub use reader::LogReader;
pub use watch::{LogChange, LogWatch, WatchId};
pub(crate) use writer::LogWriter;

use std::path::{Path, PathBuf};

/// Segments are numbered from 1.
pub const SEGMENT_FIRST: u64 = 1;

/// The file of a segment in the directory of its log.
pub fn segment_path(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("{segment:016x}.log"))
}

/// The numbers of the segments there are, in order.
pub(crate) fn segments(directory: &Path) -> std::io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        found.extend(number.and_then(|number| u64::from_str_radix(number, 16).ok()));
    }
    found.sort_unstable();
    Ok(found)
}
