//! Reads a tar stream: members with their long names, PAX records and sparse maps put together.
//!
//! Own, because the limits are ours: what a member may claim without bytes behind it (holes, sizes, maps) is known
//! here before anything is made. Field formats are the `tar` crate's. What Go's `archive/tar`, and so Docker and
//! containerd, read is read the same way: global PAX headers are passed over, types without content have none whatever
//! their size says, sparse members come in GNU's old form and in the PAX forms 0.0, 0.1 and 1.0.
//!
//! **Invariant:** the extents of a member are in order, do not meet, lie within its size, and are as long together as
//! the bytes that follow its header.

use super::metered::Meter;
use super::pax::{Records, pax_records};
use std::io::{self, Read};
use std::rc::Rc;
use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

const BLOCK_BYTES: usize = 512;
const SKIP_BUFFER_BYTES: usize = 64 * 1024;

pub const FILE: u8 = b'0';
pub const HARD_LINK: u8 = b'1';
pub const SYMLINK: u8 = b'2';
pub const CHARACTER_DEVICE: u8 = b'3';
pub const BLOCK_DEVICE: u8 = b'4';
pub const DIRECTORY: u8 = b'5';
pub const FIFO: u8 = b'6';

/// Why a stream cannot be read on. A limit that ended it is in the [`Meter`].
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{0}")]
    Malformed(String),
    #[error(transparent)]
    Stream(#[from] io::Error),
}

/// One member. Numbers are as the header says, unchecked.
#[derive(Debug)]
pub struct Member {
    /// One of the types above, or one that nobody knows.
    pub kind: u8,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub uid: u64,
    pub gid: u64,
    pub mode: u32,
    pub mtime: i64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// `SCHILY.xattr.*` records: name and value.
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// Bytes of the file, holes included.
    pub size: u64,
    /// Where what follows belongs, as offset and length; `None` for a file without holes.
    pub extents: Option<Vec<(u64, u64)>>,
}

pub struct Archive<R> {
    reader: R,
    meter: Rc<Meter>,
    /// Bytes of the member's content that were not read yet, and of what fills its last block.
    left: u64,
    padding: u64,
}

/// What the headers before a member say about it.
#[derive(Default)]
struct Extensions {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    records: Vec<(String, Vec<u8>)>,
}

impl<R: Read> Archive<R> {
    pub fn new(reader: R, meter: Rc<Meter>) -> Archive<R> {
        Archive { reader, meter, left: 0, padding: 0 }
    }

