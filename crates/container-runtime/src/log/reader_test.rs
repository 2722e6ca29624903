//! Logs that somebody has damaged: what is whole is given once and in order, the rest is said, and nothing is waited for that
//! does not come.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::frame::encode_line;
use super::{LogContent, LogCursor, LogReader, LogStream, LogWriter, segment_path};
use crate::spec::LogSettings;

/// What is read and said, as text: `!` for what cannot be read, with its segment, offset and bytes.
#[derive(Default)]
struct Seen {
    texts: Vec<String>,
    cursor: LogCursor,
}

impl Seen {
    /// Reads with a new reader, as after a restart of the agent, what there is.
    fn read(&mut self, log_dir: &Path, is_ended: bool) {
        let mut reader = LogReader::new(log_dir, self.cursor);
        self.read_on(&mut reader, is_ended);
    }

    fn read_on(&mut self, reader: &mut LogReader, is_ended: bool) {
        if is_ended {
            reader.set_ended();
        }
        while let Some(frame) = reader.next().unwrap() {
            assert!(self.cursor < frame.next, "{frame:?} after {:?}", self.cursor);
            assert_eq!(frame.next, reader.cursor());
            self.cursor = frame.next;
            self.texts.push(match frame.content {
                LogContent::Line { bytes, .. } => String::from_utf8(bytes).unwrap(),
                LogContent::Damaged { from, bytes: Some(bytes) } => {
                    format!("!{} {} {bytes}", from.segment, from.offset)
                }
                LogContent::Damaged { from, bytes: None } => {
                    format!("!{} {} ?", from.segment, from.offset)
                }
                LogContent::Dropped { .. } => panic!("{frame:?}"),
            });
        }
    }
}

fn frame(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode_line(&mut out, 7, LogStream::Stdout, false, text.as_bytes());
    out
}

fn append(path: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn writer(log_dir: &Path, texts: &[&str]) -> LogWriter {
    let mut writer = LogWriter::create(log_dir, LogSettings::default()).unwrap();
    write(&mut writer, texts);
    writer
}

fn write(writer: &mut LogWriter, texts: &[&str]) {
    for text in texts {
        writer.push(LogStream::Stdout, 7, text.as_bytes(), false);
        writer.flush();
    }
}

/// In the first, a middle and the last frame of a segment, with and without a later one, while the shim goes on and after it
/// is gone.
#[test]
fn every_flipped_bit_costs_its_line_and_no_other() {
    let texts = ["first", "the one", "last"];
    let whole: Vec<u8> = texts.iter().flat_map(|text| frame(text)).collect();
    let begins = [0, 25, 52, whole.len()];
    for bit in 0..whole.len() * 8 {
        let scratch = tempfile::tempdir().unwrap();
        let path = segment_path(scratch.path(), 1);
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let at = begins.iter().rposition(|begin| *begin <= bit / 8).unwrap();
        let mut expected = texts.map(str::to_owned).to_vec();
        expected[at] = format!("!1 {} {}", begins[at], begins[at + 1] - begins[at]);
        for later in [false, true] {
            fs::write(&path, &flipped).unwrap();
            let mut next = expected.clone();
            if later {
                fs::write(segment_path(scratch.path(), 2), frame("later")).unwrap();
                next.push("later".to_owned());
            }
            let mut seen = Seen::default();
            seen.read(scratch.path(), true);
            assert_eq!(seen.texts, next, "bit {bit}, later {later}");
            seen.read(scratch.path(), true);
            assert_eq!(seen.texts, next, "bit {bit}, later {later}: no more");
        }
        fs::remove_file(segment_path(scratch.path(), 2)).unwrap();
        let (mut seen, mut new_readers) = (Seen::default(), Seen::default());
        let mut reader = LogReader::new(scratch.path(), LogCursor::default());
        for number in 0..3 {
            seen.read_on(&mut reader, false);
            new_readers.read(scratch.path(), false);
            let text = format!("more {number}");
            append(&path, &frame(&text));
            expected.push(text);
        }
        seen.read_on(&mut reader, false);
        new_readers.read(scratch.path(), false);
        assert_eq!((seen.texts, new_readers.texts), (expected.clone(), expected), "bit {bit}");
    }
}

/// It may hold the bytes of a frame, as what a container writes is its own affair.
#[test]
fn a_line_that_is_being_written_is_waited_for() {
    let inner = frame("inner");
    let mut line = Vec::new();
    encode_line(&mut line, 7, LogStream::Stdout, false, &[&b"<"[..], &inner, b">>>"].concat());
    let scratch = tempfile::tempdir().unwrap();
    let path = segment_path(scratch.path(), 1);
    let inner_end = super::frame::HEADER_BYTES + 1 + inner.len();
    for cut in (0..line.len()).filter(|cut| *cut != inner_end) {
        fs::write(&path, frame("first")).unwrap();
        append(&path, &line[..cut]);
        let mut reader = LogReader::new(scratch.path(), LogCursor::default());
        for _ in 0..2 {
            let _first = reader.next().unwrap();
            assert_eq!(reader.next().unwrap(), None, "cut at {cut}");
            assert_eq!(reader.cursor(), LogCursor { segment: 1, offset: 25 });
        }
        append(&path, &line[cut..]);
        let frame = reader.next().unwrap().unwrap();
        assert!(matches!(frame.content, LogContent::Line { bytes, .. } if bytes.len() == 29));
    }
}

#[test]
fn a_tail_that_nobody_completes_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let path = segment_path(scratch.path(), 1);
    for cut in 1..frame("torn").len() {
        fs::write(&path, frame("first")).unwrap();
        append(&path, &frame("torn")[..cut]);
        let mut seen = Seen::default();
        seen.read(scratch.path(), false);
        assert_eq!(seen.texts, ["first"]);
        seen.read(scratch.path(), true);
        assert_eq!(seen.texts, ["first".to_owned(), format!("!1 25 {cut}")]);
    }
}

