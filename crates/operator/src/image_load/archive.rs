//! Where the members of a tar archive are in its file.
//!
//! **Invariant:** a name is only looked up in the archive's own list, links included: it never becomes a path of this machine.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek};

use anyhow::{Context, Result, anyhow, bail};
use tar::{Archive, Entry, EntryType, PaxExtensions};

/// Thousands of layers with a file for each blob are far below this.
const MEMBERS_MAX: usize = 100_000;
/// Of a name that does not fit into its header, and of what stands beside it there.
const EXTENSION_BYTES_MAX: u64 = 64 << 10;
/// An archive of an old Docker has a link for each layer that two images share.
const LINKS_FOLLOWED_MAX: usize = 8;

/// Where a file's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub offset: u64,
    pub size: u64,
}

enum Member {
    File(Place),
    /// The name of another member.
    Link(String),
}

pub struct Members(HashMap<String, Member>);

impl Members {
    /// Reads all headers; bodies are skipped.
    ///
    /// # Errors
    /// When it is no tar archive, is cut, or has too many members.
    pub fn of(file: &File) -> Result<Self> {
        let bytes = file.metadata()?.len();
        let mut members = HashMap::new();
        let mut said = Said::default();
        let mut archive = Archive::new(file);
        // Raw: otherwise names of any length are read into memory.
        for entry in archive.entries_with_seek()?.raw(true) {
            // What the reader says would repeat what is in the file, whatever that is.
            let mut entry = entry.map_err(|_| anyhow!("it is no tar archive, or a damaged one"))?;
            if members.len() >= MEMBERS_MAX {
                bail!("the archive has more than {MEMBERS_MAX} members");
            }
            let place = Place { offset: entry.raw_file_position(), size: entry.size() };
            if place.offset.checked_add(place.size).is_none_or(|end| end > bytes) {
                bail!("the archive is cut: it ends inside a member");
            }
            if said.takes(&mut entry)? {
                continue;
            }
            let (name, link) = std::mem::take(&mut said).of(&entry);
            let kind = entry.header().entry_type();
            let member = match (kind, link) {
                (EntryType::Regular | EntryType::Continuous, _) => Member::File(place),
                (EntryType::Symlink, Some(link)) => Member::Link(beside(&name, &link)),
                (EntryType::Link, Some(link)) => Member::Link(link),
                _ => continue,
            };
            members.insert(plain(&name), member);
        }
        Ok(Self(members))
    }

    /// Where a file is, through links too.
    pub fn place(&self, name: &str) -> Option<Place> {
        let mut name = plain(name);
        for _ in 0..LINKS_FOLLOWED_MAX {
            match self.0.get(&name)? {
                Member::File(place) => return Some(*place),
                Member::Link(to) => name = plain(to),
            }
        }
        None
    }
}

/// What members say of the one behind them.
#[derive(Default)]
struct Said {
    name: Option<String>,
    link: Option<String>,
}

impl Said {
    /// Whether the member was of that kind.
    fn takes<R: Read + Seek>(&mut self, entry: &mut Entry<'_, R>) -> Result<bool> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => self.name = Some(text(&extension(entry)?)),
            EntryType::GNULongLink => self.link = Some(text(&extension(entry)?)),
            EntryType::XHeader => {
                let records = extension(entry)?;
                for record in PaxExtensions::new(&records) {
                    let record = record.context("a damaged header in the archive")?;
                    let value = text(record.value_bytes());
                    match record.key() {
                        Ok("path") => self.name = Some(value),
                        Ok("linkpath") => self.link = Some(value),
                        // Its header would say another one, and what follows be looked for at the wrong place.
                        Ok("size") => bail!("the archive has a member of 8 GiB or more"),
                        _ => {}
                    }
                }
            }
            EntryType::XGlobalHeader => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Name and link of the member.
    fn of<R: Read>(self, entry: &Entry<'_, R>) -> (String, Option<String>) {
        let header = entry.header();
        let name = self.name.unwrap_or_else(|| text(&header.path_bytes()));
        let link = self.link.or_else(|| header.link_name_bytes().map(|link| text(&link)));
        (name, link)
    }
}

fn extension<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>> {
    if entry.size() > EXTENSION_BYTES_MAX {
        bail!("the archive has a name of more than {EXTENSION_BYTES_MAX} bytes");
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Names of images' members are ASCII; one that is none is found by nobody.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

/// Without what says nothing: `./a//b` is `a/b`, and what would lead out of the archive leads nowhere.
fn plain(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What a symbolic link means: a name beside its own.
fn beside(name: &str, link: &str) -> String {
    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
    format!("{directory}/{link}")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tar::{Builder, Header};

    use super::*;

    fn archive(build: impl FnOnce(&mut Builder<File>)) -> File {
        let mut builder = Builder::new(tempfile::tempfile().unwrap());
        build(&mut builder);
        let file = builder.into_inner().unwrap();
        (&file).rewind().unwrap();
        file
    }

    fn put(builder: &mut Builder<File>, name: &str, content: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    }

    fn link(builder: &mut Builder<File>, kind: EntryType, name: &str, to: &str) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_link(&mut header, name, to).unwrap();
    }

    #[test]
    fn members_are_found_by_name_and_through_links() {
        let long = format!("{}/layer.tar", "d".repeat(150));
        let file = archive(|builder| {
            put(builder, "./a/x", b"12345");
            put(builder, &long, b"123");
            link(builder, EntryType::Symlink, "b/x", "../a/x");
            link(builder, EntryType::Link, "c", "a/x");
            link(builder, EntryType::Symlink, "out", "../../../../etc/passwd");
            link(builder, EntryType::Symlink, "round", "round");
        });
        let members = Members::of(&file).unwrap();
        let size = |name: &str| members.place(name).map(|place| place.size);
        assert_eq!(size("a/x"), Some(5));
        assert_eq!(size("./a//x"), Some(5));
        assert_eq!(size(&long), Some(3));
        assert_eq!(size("b/x"), Some(5));
        assert_eq!(size("c"), Some(5));
        for nothing in ["a", "out", "round", "/etc/passwd", "../etc/passwd"] {
            assert_eq!(size(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn what_is_cut_or_no_archive_is_refused() {
        let file = archive(|builder| put(builder, "a", &[7; 5000]));
        file.set_len(2000).unwrap();
        let refused = |file: &File| Members::of(file).err().map(|error| format!("{error:#}"));
        assert!(refused(&file).unwrap().contains("is cut"));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[b'x'; 2048]).unwrap();
        file.rewind().unwrap();
        assert!(refused(&file).unwrap().contains("no tar archive"));
    }

    #[test]
    fn a_name_has_a_limit() {
        let file = archive(|builder| put(builder, &"n".repeat(70_000), b""));
        let refused = Members::of(&file).err().unwrap();
        assert!(refused.to_string().contains("a name of more than"), "{refused}");
    }
}
