//! What of a container's log cannot be read: said in this node's log, counted, and named in the stream itself.
//!
//! **Invariant:** nothing of a log is said twice while its shipper lives, however often it reads a part again; this node's
//! log names a segment once.

use std::path::Path;

use metrics::counter;
use outport_container_runtime::LogCursor;
use outport_container_runtime::log::segment_path;
use outport_model::TaskId;

/// What was said of one log.
pub struct LogDamage {
    /// Where the last damage begins.
    said: Option<LogCursor>,
}

impl LogDamage {
    /// Nothing yet; it is counted as that.
    pub fn new() -> Self {
        counter!("outport_log_damages_total").increment(0);
        Self { said: None }
    }

    /// Says that nothing can be read from a cursor on, for as many bytes of the file; `None` where it is gone or shorter.
    /// Answers the line that stands in the stream instead.
    pub fn say(
        &mut self,
        task: &TaskId,
        container: &str,
        log_dir: &Path,
        from: LogCursor,
        bytes: Option<u64>,
    ) -> String {
        let path = segment_path(log_dir, from.segment);
        let offset = from.offset;
        let bytes = bytes.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string());
        if self.said < Some(from) {
            counter!("outport_log_damages_total").increment(1);
        }
        if self.said.is_none_or(|said| said.segment < from.segment) {
            tracing::warn!(
                event = "container_log_damaged",
                %task,
                container,
                path = %path.display(),
                offset,
                bytes,
                "a part of a container's log cannot be read: its lines are lost"
            );
        }
        self.said = self.said.max(Some(from));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        format!(
            "[outport] log lines dropped: unknown ({bytes} bytes): {name} cannot be read from byte {offset} on"
        )
    }
}
