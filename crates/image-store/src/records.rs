//! The files that remember images: `images/<manifest digest>.json`.
//!
//! **Invariant:** what is not read again is not written: a record has a size, and one that is larger, or of an image that
//! is not whole, is dropped by name when the store opens.

use crate::digest::Digest;
use crate::image::ImageRecord;
use crate::store::{Places, StoreError};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of the file that remembers an image. A larger one, of a version that had no limits, is not read: the image
/// is pulled again.
const RECORD_BYTES_MAX: u64 = 4 << 20;

pub(crate) fn write_record(places: &Places, record: &ImageRecord) -> Result<(), StoreError> {
    let path = places.record(&record.manifest_digest);
    let write = || {
        let bytes = serde_json::to_vec(record)?;
        if bytes.len() as u64 > RECORD_BYTES_MAX {
            return Err(io::Error::other("too large to be read again"));
        }
        places.write(&path, &bytes)
    };
    write().map_err(StoreError::at(&path))
}

pub(crate) fn load(
    places: &Places,
    boot_id: &str,
) -> Result<BTreeMap<Digest, ImageRecord>, StoreError> {
    let mut images = BTreeMap::new();
    let listed = fs::read_dir(&places.images).map_err(StoreError::at(&places.images))?;
    for entry in listed {
        let path = entry.map_err(StoreError::at(&places.images))?.path();
        let read = read_record(&path, places).map_err(StoreError::at(&path))?;
        match read {
            Ok(record) if is_whole(places, &record, boot_id) => {
                images.insert(record.manifest_digest, record);
            }
            other => {
                let reason = other.err().unwrap_or("its layers are not whole");
                let record = path.display();
                tracing::warn!(%record, reason, "image dropped; a task that names it pulls it again");
                fs::remove_file(&path).map_err(StoreError::at(&path))?;
            }
        }
    }
    Ok(images)
}

/// A record, or why it is none.
fn read_record(path: &Path, places: &Places) -> io::Result<Result<ImageRecord, &'static str>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(RECORD_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > RECORD_BYTES_MAX {
        return Ok(Err("its record is too large"));
    }
    let Ok(mut record) = serde_json::from_slice::<ImageRecord>(&bytes) else {
        return Ok(Err("its record cannot be read"));
    };
    if !record.config.is_small() {
        return Ok(Err("its configuration is too large"));
    }
    let mut is_old = false;
    for layer in &mut record.layers {
        if let Some(marks) = layer.take_marks() {
            marks.write(places, &layer.diff_id)?;
            is_old = true;
        }
    }
    if is_old {
        write_record(places, &record).map_err(|error| error.source)?;
    }
    Ok(Ok(record))
}

fn is_whole(places: &Places, record: &ImageRecord, boot_id: &str) -> bool {
    (record.durable || record.boot_id == boot_id)
        && record.directories().all(|name| places.layer(name).is_dir())
        && record
            .layers
            .iter()
            .all(|layer| layer.marked_bytes == 0 || places.marks(&layer.diff_id).is_file())
}
