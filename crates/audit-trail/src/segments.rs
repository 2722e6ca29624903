//! The files of the trail: numbered segments, the last of which grows.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// For root alone: the trail says who does what.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const EXTENSION: &str = "jsonl";

/// Writes segments; there is one in a process, and the data directory's lock keeps others away.
#[derive(Debug)]
pub(crate) struct Segments {
    directory: PathBuf,
    bytes_max: u64,
    /// Without: the next write begins one.
    open: Option<OpenSegment>,
}

#[derive(Debug)]
struct OpenSegment {
    file: File,
    bytes: u64,
}

impl Segments {
    /// Makes the directory where it is not. The first write begins a segment of its own, so that a line that a crash tore stays the
    /// last of its file.
    pub fn open(directory: &Path, bytes_max: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(DIRECTORY_MODE))?;
        numbers(directory)?;
        Ok(Self { directory: directory.to_owned(), bytes_max, open: None })
    }

    /// Writes whole lines, or none of them.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = lines.len() as u64;
        if self.open.as_ref().is_some_and(|open| open.bytes + length > self.segment_bytes()) {
            self.close();
        }
        if self.open.is_none() {
            self.make_room(length.max(self.segment_bytes()))?;
            self.open = Some(self.begin()?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        match open.file.write_all(lines) {
            Ok(()) => {
                open.bytes += length;
                Ok(())
            }
            Err(error) => {
                // A part of a line would be read as damage.
                let mended = open.file.set_len(open.bytes);
                if mended.is_err() || open.file.seek(SeekFrom::Start(open.bytes)).is_err() {
                    self.open = None;
                }
                Err(error)
            }
        }
    }

    /// Has the disk keep what was written.
    pub fn sync(&mut self) {
        if let Some(open) = &self.open {
            // What the disk loses in a crash of the machine is the end of a log: nobody was promised more.
            let _ = open.file.sync_data();
        }
    }

    /// Sixteen of them, so that what goes at once is not much of the whole.
    fn segment_bytes(&self) -> u64 {
        self.bytes_max / 16
    }

    fn close(&mut self) {
        self.sync();
        self.open = None;
    }

    /// Removes the oldest until so many bytes fit.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let numbers = numbers(&self.directory)?;
        let size = |number: &u64| {
            fs::metadata(path(&self.directory, *number)).map_or(0, |metadata| metadata.len())
        };
        let mut total: u64 = numbers.iter().map(size).sum();
        for number in numbers {
            if total + bytes <= self.bytes_max {
                break;
            }
            total -= size(&number);
            fs::remove_file(path(&self.directory, number))?;
        }
        Ok(())
    }

    fn begin(&self) -> io::Result<OpenSegment> {
        let number = numbers(&self.directory)?.last().map_or(1, |last| last + 1);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        Ok(OpenSegment { file: options.open(path(&self.directory, number))?, bytes: 0 })
    }
}

/// The segments that are there, oldest first.
pub(crate) fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = PathBuf::from(entry?.file_name());
        if name.extension().is_some_and(|extension| extension == EXTENSION)
            && let Some(number) = name.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// A segment as a reader sees it; `None` when it was removed meanwhile.
pub(crate) fn open_to_read(directory: &Path, number: u64) -> io::Result<Option<(File, u64)>> {
    match File::open(path(directory, number)) {
        Ok(file) => {
            let length = file.metadata()?.len();
            Ok(Some((file, length)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes of a piece of a segment.
pub(crate) fn read_piece(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.{EXTENSION}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(directory: &Path) -> Vec<String> {
        let numbers = numbers(directory).unwrap();
        numbers.iter().map(|number| fs::read_to_string(path(directory, *number)).unwrap()).collect()
    }

    #[test]
    fn the_oldest_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("audit");
        let mut segments = Segments::open(&below, 160).unwrap();
        for number in 0..20 {
            segments.write(format!("line {number:02}\n").as_bytes()).unwrap();
        }
        let written = written(&below);
        let bytes: usize = written.iter().map(String::len).sum();
        assert!(bytes <= 160, "{bytes}: {written:?}");
        assert_eq!(written.last().map(String::as_str), Some("line 19\n"));
        assert!(!written.concat().contains("line 00"), "{written:?}");
        assert!(written.concat().contains("line 05"), "{written:?}");
    }

    #[test]
    fn they_are_for_root_and_go_on_after_a_start() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("audit");
        for text in ["a\n", "b\n"] {
            let mut segments = Segments::open(&below, 1 << 20).unwrap();
            segments.write(text.as_bytes()).unwrap();
        }
        assert_eq!(written(&below), ["a\n", "b\n"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&below), mode(&path(&below, 1))), (DIRECTORY_MODE, FILE_MODE));
    }
}
