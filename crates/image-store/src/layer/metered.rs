//! What one unpacking has cost so far: bytes read and written, entries, time; and the readers that count.
//!
//! The limits are applied where bytes come out of the decompressor, so that neither the tar reader nor the code
//! behind it can be made to hold or write more, whatever sizes the headers claim; and, for what costs nothing to
//! claim (holes, directories on the way), before it is made.

use super::limits::{LIMIT_ON_BYTES, UnpackLimits};
use crate::digest::Digest;
use sha2::{Digest as _, Sha256};
use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;
use std::time::Instant;

/// The counters of one unpacking, shared by its readers and the loop over the entries.
pub struct Meter {
    limits: UnpackLimits,
    begun: Instant,
    compressed: Cell<u64>,
    decompressed: Cell<u64>,
    /// Bytes of files, holes included.
    claimed: Cell<u64>,
    /// Entries and implied directories.
    made: Cell<u64>,
    /// Bytes that may still be read before the next entry begins; `None` while an entry's content is read.
    header_allowance: Cell<Option<u64>>,
    exceeded: Cell<Option<&'static str>>,
    hasher: RefCell<Sha256>,
}

impl Meter {
    pub fn new(limits: UnpackLimits) -> Rc<Meter> {
        Rc::new(Meter {
            limits,
            begun: Instant::now(),
            compressed: Cell::new(0),
            decompressed: Cell::new(0),
            claimed: Cell::new(0),
            made: Cell::new(0),
            header_allowance: Cell::new(None),
            exceeded: Cell::new(None),
            hasher: RefCell::new(Sha256::new()),
        })
    }

    /// From here to the next [`Meter::content`], only headers may be read.
    pub fn headers(&self) {
        self.header_allowance.set(Some(self.limits.header_bytes_max));
    }

    /// From here, an entry's content is read.
    pub fn content(&self) {
        self.header_allowance.set(None);
    }

    /// One more entry or directory is going to be made.
    pub fn make(&self) -> io::Result<()> {
        self.made.set(self.made.get() + 1);
        if self.made.get() > self.limits.entries_max { self.refuse("entries") } else { Ok(()) }
    }

    /// A file of so many bytes, holes included, is going to be made.
    pub fn claim(&self, bytes: u64) -> io::Result<()> {
        self.claimed.set(self.claimed.get().saturating_add(bytes));
        if self.claimed.get() > self.limits.bytes_max {
            self.refuse(LIMIT_ON_BYTES)
        } else {
            Ok(())
        }
    }

    /// Too many paths of directories are held in memory.
    pub fn refuse_directories(&self) -> io::Result<()> {
        self.refuse("directories")
    }

    /// The limit that ended the work, if one did: the error that surfaces may be another's words.
    pub fn exceeded(&self) -> Option<&'static str> {
        self.exceeded.get()
    }

    pub fn decompressed(&self) -> u64 {
        self.decompressed.get()
    }

    /// The digest of all bytes read so far: the diff id, once the stream has ended.
    pub fn digest(&self) -> Digest {
        Digest::from_hasher(self.hasher.borrow().clone())
    }

    fn account(&self, bytes: &[u8]) -> io::Result<()> {
        let read = bytes.len() as u64;
        let total = self.decompressed.get() + read;
        self.decompressed.set(total);
        self.hasher.borrow_mut().update(bytes);
        if total > self.limits.bytes_max {
            return self.refuse(LIMIT_ON_BYTES);
        }
        let allowed = self.compressed.get().saturating_mul(self.limits.ratio_max);
        if total > self.limits.ratio_free_bytes && total > allowed {
            return self.refuse("compression ratio");
        }
        if let Some(allowance) = self.header_allowance.get() {
            match allowance.checked_sub(read) {
                Some(left) => self.header_allowance.set(Some(left)),
                None => return self.refuse("header bytes"),
            }
        }
        if self.begun.elapsed().as_secs() >= self.limits.time_max_s {
            return self.refuse("time");
        }
        Ok(())
    }

    fn refuse(&self, limit: &'static str) -> io::Result<()> {
        self.exceeded.set(Some(limit));
        Err(io::Error::other(format!("limit on {limit} exceeded")))
    }
}

/// Counts what goes into the decompressor.
pub struct Compressed<R> {
    pub inner: R,
    pub meter: Rc<Meter>,
}

impl<R: Read> Read for Compressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.meter.compressed.set(self.meter.compressed.get() + read as u64);
        Ok(read)
    }
}

/// Counts, hashes and limits what comes out of the decompressor.
pub struct Decompressed<R> {
    pub inner: R,
    pub meter: Rc<Meter>,
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.meter.account(&buffer[..read])?;
        Ok(read)
    }
}
