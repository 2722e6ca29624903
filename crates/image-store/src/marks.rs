//! What a layer says of directories that it shares with the layers below: which it only implies, and which it makes
//! opaque. Kept beside the layer, once, however many images have it.
//!
//! **Invariant:** no marks are kept in memory: they are read when an image of the layer is made. Those of one image
//! together are bounded as those of one layer are ([`UnpackLimits`](crate::UnpackLimits)), and a file of marks is
//! there before its layer is.

use crate::digest::Digest;
use crate::layer::LayerPath;
use crate::store::Places;
use outport_model::checked_json::{self, Document};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read};

/// Most bytes of a file of marks: the paths of one layer in hexadecimal digits, and what JSON has around them.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// `marks/<diff id>.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Marks {
    /// Directories that no entry describes.
    pub implied: Vec<LayerPath>,
    /// Directories that hide what the layers below have in them.
    pub opaque: Vec<LayerPath>,
}

impl Marks {
    /// What they cost in memory, in bytes; 0 for none.
    pub fn bytes(&self) -> u64 {
        let paths = self.implied.iter().chain(&self.opaque);
        paths.map(|path| (path.as_bytes().len() + size_of::<LayerPath>()) as u64).sum()
    }

    /// Writes them beside the layer. Blocks.
    pub fn write(&self, places: &Places, diff_id: &Digest) -> io::Result<()> {
        places.write(&places.marks(diff_id), &checked_json::write(self)?)
    }

    /// Blocks.
    pub fn read(places: &Places, diff_id: &Digest) -> io::Result<Marks> {
        let mut bytes = Vec::new();
        File::open(places.marks(diff_id))?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        match checked_json::read(&bytes) {
            Document::Read(marks) => Ok(marks),
            Document::NotUnderstood(why) | Document::Damaged(why) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
        }
    }

    /// Removes those of a layer that is gone. Blocks.
    pub fn remove(places: &Places, diff_id: &Digest) -> io::Result<()> {
        match fs::remove_file(places.marks(diff_id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
