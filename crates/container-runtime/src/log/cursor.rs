//! A position between two frames of a log.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::private;

/// The cursor that the agent has reached: segment and offset, each as eight bytes, little end first.
pub(super) const SHIPPED_FILE: &str = "shipped";
const SHIPPED_BYTES: usize = 16;

/// A segment and an offset in it. The default is the beginning of the oldest segment there is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct LogCursor {
    pub segment: u64,
    pub offset: u64,
}

/// Beyond the end of every segment.
const GIVEN_UP_OFFSET: u64 = u32::MAX as u64;

impl LogCursor {
    /// Behind a segment of which nothing more can be read, while there is no later one. A shim that has not begun one takes
    /// no notice of it.
    #[must_use]
    pub fn given_up(self) -> LogCursor {
        LogCursor { offset: GIVEN_UP_OFFSET, ..self }
    }

    /// Whether nothing more is to be read of its segment.
    pub fn is_given_up(self) -> bool {
        self.offset == GIVEN_UP_OFFSET
    }

    /// Tells the shim that everything before this cursor has been taken over: it may delete it, and
    /// a blocked or full log goes on.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn mark_shipped(self, log_dir: &Path) -> io::Result<()> {
        let number = u128::from(self.segment) | u128::from(self.offset) << 64;
        // In place: a file for every batch would cost more than the batch. Who reads half of it takes
        // one number from before and one from now, and looks again before it matters.
        let path = log_dir.join(SHIPPED_FILE);
        let file = private::options().write(true).create(true).truncate(false).open(path)?;
        file.write_all_at(&number.to_le_bytes(), 0)
    }

    /// The cursor last marked.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn shipped(log_dir: &Path) -> io::Result<LogCursor> {
        let file = match File::open(log_dir.join(SHIPPED_FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(LogCursor::default()),
            opened => opened?,
        };
        let mut bytes = [0; SHIPPED_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            // Made, and not written yet.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(LogCursor::default()),
            done => {
                let number = u128::from_le_bytes(bytes);
                done.map(|()| LogCursor { segment: number as u64, offset: (number >> 64) as u64 })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_marked_is_read() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(LogCursor::shipped(scratch.path()).unwrap(), LogCursor::default());
        for (segment, offset) in [(1, 17), (3, u64::MAX)] {
            let cursor = LogCursor { segment, offset };
            cursor.mark_shipped(scratch.path()).unwrap();
            assert_eq!(LogCursor::shipped(scratch.path()).unwrap(), cursor);
        }
    }

    #[test]
    fn the_bytes_of_version_1_are_still_read() {
        let scratch = tempfile::tempdir().unwrap();
        let bytes = [2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        std::fs::write(scratch.path().join(SHIPPED_FILE), bytes).unwrap();
        let expected = LogCursor { segment: 2, offset: 256 };
        assert_eq!(LogCursor::shipped(scratch.path()).unwrap(), expected);
    }
}
