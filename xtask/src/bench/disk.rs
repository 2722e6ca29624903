//! The disk's floor: how often it makes a small write last.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::report::Figure;

const TIME: Duration = Duration::from_millis(500);
const WRITE_BYTES: u64 = 4096;
/// Written over and over: a place that has its blocks, as a journal has.
const PLACES: u64 = 1024;

/// fdatasync calls a second, each behind a write of 4 KiB, on the disk of a directory.
pub fn fdatasync_rate(directory: &Path) -> Result<f64> {
    let path = directory.join("fdatasync");
    let file = File::create(&path)?;
    file.write_all_at(&vec![1; usize::try_from(WRITE_BYTES * PLACES)?], 0)?;
    file.sync_all()?;
    let (began, mut count) = (Instant::now(), 0_u64);
    while began.elapsed() < TIME {
        file.write_all_at(&[2; WRITE_BYTES as usize], count % PLACES * WRITE_BYTES)?;
        file.sync_data()?;
        count += 1;
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(rate)
}

/// The same as a figure.
pub fn floor(directory: &Path) -> Result<Figure> {
    Ok(Figure::new("fdatasync of 4 KiB (the disk's floor)", fdatasync_rate(directory)?, "1/s"))
}
