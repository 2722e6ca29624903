//! What a layer may cost, whatever it says about itself.

use serde::{Deserialize, Serialize};

/// Limits on one layer. Exceeding one ends the unpacking with
/// [`UnpackError::LimitExceeded`](super::UnpackError::LimitExceeded).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackLimits {
    /// Most decompressed bytes, headers included.
    pub bytes_max: u64,
    /// Most entries, each of which may cost an inode.
    pub entries_max: u64,
    /// Most decompressed bytes for each compressed byte, once more than `ratio_free_bytes` came out.
    pub ratio_max: u64,
    /// Decompressed bytes for which no ratio is asked: small layers of zeros are honest.
    pub ratio_free_bytes: u64,
    /// Most components of a path.
    pub depth_max: usize,
    /// Most bytes of a path or of a link target.
    pub path_bytes_max: usize,
    /// Most bytes of headers (long names, PAX records, sparse maps) before one entry: they are held in memory.
    pub header_bytes_max: u64,
    /// Most bytes of directory paths kept until the end to set modification times: they are held in memory.
    pub directory_path_bytes_max: usize,
}

impl Default for UnpackLimits {
    fn default() -> UnpackLimits {
        UnpackLimits {
            bytes_max: 64 << 30,
            entries_max: 1_000_000,
            ratio_max: 200,
            ratio_free_bytes: 64 << 20,
            depth_max: 200,
            path_bytes_max: 4095,
            header_bytes_max: 1 << 20,
            directory_path_bytes_max: 32 << 20,
        }
    }
}
