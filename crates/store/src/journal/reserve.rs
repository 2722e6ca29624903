//! Space that the journal has before it needs it.
//!
//! On a disk that somebody else filled, the journal goes on in what is its own already:
//!
//! - the write-ahead log has its blocks from the first start on, and keeps its file when it is closed;
//! - the file of the rows has free pages, which SQLite uses before it lets the file grow, and no holes.
//!
//! A reserve that lies beside, to be given back when the disk is full, is taken by whoever filled the disk
//! before the journal comes to it; this one is in the journal's own files.
//!
//! **Invariant:** nothing here is needed for a commit to be durable; it is only ever tried.
//!
//! Where the file system writes nothing in place (btrfs, ZFS) the blocks are new ones all the same, and
//! the floor of `free-space` is all there is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use outport_free_space::{FreeSpace, Part, take_blocks};
use rusqlite::Connection;
use rustix::fs::{FallocateFlags, fallocate};

/// What the write-ahead log has of the disk: twice its length at a checkpoint, for the commits that come
/// while one does not succeed. The longer it gets, the more writes of a busy page share one move into the
/// file of the rows.
const LOG_BYTES: u64 = 32 << 20;
const PAGE_BYTES: i64 = 4_096;
const CHECKPOINT_PAGES_MIN: i64 = 16;
/// On a small disk it has this part of it instead.
const LOG_SHARE: u64 = 16;
/// Pages (4 KiB) that the file of the rows has free at least: room for a thousand rows of some kilobytes,
/// while new rows are refused.
const FREE_PAGES_MIN: i64 = 1_024;
/// Commits between two looks at the free pages.
const COMMITS_PER_LOOK: i64 = 32;

pub(super) struct Reserve {
    directory: PathBuf,
    log: PathBuf,
    /// Held for as long as the connection: SQLite's locks on a file end when this process closes it
    /// anywhere.
    rows: File,
    /// At which commit the free pages were looked at.
    looked_at: Option<i64>,
}

impl Reserve {
    /// The write-ahead log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The file of the rows, which must not be opened, and closed, another time.
    pub fn rows(&self) -> &File {
        &self.rows
    }

    /// Takes the blocks of the write-ahead log, if it has none yet.
    ///
    /// # Errors
    /// When the file of the rows cannot be opened.
    pub fn open(rows: &Path) -> io::Result<Self> {
        let directory = rows.parent().unwrap_or(Path::new("/")).to_owned();
        let mut log = rows.as_os_str().to_owned();
        log.push("-wal");
        let rows = OpenOptions::new().read(true).write(true).open(rows)?;
        let reserve = Self { directory, log: log.into(), rows, looked_at: None };
        reserve.take_log_blocks();
        Ok(reserve)
    }

    /// Looks whether enough is free, now and then; adds what is missing and gives true if it is not. A write
    /// that comes meanwhile waits for some milliseconds.
    ///
    /// A page is written twice, once to be free and once with rows. So while writes keep coming (not `is_calm`)
    /// pages are added only on a disk that begins to fill: one that has stopped taking tasks.
    ///
    /// # Errors
    /// Those of SQLite; the journal is as it was then.
    pub fn take(
        &mut self,
        connection: &Connection,
        commits: i64,
        is_calm: bool,
    ) -> rusqlite::Result<bool> {
        if !is_calm {
            if self.looked_at.is_some_and(|at| commits - at < COMMITS_PER_LOOK) {
                return Ok(false);
            }
            let space = FreeSpace::of(&self.directory);
            if space.is_ok_and(|space| !space.is_low_for(Part::NewTasks)) {
                self.looked_at = Some(commits);
                return Ok(false);
            }
        }
        let free: i64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if free >= FREE_PAGES_MIN || self.is_low() {
            self.looked_at = Some(commits);
            self.take_log_blocks();
            self.fill_holes(connection)?;
            return Ok(false);
        }
        // Pages that were used once stay in the file. Those that are free now are used first.
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(&format!(
            "CREATE TABLE reserve (bytes BLOB NOT NULL);
             INSERT INTO reserve VALUES (zeroblob({}));
             DROP TABLE reserve;",
            FREE_PAGES_MIN * PAGE_BYTES
        ))?;
        transaction.commit()?;
        Ok(true)
    }

    /// Before the journal is closed: an empty log is not read again at the next start. On a full disk it
    /// stays as it is, with its blocks.
    pub fn empty_log(&self, connection: &Connection) {
        if self.is_low() {
            return;
        }
        let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = emptied {
            tracing::warn!(
                event = "journal_checkpoint_failed",
                %error,
                "cannot empty the write-ahead log of the journal: it stays as it is"
            );
        }
        self.take_log_blocks();
    }

    /// Pages of the log at which they are moved into the file of the rows.
    pub fn checkpoint_pages(&self) -> i64 {
        let bytes = FreeSpace::of(&self.directory).map_or(LOG_BYTES, |space| log_bytes(&space));
        (i64::try_from(bytes).unwrap_or(0) / 2 / PAGE_BYTES).max(CHECKPOINT_PAGES_MIN)
    }

    fn is_low(&self) -> bool {
        FreeSpace::of(&self.directory).is_ok_and(|space| space.is_low_for(Part::Journal))
    }

    fn take_log_blocks(&self) {
        if let Err(error) = self.try_log_blocks() {
            tracing::warn!(
                event = "journal_reserve_missing",
                %error,
                "cannot reserve space for the write-ahead log of the journal"
            );
        }
    }

    fn try_log_blocks(&self) -> io::Result<()> {
        let space = FreeSpace::of(&self.directory)?;
        take_blocks(&self.log, log_bytes(&space))
    }

    /// A checkpoint makes the file as long as its pages say, and writes only those that are used.
    fn fill_holes(&self, connection: &Connection) -> rusqlite::Result<()> {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let bytes = u64::try_from(pages * PAGE_BYTES).unwrap_or(0);
        let has_all = || Ok::<_, io::Error>(self.rows.metadata()?.blocks() * 512 >= bytes);
        let filled = has_all().and_then(|has_all| {
            if has_all || self.is_low() {
                return Ok(());
            }
            connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
                .map_err(io::Error::other)?;
            Ok(fallocate(&self.rows, FallocateFlags::KEEP_SIZE, 0, bytes)?)
        });
        if let Err(error) = filled {
            tracing::warn!(
                event = "journal_pages_not_reserved",
                %error,
                "cannot reserve blocks for the free pages of the journal"
            );
        }
        Ok(())
    }
}

fn log_bytes(space: &FreeSpace) -> u64 {
    LOG_BYTES.min(space.bytes_total / LOG_SHARE)
}
