//! Tar files of any shape: the headers are written here byte by byte, so that no library can refuse the hostile ones.

use flate2::write::GzEncoder;
use std::io::Write;

pub const FILE: u8 = b'0';
pub const HARD_LINK: u8 = b'1';
pub const SYMLINK: u8 = b'2';
pub const CHARACTER_DEVICE: u8 = b'3';
pub const BLOCK_DEVICE: u8 = b'4';
pub const DIRECTORY: u8 = b'5';
pub const FIFO: u8 = b'6';

/// A tar file in the making.
#[derive(Default, Clone)]
pub struct Tarball(Vec<u8>);

/// One header; `..Header::default()` is an empty regular file of root.
#[derive(Clone)]
pub struct Header<'header> {
    pub name: &'header [u8],
    pub kind: u8,
    pub mode: u32,
    pub uid: &'header [u8],
    pub link: &'header [u8],
    pub mtime: u64,
    /// Claimed, when it is not the content's.
    pub size: Option<u64>,
    pub content: &'header [u8],
}

impl Default for Header<'_> {
    fn default() -> Self {
        Header {
            name: b"file",
            kind: FILE,
            mode: 0o644,
            uid: b"0000000",
            link: b"",
            mtime: 1_600_000_000,
            size: None,
            content: b"",
        }
    }
}

impl Tarball {
    pub fn new() -> Tarball {
        Tarball::default()
    }

    pub fn header(mut self, header: Header<'_>) -> Tarball {
        let mut block = [0_u8; 512];
        block[..header.name.len().min(100)]
            .copy_from_slice(&header.name[..header.name.len().min(100)]);
        block[100..107].copy_from_slice(format!("{:07o}", header.mode).as_bytes());
        block[108..108 + header.uid.len()].copy_from_slice(header.uid);
        block[116..123].copy_from_slice(b"0000000");
        let size = header.size.unwrap_or(header.content.len() as u64);
        if size < 1 << 33 {
            block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        } else {
            block[124] = 0x80;
            block[128..136].copy_from_slice(&size.to_be_bytes());
        }
        block[136..147].copy_from_slice(format!("{:011o}", header.mtime).as_bytes());
        block[156] = header.kind;
        block[157..157 + header.link.len().min(100)]
            .copy_from_slice(&header.link[..header.link.len().min(100)]);
        block[257..265].copy_from_slice(b"ustar\x0000");
        set_check_sum(&mut block);
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(header.content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, content: &[u8]) -> Tarball {
        self.header(Header { name: name.as_bytes(), content, ..Header::default() })
    }

    pub fn directory(self, name: &str) -> Tarball {
        self.header(Header {
            name: name.as_bytes(),
            kind: DIRECTORY,
            mode: 0o755,
            ..Header::default()
        })
    }

    pub fn symlink(self, name: &str, target: &str) -> Tarball {
        let (name, link) = (name.as_bytes(), target.as_bytes());
        self.header(Header { name, link, kind: SYMLINK, mode: 0o777, ..Header::default() })
    }

    pub fn hard_link(self, name: &str, target: &str) -> Tarball {
        let (name, link) = (name.as_bytes(), target.as_bytes());
        self.header(Header { name, link, kind: HARD_LINK, ..Header::default() })
    }

    pub fn node(self, name: &str, kind: u8) -> Tarball {
        self.header(Header { name: name.as_bytes(), kind, ..Header::default() })
    }

    pub fn device(mut self, name: &str, kind: u8, (major, minor): (u32, u32)) -> Tarball {
        let header = Header { name: name.as_bytes(), kind, ..Header::default() };
        let begin = self.0.len();
        self = self.header(header);
        let block = &mut self.0[begin..begin + 512];
        block[329..336].copy_from_slice(format!("{major:07o}").as_bytes());
        block[337..344].copy_from_slice(format!("{minor:07o}").as_bytes());
        set_check_sum(block);
        self
    }

    /// A sparse member in GNU's old form; up to four extents.
    pub fn gnu_sparse(
        mut self,
        name: &str,
        extents: &[(u64, u64)],
        size: u64,
        content: &[u8],
    ) -> Tarball {
        let begin = self.0.len();
        let name = name.as_bytes();
        self = self.header(Header { name, kind: b'S', content, ..Header::default() });
        let block = &mut self.0[begin..begin + 512];
        block[257..265].copy_from_slice(b"ustar  \0");
        let number = |field: &mut [u8], value: u64| {
            field.fill(0);
            field[0] = 0x80;
            field[4..12].copy_from_slice(&value.to_be_bytes());
        };
        for (index, (offset, length)) in extents.iter().enumerate() {
            let at = 386 + index * 24;
            number(&mut block[at..at + 12], *offset);
            number(&mut block[at + 12..at + 24], *length);
        }
        number(&mut block[483..495], size);
        set_check_sum(block);
        self
    }

    /// PAX records for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Tarball {
        let content = pax_records(records);
        self.header(Header {
            name: b"PaxHeader",
            kind: b'x',
            content: &content,
            ..Header::default()
        })
    }

    /// GNU's long name for the next entry.
    pub fn gnu_long_name(self, name: &[u8]) -> Tarball {
        let content = [name, b"\0"].concat();
        let header =
            Header { name: b"././@LongLink", kind: b'L', content: &content, ..Header::default() };
        self.header(header)
    }

    /// GNU's long link target for the next entry.
    pub fn gnu_long_link(self, name: &[u8]) -> Tarball {
        let content = [name, b"\0"].concat();
        let header =
            Header { name: b"././@LongLink", kind: b'K', content: &content, ..Header::default() };
        self.header(header)
    }

    pub fn raw(mut self, bytes: &[u8]) -> Tarball {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The tar file, with its end marker.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    /// Without the end marker.
    pub fn unfinished(self) -> Vec<u8> {
        self.0
    }
}

fn set_check_sum(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn pax_records(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut content = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length.to_string().len() + rest != length {
            length += 1;
        }
        content.extend_from_slice(format!("{length} {key}=").as_bytes());
        content.extend_from_slice(value);
        content.push(b'\n');
    }
    content
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
