//! What a layer may cost, whatever it says about itself.

use serde::{Deserialize, Serialize};

/// What [`UnpackLimits::bytes_max`] is called in an error.
pub(crate) const LIMIT_ON_BYTES: &str = "bytes";

/// Limits on one layer. Exceeding one ends the unpacking with
/// [`UnpackError::LimitExceeded`](super::UnpackError::LimitExceeded).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackLimits {
    /// Most compressed bytes, as the manifest announces them. ECR takes no larger layer either.
    /// Source: "Amazon ECR service quotas", "Maximum layer size", 52,000 MiB.
    pub blob_bytes_max: u64,
    /// Most decompressed bytes, headers included; and, counted for itself, most bytes of all files together, with
    /// what is a hole in them.
    pub bytes_max: u64,
    /// Most entries, each of which may cost an inode, and of directories that entries only imply.
    pub entries_max: u64,
    /// Most decompressed bytes for each compressed byte, once more than `ratio_free_bytes` came out.
    pub ratio_max: u64,
    /// Decompressed bytes for which no ratio is asked: small layers of zeros are honest.
    pub ratio_free_bytes: u64,
    /// Most components of a path, both as an entry's name spells it and where it really lies after all symlinks.
    pub depth_max: usize,
    /// Most bytes of a path, spelled and real, or of a link target.
    pub path_bytes_max: usize,
    /// Most bytes of headers (long names, PAX records, sparse maps) before one entry: they are held in memory.
    pub header_bytes_max: u64,
    /// Most bytes of directory paths kept until the end to set modification times: they are held in memory.
    pub directory_path_bytes_max: usize,
    /// Most bytes of paths of directories that are opaque or only implied: they are told to the parent process.
    pub marked_path_bytes_max: usize,
    /// Most seconds from begin to end.
    pub time_max_s: u64,
    /// Most seconds of processor time, where a process of its own unpacks.
    pub processor_time_max_s: u64,
    /// Most bytes of address space, where a process of its own unpacks.
    pub memory_bytes_max: u64,
}

impl Default for UnpackLimits {
    fn default() -> UnpackLimits {
        UnpackLimits {
            blob_bytes_max: 52_000 << 20,
            bytes_max: 64 << 30,
            entries_max: 1_000_000,
            ratio_max: 200,
            ratio_free_bytes: 64 << 20,
            depth_max: 200,
            path_bytes_max: 4095,
            header_bytes_max: 1 << 20,
            directory_path_bytes_max: 32 << 20,
            marked_path_bytes_max: 4 << 20,
            time_max_s: 30 * 60,
            processor_time_max_s: 20 * 60,
            memory_bytes_max: 1 << 30,
        }
    }
}