/// Bytes that a shim on a full disk has cut off again, and what it wrote there since.
#[test]
fn what_was_cut_off_again_is_no_damage() {
    let scratch = tempfile::tempdir().unwrap();
    let path = segment_path(scratch.path(), 1);
    fs::write(&path, frame("first")).unwrap();
    append(&path, &frame("given up")[..22]);
    let mut seen = Seen::default();
    let mut reader = LogReader::new(scratch.path(), LogCursor::default());
    seen.read_on(&mut reader, false);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(25).unwrap();
    append(&path, &frame("something else"));
    seen.read_on(&mut reader, false);
    assert_eq!(seen.texts, ["first", "something else"]);
}

/// At every length, while the reader is away and while it has the file open.
#[test]
fn a_cut_file_is_said_and_the_shim_goes_on_in_another() {
    for length in 0..49 {
        for is_away in [false, true] {
            let scratch = tempfile::tempdir().unwrap();
            let mut writer = writer(scratch.path(), &["first"]);
            let mut seen = Seen::default();
            let mut reader = LogReader::new(scratch.path(), LogCursor::default());
            seen.read_on(&mut reader, false);
            write(&mut writer, &["last"]);
            let path = segment_path(scratch.path(), 1);
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
            for text in ["one", "two"] {
                match is_away {
                    true => seen.read(scratch.path(), false),
                    false => seen.read_on(&mut reader, false),
                }
                // At once, as a shim of an older version goes on in the same file.
                assert!(length >= 25 || seen.texts[1] == "!1 25 ?", "length {length}");
                write(&mut writer, &[text]);
            }
            seen.read(scratch.path(), true);
            let mut expected = vec!["first".to_owned(), "one".to_owned(), "two".to_owned()];
            match length {
                0..25 => expected.insert(1, "!1 25 ?".to_owned()),
                // Whole frames only: nobody can tell.
                25 => {}
                length => expected.insert(1, format!("!1 25 {}", length - 25)),
            }
            assert_eq!(seen.texts, expected, "length {length}, away {is_away}");
        }
    }
}

#[test]
fn a_removed_file_is_said_and_the_shim_goes_on_in_another() {
    let scratch = tempfile::tempdir().unwrap();
    let mut writer = writer(scratch.path(), &["first"]);
    let mut seen = Seen::default();
    seen.read(scratch.path(), false);
    write(&mut writer, &["lost"]);
    fs::remove_file(segment_path(scratch.path(), 1)).unwrap();
    for _ in 0..2 {
        seen.read(scratch.path(), false);
        assert_eq!(seen.texts, ["first", "!1 25 ?"]);
    }
    write(&mut writer, &["one"]);
    seen.read(scratch.path(), false);
    assert_eq!(seen.texts, ["first", "!1 25 ?", "one"]);
    // One between two.
    for number in [3, 4] {
        fs::write(segment_path(scratch.path(), number), frame(&number.to_string())).unwrap();
    }
    fs::remove_file(segment_path(scratch.path(), 3)).unwrap();
    seen.read(scratch.path(), false);
    assert_eq!(seen.texts[3..], ["!3 0 ?", "4"]);
}

/// As it has no room before what it cannot read is passed over.
#[test]
fn a_full_shim_goes_on_behind_damage() {
    let scratch = tempfile::tempdir().unwrap();
    let mode = crate::spec::LogMode::Blocking { unshipped_bytes_max: 40 };
    let settings = LogSettings { mode, ..LogSettings::default() };
    for damage in [None, Some(&b""[..]), Some(&[0xff; 49])] {
        let log_dir = scratch.path().join(format!("{damage:?}"));
        let mut writer = LogWriter::create(&log_dir, settings.clone()).unwrap();
        write(&mut writer, &["first", "last"]);
        assert!(writer.is_full());
        let path = segment_path(&log_dir, 1);
        match damage {
            None => fs::remove_file(path).unwrap(),
            Some(bytes) => fs::write(path, bytes).unwrap(),
        }
        let mut seen = Seen { cursor: LogCursor { segment: 1, offset: 1 }, ..Seen::default() };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while writer.is_full() {
            assert!(std::time::Instant::now() < deadline, "{damage:?}");
            seen.read(&log_dir, false);
            seen.cursor.mark_shipped(&log_dir).unwrap();
        }
        write(&mut writer, &["on"]);
        seen.read(&log_dir, false);
        assert_eq!((seen.texts.len(), seen.texts[1].as_str()), (2, "on"), "{damage:?}");
    }
}
