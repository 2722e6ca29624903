//! The files that remember images: `images/<manifest digest>.json`.
//!
//! **Invariant:** what is not read again is not written: a record has a size, and one that is larger, damaged, or of an image
//! that is not whole, is dropped by name when the store opens: its image is pulled again. One that is whole and not
//! understood, of another version, is kept with its layers; an image that is needed meanwhile takes its place.

use crate::digest::Digest;
use crate::image::ImageRecord;
use crate::store::{Places, StoreError};
use outport_model::checked_json::{self, Document};
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of the file that remembers an image. A larger one, of a version that had no limits, is not read: the image
/// is pulled again.
const RECORD_BYTES_MAX: u64 = 4 << 20;

pub(crate) fn write_record(places: &Places, record: &ImageRecord) -> Result<(), StoreError> {
    let path = places.record(&record.manifest_digest);
    let write = || {
        let bytes = checked_json::write(record)?;
        if bytes.len() as u64 > RECORD_BYTES_MAX {
            return Err(io::Error::other("too large to be read again"));
        }
        places.write(&path, &bytes)
    };
    write().map_err(StoreError::at(&path))
}

/// What the files say.
pub(crate) struct Records {
    pub images: BTreeMap<Digest, ImageRecord>,
    /// Directories that records speak of which are not understood.
    pub kept_layers: HashSet<String>,
}

/// What one file is.
enum Found {
    Record(Box<ImageRecord>),
    /// Of another version, with every digest that it names.
    Kept(HashSet<String>),
    Dropped(&'static str),
}

pub(crate) fn load(places: &Places, boot_id: &str) -> Result<Records, StoreError> {
    let (mut images, mut kept_layers) = (BTreeMap::new(), HashSet::new());
    let listed = fs::read_dir(&places.images).map_err(StoreError::at(&places.images))?;
    for entry in listed {
        let path = entry.map_err(StoreError::at(&places.images))?.path();
        let read = read_record(&path, places).map_err(StoreError::at(&path))?;
        let reason = match read {
            Found::Record(record) if is_whole(places, &record, boot_id) => {
                images.insert(record.manifest_digest, *record);
                continue;
            }
            Found::Kept(layers) => {
                let record = path.display();
                tracing::warn!(
                    event = "image_record_not_understood",
                    %record,
                    "an image's record of another version is kept, with its layers"
                );
                kept_layers.extend(layers);
                continue;
            }
            Found::Record(_) => "its layers are not whole",
            Found::Dropped(reason) => reason,
        };
        let record = path.display();
        tracing::warn!(
            event = "image_dropped",
            %record,
            reason,
            "image dropped, its record is not usable: a task that names it pulls it again"
        );
        fs::remove_file(&path).map_err(StoreError::at(&path))?;
    }
    Ok(Records { images, kept_layers })
}

fn read_record(path: &Path, places: &Places) -> io::Result<Found> {
    let mut bytes = Vec::new();
    File::open(path)?.take(RECORD_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > RECORD_BYTES_MAX {
        return Ok(Found::Dropped("its record is too large"));
    }
    let mut record = match checked_json::read::<ImageRecord>(&bytes) {
        Document::Read(record) => record,
        Document::NotUnderstood(_) => return Ok(Found::Kept(digests(&bytes))),
        Document::Damaged(_) => return Ok(Found::Dropped("its record is damaged")),
    };
    if !record.config.is_small() {
        return Ok(Found::Dropped("its configuration is too large"));
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
    Ok(Found::Record(Box::new(record)))
}

/// Every digest in a document, wherever it stands, as directories are named by them.
fn digests(bytes: &[u8]) -> HashSet<String> {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split('"').filter_map(|word| word.parse::<Digest>().ok());
    words.map(|digest| digest.hex()).collect()
}

fn is_whole(places: &Places, record: &ImageRecord, boot_id: &str) -> bool {
    (record.durable || record.boot_id == boot_id)
        && record.directories().all(|name| places.layer(name).is_dir())
        && record
            .layers
            .iter()
            .all(|layer| layer.marked_bytes == 0 || places.marks(&layer.diff_id).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "b";

    /// As the first version wrote it; of an image without layers, so that nothing of it can be missing.
    fn bytes() -> String {
        let digest = Digest::of(b"");
        format!(
            r#"{{"manifest_digest":"{digest}","index_digests":[],"references":[{{"reference":"h.x/a:1","digest":"{digest}"}}],"config":{{"entrypoint":["/app"],"cmd":[],"env":["A=b"],"user":"","working_dir":"","stop_signal":null,"exposed_ports":[],"volumes":[],"labels":{{}},"architecture":"amd64"}},"layers":[],"used_at_s":1700000000,"boot_id":"b","durable":true}}"#
        )
    }

    fn places(scratch: &tempfile::TempDir) -> Places {
        let places = Places::below(scratch.path());
        places.create().unwrap();
        places
    }

    #[test]
    fn a_damaged_record_is_dropped_and_never_believed() {
        let scratch = tempfile::tempdir().unwrap();
        let places = places(&scratch);
        let path = places.record(&Digest::of(b""));
        fs::write(&path, bytes()).unwrap();
        let first = load(&places, BOOT).unwrap().images.into_values().next().expect("it is read");
        assert_eq!(first.config.entrypoint, ["/app"]);
        write_record(&places, &first).unwrap();
        let good = fs::read(&path).unwrap();
        assert!(good.ends_with(b"\"}") && good != bytes().as_bytes(), "it has a checksum");
        let check = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).unwrap();
            let Records { images, kept_layers } = load(&places, BOOT).unwrap();
            assert!(kept_layers.is_empty(), "{what}");
            assert!(images.values().all(|record| *record == first), "{what}");
            assert_eq!(path.exists(), !images.is_empty(), "{what}");
        };
        (0..good.len()).for_each(|length| check(&good[..length], &format!("cut at {length}")));
        for bit in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(&flipped, &format!("bit {bit}"));
        }
    }

    #[test]
    fn a_record_of_the_future_is_kept_with_its_layers() {
        let scratch = tempfile::tempdir().unwrap();
        let places = places(&scratch);
        let (path, layer) = (places.record(&Digest::of(b"")), Digest::of(b"layer"));
        let future =
            format!(r#"{{"version":9,"layers":{{"0":{{"diff":"{layer}"}}}},"note":"sha256:x"}}"#);
        for bytes in [
            future.clone().into_bytes(),
            checked_json::write(&serde_json::from_str::<serde_json::Value>(&future).unwrap())
                .unwrap(),
        ] {
            fs::write(&path, &bytes).unwrap();
            let Records { images, kept_layers } = load(&places, BOOT).unwrap();
            assert!(images.is_empty());
            assert_eq!(kept_layers, [layer.hex()].into());
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
}