    /// Passes over what was not read of the member before, and reads the next one's headers.
    pub fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        self.meter.content();
        self.skip(self.left + self.padding)?;
        (self.left, self.padding) = (0, 0);
        self.meter.headers();
        let mut extensions: Option<Extensions> = None;
        let mut block = [0; BLOCK_BYTES];
        loop {
            if !self.block(&mut block)? || block.iter().all(|byte| *byte == 0) {
                return match extensions {
                    None => Ok(None),
                    Some(_) => Err(malformed("extended headers without an entry")),
                };
            }
            let header = Header::from_byte_slice(&block);
            check_sum(&block)?;
            let size = number(&block[124..136])?;
            match block[156] {
                b'x' => {
                    let bytes = self.metadata(size)?;
                    extensions.get_or_insert_default().records.extend(pax_records(&bytes)?);
                }
                b'g' => {
                    self.metadata(size)?;
                }
                b'L' => {
                    let name = until_nul(self.metadata(size)?);
                    extensions.get_or_insert_default().long_name = Some(name);
                }
                b'K' => {
                    let link = until_nul(self.metadata(size)?);
                    extensions.get_or_insert_default().long_link = Some(link);
                }
                _ => {
                    let member = self.member(header, size, extensions.unwrap_or_default())?;
                    self.meter.content();
                    return Ok(Some(member));
                }
            }
        }
    }

    /// Content of the member; 0 at its end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.reader.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(malformed("the stream is cut off"));
        }
        self.left -= read as u64;
        Ok(read)
    }

    /// Reads whatever comes after the last member.
    pub fn finish(mut self) -> Result<(), ArchiveError> {
        self.meter.content();
        io::copy(&mut self.reader, &mut io::sink())?;
        Ok(())
    }

    fn member(
        &mut self,
        header: &Header,
        packed: u64,
        extensions: Extensions,
    ) -> Result<Member, ArchiveError> {
        let records = Records(extensions.records);
        let packed = records.number("size")?.unwrap_or(packed);
        let block = header.as_bytes();
        let has_content = !matches!(
            block[156],
            HARD_LINK | SYMLINK | CHARACTER_DEVICE | BLOCK_DEVICE | DIRECTORY | FIFO
        );
        let kind = match block[156] {
            // Before there were types, a directory was a file whose name ends so.
            0 if header.path_bytes().ends_with(b"/") => DIRECTORY,
            0 | b'7' => FILE,
            kind => kind,
        };
        self.left = if has_content { packed } else { 0 };
        self.padding = self.left.wrapping_neg() % BLOCK_BYTES as u64;
        if self.left.checked_add(self.padding).is_none() {
            return Err(malformed("a size out of range"));
        }
        let (size, extents) = match kind {
            b'S' => self.old_sparse(header)?,
            FILE => self.pax_sparse(&records, packed)?,
            _ => (self.left, None),
        };
        check_extents(extents.as_deref(), size, self.left)?;
        let text = |key: &str| records.bytes(key).map(<[u8]>::to_vec);
        let name = text("GNU.sparse.name").filter(|_| extents.is_some()).or_else(|| text("path"));
        let header_link = || header.link_name_bytes().map(|link| link.into_owned());
        Ok(Member {
            kind: if kind == b'S' { FILE } else { kind },
            name: name.or(extensions.long_name).unwrap_or_else(|| header.path_bytes().into_owned()),
            link: text("linkpath")
                .or(extensions.long_link)
                .or_else(header_link)
                .unwrap_or_default(),
            uid: records.number("uid")?.map_or_else(|| number(&block[108..116]), Ok)?,
            gid: records.number("gid")?.map_or_else(|| number(&block[116..124]), Ok)?,
            // Bits above are the type's; what does not fit is no mode.
            mode: (number(&block[100..108])? & 0o7777) as u32,
            mtime: match records.seconds("mtime") {
                Some(mtime) => mtime,
                // Times before 1970 come as negative numbers of other programs: no matter.
                None => {
                    number(&block[136..148]).ok().and_then(|at| at.try_into().ok()).unwrap_or(0)
                }
            },
            device: match kind {
                CHARACTER_DEVICE | BLOCK_DEVICE => {
                    let part = |field| Ok::<_, ArchiveError>(number(field)?.try_into().ok());
                    let (major, minor) = (part(&block[329..337])?, part(&block[337..345])?);
                    // Numbers that no device has are those of none.
                    major.zip(minor).unwrap_or_default()
                }
                _ => (0, 0),
            },
            xattrs: records.xattrs(),
            size,
            extents,
        })
    }

    /// GNU's old form: four extents in the header, more in blocks behind it.
    fn old_sparse(&mut self, header: &Header) -> Result<Sparse, ArchiveError> {
        let gnu = header.as_gnu().ok_or_else(|| malformed("a sparse member of an unknown form"))?;
        let mut extents = Vec::new();
        add_extents(&gnu.sparse, &mut extents)?;
        let mut extended = gnu.is_extended();
        while extended {
            let mut more = GnuExtSparseHeader::new();
            if !self.block(more.as_mut_bytes())? {
                return Err(malformed("a sparse map is cut off"));
            }
            add_extents(more.sparse(), &mut extents)?;
            extended = more.is_extended();
        }
        Ok((gnu.real_size()?, Some(extents)))
    }

    /// The forms of PAX, told apart as Go does.
    fn pax_sparse(&mut self, records: &Records, packed: u64) -> Result<Sparse, ArchiveError> {
        let version = |key: &str| records.bytes(key).unwrap_or_default();
        let map = records.sparse_map()?;
        let in_content = match (version("GNU.sparse.major"), version("GNU.sparse.minor")) {
            (b"1", b"0") => true,
            (b"0", b"0" | b"1") => false,
            (b"", b"") if map.is_some() => false,
            // Not sparse, or of a form that nobody knows: then a file with its map at its front, as Go has it.
            _ => return Ok((packed, None)),
        };
        let size = match records.number("GNU.sparse.realsize")? {
            Some(size) => size,
            None => records
                .number("GNU.sparse.size")?
                .ok_or_else(|| malformed("a sparse member without a size"))?,
        };
        let extents = if in_content { self.map_in_content()? } else { map.unwrap_or_default() };
        Ok((size, Some(extents)))
    }

    /// Form 1.0: decimal lines, the number of extents and then each one's offset and length, up to a full block.
    fn map_in_content(&mut self) -> Result<Vec<(u64, u64)>, ArchiveError> {
        let mut extents = Vec::new();
        let mut numbers: Vec<u64> = Vec::with_capacity(2);
        let (mut expected, mut digits) = (None, 0_u32);
        let mut number: u64 = 0;
        let mut block = [0; BLOCK_BYTES];
        loop {
            let left = self.left.checked_sub(BLOCK_BYTES as u64);
            self.left = left.ok_or_else(|| malformed("a sparse map is cut off"))?;
            if !self.block(&mut block)? {
                return Err(malformed("a sparse map is cut off"));
            }
            for byte in block {
                if expected == Some(extents.len() as u64) {
                    // What fills the block.
                    break;
                }
                match byte {
                    b'0'..=b'9' => {
                        let longer = number.checked_mul(10);
                        number = longer
                            .and_then(|longer| longer.checked_add(u64::from(byte - b'0')))
                            .ok_or_else(|| malformed("a sparse map out of range"))?;
                        digits += 1;
                    }
                    b'\n' if digits > 0 => {
                        if expected.is_none() {
                            expected = Some(number);
                        } else {
                            numbers.push(number);
                        }
                        (number, digits) = (0, 0);
                    }
                    _ => return Err(malformed("a sparse map that is none")),
                }
                if let [offset, length] = numbers[..] {
                    extents.push((offset, length));
                    numbers.clear();
                }
            }
            if expected == Some(extents.len() as u64) {
                return Ok(extents);
            }
        }
    }

    /// A whole block, or `false` at the end of the stream.
    fn block(&mut self, block: &mut [u8; BLOCK_BYTES]) -> Result<bool, ArchiveError> {
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.reader.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(malformed("the stream is cut off")),
                read => filled += read,
            }
        }
        Ok(true)
    }

    /// The content of an extended header. The meter's allowance bounds it, not `size`.
    fn metadata(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        self.reader.by_ref().take(size).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size {
            return Err(malformed("an extended header is cut off"));
        }
        self.skip(size.wrapping_neg() % BLOCK_BYTES as u64)?;
        Ok(bytes)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        let mut buffer =
            vec![0; SKIP_BUFFER_BYTES.min(usize::try_from(bytes).unwrap_or(usize::MAX))];
        let mut left = bytes;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            match self.reader.read(&mut buffer[..wanted])? {
                0 => return Err(malformed("the stream is cut off")),
                read => left -= read as u64,
            }
        }
        Ok(())
    }
}

