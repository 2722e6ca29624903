//! The file that says how much was acknowledged.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const NUMBER_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

/// `N` numbers in a file (0600): little endian, 8 bytes each, with the CRC-32 of them behind.
///
/// It is written after each commit and never synced. So a `kill -9` at any instant leaves at most the number of the commit
/// before (what a process wrote is the kernel's at once), and a power loss may leave an older one, or one that is torn and
/// counts as none. None of them is ahead of what is durable, as the commit was synced before. The price is one write of
/// some bytes into memory for each commit.
#[derive(Debug)]
pub struct Acknowledged<const N: usize> {
    path: PathBuf,
    /// `None`: there is none yet, or it could not be made.
    file: Option<File>,
    numbers: Option<[u64; N]>,
}

impl<const N: usize> Acknowledged<N> {
    /// Reads the numbers, if there are any. A file that is missing, short or damaged says nothing: it is only ever a second
    /// opinion.
    ///
    /// # Errors
    /// When there is a file and it cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, file: None, numbers: None });
            }
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; N * NUMBER_BYTES + CHECKSUM_BYTES];
        let numbers = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => parse(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path, file: Some(file), numbers })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was written last; `None` when nothing is known.
    pub fn numbers(&self) -> Option<[u64; N]> {
        self.numbers
    }

    /// Writes the numbers. When that fails it is said in the log, and the next start compares less.
    pub fn set(&mut self, numbers: [u64; N]) {
        self.numbers = Some(numbers);
        if let Err(error) = self.write(&bytes_of(&numbers)) {
            tracing::warn!(
                event = "commit_count_not_written",
                path = %self.path.display(),
                %error,
                "cannot write how much was acknowledged"
            );
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(false).mode(0o600);
                self.file.insert(options.open(&self.path)?)
            }
        };
        file.write_all_at(bytes, 0)
    }
}

fn bytes_of<const N: usize>(numbers: &[u64; N]) -> Vec<u8> {
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn parse<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (numbers, checksum) = bytes.split_at_checked(N * NUMBER_BYTES)?;
    if crc32fast::hash(numbers).to_le_bytes() != *checksum {
        return None;
    }
    let mut parsed = [0; N];
    for (number, bytes) in parsed.iter_mut().zip(numbers.chunks_exact(NUMBER_BYTES)) {
        *number = u64::from_le_bytes(bytes.try_into().ok()?);
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn numbers_read_back_and_damaged_ones_say_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acknowledged");
        let mut count = Acknowledged::<2>::open(&path).unwrap();
        assert_eq!(count.numbers(), None);
        assert!(!path.exists(), "it is made when there is something to say");
        count.set([1, u64::MAX]);
        count.set([7, 9]);
        let read = || Acknowledged::<2>::open(&path).unwrap().numbers();
        assert_eq!(read(), Some([7, 9]));
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, flipped).unwrap();
            assert_eq!(read(), None, "bit {bit}");
        }
        for length in 0..good.len() {
            std::fs::write(&path, &good[..length]).unwrap();
            assert_eq!(read(), None, "cut at {length}");
        }
    }

    /// The bytes of the first version, in `journal.acknowledged` of the store.
    #[test]
    fn old_bytes_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acknowledged");
        let bytes = [0x19, 0, 0, 0, 0, 0, 0, 0, 0x69, 0xf5, 0xd6, 0x06];
        std::fs::write(&path, bytes).unwrap();
        let mut count = Acknowledged::<1>::open(&path).unwrap();
        assert_eq!(count.numbers(), Some([25]));
        count.set([25]);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
