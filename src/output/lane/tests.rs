use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a stream does with the next write.
enum Fate {
    Take,
    /// So many bytes, then the disk is full.
    Part(usize),
    Full,
}

/// A stream whose every write waits for its fate; when nobody decides any more, all is taken.
struct Fated {
    fates: Receiver<Fate>,
    written: Sender<Vec<u8>>,
    fails_next: bool,
}

impl Write for Fated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.fails_next) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match self.fates.recv().unwrap_or(Fate::Take) {
            Fate::Take => {
                self.written.send(bytes.to_vec()).map_err(io::Error::other)?;
                Ok(bytes.len())
            }
            Fate::Part(count) => {
                self.fails_next = true;
                self.written.send(bytes[..count].to_vec()).map_err(io::Error::other)?;
                Ok(count)
            }
            Fate::Full => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fated() -> (Lane, Sender<Fate>, Receiver<Vec<u8>>) {
    let (fates, decided) = channel();
    let (written, read) = channel();
    let stream = Mutex::new(Some(Fated { fates: decided, written, fails_next: false }));
    (Lane::new("test", move || stream.lock().unwrap().take().unwrap()), fates, read)
}

fn finish(lane: &Lane) {
    lane.finish(Instant::now() + PATIENCE);
    assert!(lane.shared.lock().is_idle());
}

fn text(written: &Receiver<Vec<u8>>) -> String {
    String::from_utf8(written.try_iter().flatten().collect()).unwrap()
}

#[test]
fn what_cannot_be_written_is_counted_and_said_later() {
    let (lane, fates, written) = fated();
    for fate in [Fate::Take, Fate::Full, Fate::Full, Fate::Take, Fate::Take] {
        fates.send(fate).unwrap();
    }
    for line in ["one\n", "two\n", "three\n", "four\n"] {
        lane.put(line.into());
    }
    finish(&lane);
    assert_eq!(
        text(&written),
        "one\noutport: lines of the log that could not be written: 2\nfour\n"
    );
}

#[test]
fn a_torn_line_is_ended_before_the_next() {
    let (lane, fates, written) = fated();
    lane.put("first\n".into());
    fates.send(Fate::Take).unwrap();
    fates.send(Fate::Part(3)).unwrap();
    drop(fates);
    lane.put("second\n".into());
    lane.put("third\n".into());
    finish(&lane);
    assert_eq!(
        text(&written),
        "first\nsec\noutport: lines of the log that could not be written: 1\nthird\n"
    );
}

#[test]
fn a_stream_that_nobody_reads_makes_nobody_wait_and_takes_little_memory() {
    const LINES: usize = 50_000;
    let (lane, fates, written) = fated();
    let line = |number: usize| format!("{number:0>99}\n").into_bytes();
    lane.put(line(0));
    // Before the writer has the first line there is one place less, and lines would be lost twice.
    while !lane.shared.lock().is_writing {
        std::thread::yield_now();
    }
    for number in 1..LINES {
        lane.put(line(number));
    }
    assert!(lane.shared.lock().bytes <= QUEUE_BYTES_MAX);
    let began = Instant::now();
    lane.finish(began + Duration::from_millis(10));
    assert!(!lane.shared.lock().is_idle());
    drop(fates);
    finish(&lane);
    let text = text(&written);
    let (notices, lines): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("outport: "));
    let lost: usize = notices[0].rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!((notices.len(), lines.len() + lost), (1, LINES));
    assert!(
        lines.iter().enumerate().all(|(number, text)| line(number).starts_with(text.as_bytes()))
    );
    assert_eq!(lane.shared.lock().lines.capacity(), 0);
}

#[test]
fn a_line_that_is_too_long_is_lost_alone() {
    let (lane, fates, written) = fated();
    drop(fates);
    lane.put(vec![b'x'; QUEUE_BYTES_MAX + 1]);
    lane.put("next\n".into());
    finish(&lane);
    let text = text(&written);
    assert!(text.ends_with("next\n") && text.contains("written: 1\n"), "{text:?}");
}