/// The size of a file and its extents, if it has holes.
type Sparse = (u64, Option<Vec<(u64, u64)>>);

pub fn malformed(reason: &str) -> ArchiveError {
    ArchiveError::Malformed(reason.to_owned())
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(nul) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(nul);
    }
    bytes
}

/// A number of a header: octal digits between spaces and zeros, none of which is 0, or the bits of a binary one.
fn number(field: &[u8]) -> Result<u64, ArchiveError> {
    let broken = || malformed("a header's number is none");
    if field[0] & 0x80 != 0 {
        // The first bit marks it; the next is the sign.
        if field[0] & 0x40 != 0 {
            return Err(broken());
        }
        let first = u64::from(field[0] & 0x3f);
        return field[1..].iter().try_fold(first, |number, byte| {
            number.checked_mul(256).map(|number| number | u64::from(*byte)).ok_or_else(broken)
        });
    }
    let is_filling = |byte: &u8| matches!(byte, b' ' | 0);
    let digits = field.iter().skip_while(|byte| is_filling(byte));
    digits.take_while(|byte| !is_filling(byte)).try_fold(0_u64, |number, byte| match byte {
        b'0'..=b'7' => {
            number.checked_mul(8).map(|number| number + u64::from(byte - b'0')).ok_or_else(broken)
        }
        _ => Err(broken()),
    })
}

/// Of unsigned bytes, or of signed ones as some old programs add them.
fn check_sum(block: &[u8; BLOCK_BYTES]) -> Result<(), ArchiveError> {
    let counted = |index: usize| if (148..156).contains(&index) { b' ' } else { block[index] };
    let unsigned: u32 = (0..BLOCK_BYTES).map(|index| u32::from(counted(index))).sum();
    let signed: i32 = (0..BLOCK_BYTES).map(|index| i32::from(counted(index) as i8)).sum();
    let said = number(&block[148..156]).map_err(|_| malformed("not a tar header"))?;
    if said == u64::from(unsigned) || i64::try_from(said).ok() == Some(i64::from(signed)) {
        return Ok(());
    }
    Err(malformed("a header's checksum is wrong"))
}

fn add_extents(
    headers: &[GnuSparseHeader],
    extents: &mut Vec<(u64, u64)>,
) -> Result<(), ArchiveError> {
    for header in headers.iter().take_while(|header| !header.is_empty()) {
        extents.push((header.offset()?, header.length()?));
    }
    Ok(())
}

fn check_extents(
    extents: Option<&[(u64, u64)]>,
    size: u64,
    packed: u64,
) -> Result<(), ArchiveError> {
    let Some(extents) = extents else { return Ok(()) };
    let (mut end, mut total) = (0_u64, 0_u64);
    for (offset, length) in extents {
        let next = offset.checked_add(*length).filter(|next| *next <= size && *offset >= end);
        end = next.ok_or_else(|| malformed("a sparse map that does not fit"))?;
        total = total.saturating_add(*length);
    }
    if total != packed {
        return Err(malformed("a sparse member of another length than its map"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_headers_in_every_spelling() {
        let check = |field: &[u8], expected: Option<u64>| {
            assert_eq!(number(field).ok(), expected, "{field:?}");
        };
        check(b"0000644\0", Some(0o644));
        check(b"   644 \0", Some(0o644));
        check(b"\0\0\0\0\0\0\0\0", Some(0));
        check(b"        ", Some(0));
        check(b"77777777", Some(0o77777777));
        check(b"\x80\0\0\0\0\0\x01\x02", Some(258));
        check(b"\xff\xff\xff\xff\xff\xff\xff\xff", None);
        check(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None);
        check(b"0000689\0", None);
        check(b"-1\0\0\0\0\0\0", None);
        check(b"644 junk", Some(0o644));
    }
}
