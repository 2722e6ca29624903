//! What a test logs. A test has one thread, so its subscriber is the thread's.

use std::io::Write;
use std::sync::{Arc, Mutex, Once};

use tracing::subscriber::DefaultGuard;

/// Where the subscriber writes. A clone is the same.
#[derive(Clone, Default)]
pub struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    /// Of a subscriber that writes JSON.
    pub fn lines(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What this thread logs, as long as the guard is kept.
pub fn log() -> (Written, DefaultGuard) {
    // Of a line that a thread without a subscriber logs first, while there is one subscriber, tracing remembers that nobody
    // wants it, for all threads. So there is one that wants all, and does nothing with it.
    static EVERYBODY: Once = Once::new();
    EVERYBODY.call_once(|| {
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    });
    let written = Written::default();
    let lines = written.clone();
    let log = tracing_subscriber::fmt().json().with_writer(move || lines.clone()).finish();
    (written, tracing::subscriber::set_default(log))
}
