//! What a container wrote that logs nowhere: its files on this host, which are there as long as the task is.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;
use outport_container_runtime::{ContainerKey, LogContent, LogCursor, LogReader, log_directory};

use crate::logs::Line;

/// The files of one container.
pub struct LocalLog {
    reader: LogReader,
    /// The beginning of a line whose end is in another frame.
    begun: Vec<u8>,
}

impl LocalLog {
    /// `node` is the node's part of the data directory. `None` when there is no such log on this host.
    pub fn find(node: &Path, task: &str, container: &str) -> Option<Self> {
        let directory = log_directory(node, &ContainerKey::new(task, container).ok()?);
        // Nobody but root looks in there.
        std::fs::read_dir(&directory).ok()?;
        Some(Self { reader: LogReader::new(&directory, LogCursor::default()), begun: Vec::new() })
    }

    /// What came since the last look.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn lines(&mut self) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        loop {
            let frame = match self.reader.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                // The task has ended, and its files with it.
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(error.into()),
            };
            let at_ms = i64::try_from(frame.time_ns / 1_000_000).unwrap_or(i64::MAX);
            let text = match frame.content {
                LogContent::Line { partial, bytes, .. } => {
                    self.begun.extend(bytes);
                    if partial {
                        continue;
                    }
                    String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned()
                }
                LogContent::Dropped { lines, bytes } => {
                    format!("[{lines} lines, {bytes} bytes, were dropped here]")
                }
                LogContent::Damaged { .. } => "[a part of the log cannot be read]".to_owned(),
            };
            lines.push(Line { at_ms, text });
        }
        Ok(lines)
    }
}
