//! Opens a layer blob whatever its compression, told from its first bytes as container engines do: media types
//! in the wild are often wrong.

use std::io::{self, BufRead, BufReader, Read};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BUFFER_BYTES: usize = 128 * 1024;
/// Largest zstd window: 64 MiB of memory. Registries' layers use 8 MiB at most.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// The tar stream inside a blob: gzip (several members too), zstd or plain.
pub fn decompress<'blob>(blob: impl Read + 'blob) -> io::Result<Box<dyn Read + 'blob>> {
    let mut blob = BufReader::with_capacity(BUFFER_BYTES, blob);
    let head = blob.fill_buf()?;
    if head.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(blob)));
    }
    if head.starts_with(&ZSTD_MAGIC) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(blob)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        return Ok(Box::new(decoder));
    }
    Ok(Box::new(blob))
}
