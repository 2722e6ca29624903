//! What a container wrote that logs nowhere: its files on this host, which the node keeps for an hour after the task has
//! stopped.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use outport_container_runtime::{
    ContainerKey, LogContent, LogCursor, LogReader, kept_log_directory, log_directory,
};

use crate::logs::Line;

/// The files of one container.
pub struct LocalLog {
    reader: LogReader,
    /// Where they go once the container is over; `None` when they are read there.
    kept: Option<PathBuf>,
    /// The beginning of a line whose end is in another frame.
    begun: Vec<u8>,
}

impl LocalLog {
    /// `node` is the node's part of the data directory. `None` when there is no such log on this host.
    pub fn find(node: &Path, task: &str, container: &str) -> Option<Self> {
        let key = ContainerKey::new(task, container).ok()?;
        let (running, kept) = (log_directory(node, &key), kept_log_directory(node, &key));
        // Nobody but root looks in there.
        let is_there = |directory: &Path| std::fs::read_dir(directory).is_ok();
        // In this order: it may go from one to the other meanwhile.
        let (directory, kept) = match is_there(&running) {
            true => (running, Some(kept)),
            false if is_there(&kept) => (kept, None),
            false => return None,
        };
        let reader = LogReader::new(&directory, LogCursor::default());
        let mut log = Self { reader, kept, begun: Vec::new() };
        if log.kept.is_none() {
            log.reader.set_ended();
        }
        Some(log)
    }

    /// Whether nothing more will be written to it.
    pub fn is_over(&self) -> bool {
        self.kept.is_none()
    }

    /// Reads on where the files went, if they did since the last look.
    fn follow_to_kept(&mut self) -> bool {
        let Some(kept) = self.kept.take_if(|kept| kept.is_dir()) else { return false };
        self.reader = LogReader::new(&kept, self.reader.cursor());
        self.reader.set_ended();
        true
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
                Ok(None) if self.follow_to_kept() => continue,
                Ok(None) => break,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if self.follow_to_kept() {
                        continue;
                    }
                    // The task ended long ago, and its files went after it.
                    break;
                }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use outport_container_runtime::log::segment_path;

    use super::*;

    fn texts(log: &mut LocalLog) -> Vec<String> {
        log.lines().unwrap().into_iter().map(|line| line.text).collect()
    }

    /// A frame as a shim writes it: see `container-runtime`'s `log::frame`.
    fn line(text: &str) -> Vec<u8> {
        let summed = [&1_000_000_u64.to_le_bytes()[..], &[1, 0, 0, 0], text.as_bytes()].concat();
        let mut sum = flate2::Crc::new();
        sum.update(&summed);
        let length = u32::try_from(text.len()).unwrap();
        [&length.to_le_bytes()[..], &sum.sum().to_le_bytes(), &summed].concat()
    }

    #[test]
    fn what_goes_to_where_it_is_kept_is_read_on_there() {
        let node = tempfile::tempdir().unwrap();
        let key = ContainerKey::new("t1", "web").unwrap();
        let (running, kept) =
            (log_directory(node.path(), &key), kept_log_directory(node.path(), &key));
        fs::create_dir_all(&running).unwrap();
        fs::write(segment_path(&running, 1), line("one")).unwrap();
        let mut log = LocalLog::find(node.path(), "t1", "web").unwrap();
        assert_eq!(texts(&mut log), ["one"]);
        fs::write(segment_path(&running, 1), [line("one"), line("two")].concat()).unwrap();
        fs::write(segment_path(&running, 2), line("three")).unwrap();
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        fs::rename(&running, &kept).unwrap();
        assert_eq!(texts(&mut log), ["two", "three"]);
        // Who comes later finds all of it.
        let mut later = LocalLog::find(node.path(), "t1", "web").unwrap();
        assert_eq!(texts(&mut later), ["one", "two", "three"]);
        fs::remove_dir_all(&kept).unwrap();
        assert_eq!(texts(&mut log), Vec::<String>::new());
        assert!(LocalLog::find(node.path(), "t1", "web").is_none());
    }
}
