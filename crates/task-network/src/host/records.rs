//! The records of namespaces, one in each namespace's directory.
//!
//! **Invariant:** the address and the link of a record that is whole are known, whatever version wrote it: they stay taken,
//! and its packets pass. A damaged one is none, and that is said.

use super::RECORD;
use crate::attachment::{AttachedNamespace, Attachment};
use crate::error::NetworkError;
use crate::instance::NamespaceName;
use outport_model::checked_json::{self, Document};
use serde_json::Value;
use std::fs;
use std::io;
use std::path::Path;

/// All records, of namespaces whole or not.
pub fn list(namespaces: &Path) -> Result<Vec<AttachedNamespace>, NetworkError> {
    let mut listed = Vec::new();
    for name in directory_names(namespaces)? {
        if let Ok(name) = name.parse::<NamespaceName>() {
            listed.extend(read(namespaces, &name)?);
        }
    }
    Ok(listed)
}

pub fn read(
    namespaces: &Path,
    name: &NamespaceName,
) -> Result<Option<AttachedNamespace>, NetworkError> {
    let path = namespaces.join(name.as_str()).join(RECORD);
    match fs::read(&path) {
        Ok(bytes) => Ok(read_bytes(&bytes, namespaces, name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(NetworkError::file(&path)(error)),
    }
}

pub fn write(namespaces: &Path, attached: &AttachedNamespace) -> Result<(), NetworkError> {
    let path = namespaces.join(attached.name.as_str()).join(RECORD);
    let write = || fs::write(&path, checked_json::write(attached)?);
    write().map_err(NetworkError::file(&path))
}

fn read_bytes(bytes: &[u8], namespaces: &Path, name: &NamespaceName) -> Option<AttachedNamespace> {
    match checked_json::read::<AttachedNamespace>(bytes) {
        Document::Read(attached) => Some(attached),
        Document::NotUnderstood(why) => {
            tracing::warn!(
                event = "network_record_partly_understood",
                %name,
                why,
                "a network's record of another version is understood in part"
            );
            Some(in_part(&serde_json::from_slice(bytes).ok()?, namespaces, name))
        }
        // A crash while it was written, of a namespace that was not in use yet; or its disk.
        Document::Damaged(why) => {
            tracing::warn!(
                event = "network_record_damaged",
                %name,
                why,
                "the record of a network is damaged"
            );
            None
        }
    }
}

/// What is known of a namespace of another version.
fn in_part(record: &Value, namespaces: &Path, name: &NamespaceName) -> AttachedNamespace {
    let field = |name: &str| record.get(name).cloned().unwrap_or_default();
    AttachedNamespace {
        name: name.clone(),
        path: namespaces.join(name.as_str()).join("net"),
        attachment: serde_json::from_value(field("attachment")).unwrap_or(Attachment::None),
        address: serde_json::from_value(field("address")).ok(),
        link: serde_json::from_value(field("link")).unwrap_or_default(),
        published: serde_json::from_value(field("published")).unwrap_or_default(),
    }
}

pub fn directory_names(directory: &Path) -> Result<Vec<String>, NetworkError> {
    let listed = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(NetworkError::file(directory))?,
    };
    let names =
        listed.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    names.collect::<io::Result<Vec<String>>>().map_err(NetworkError::file(directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const FIRST: &str = r#"{"name":"t1","path":"/run/outport/a/ns/t1/net","attachment":{"Bridge":{"ports":[{"protocol":"Tcp","host_port":80,"container_port":8000}]}},"address":"100.64.0.2"}"#;

    fn read_text(text: &str) -> Option<AttachedNamespace> {
        read_bytes(text.as_bytes(), Path::new("/run/outport/a/ns"), &"t1".parse().unwrap())
    }

    #[test]
    fn what_was_written_is_read_and_no_damage_is_believed() {
        let first = read_text(FIRST).unwrap();
        let good = String::from_utf8(checked_json::write(&first).unwrap()).unwrap();
        assert_eq!(good, format!("{},\"crc32\":\"{}\"}}", &FIRST[..FIRST.len() - 1], "3d09a8b4"));
        assert_eq!(read_text(&good), Some(first.clone()));
        (0..good.len()).for_each(|length| assert_eq!(read_text(&good[..length]), None, "{length}"));
        for bit in 0..good.len() * 8 {
            let mut flipped = good.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let name = "t1".parse().unwrap();
            let read = read_bytes(&flipped, Path::new("/"), &name);
            assert!(read.is_none_or(|read| read == first), "bit {bit}");
        }
    }

    #[test]
    fn what_is_published_is_read_again_and_no_reason_to_forget_the_address() {
        let text = |scope: &str| {
            format!(
                r#"{{"name":"t1","path":"/run/outport/a/ns/t1/net","attachment":"None","address":"100.64.0.2","published":{{"scope":"{scope}","ports":[{{"protocol":"Tcp","host_port":8080,"container_port":8080}}]}}}}"#
            )
        };
        let read = read_text(&text("Loopback")).unwrap();
        assert_eq!(read.published.as_ref().unwrap().ports[0].host_port, 8080);
        let written = String::from_utf8(checked_json::write(&read).unwrap()).unwrap();
        assert!(written.starts_with(&text("Loopback")[..text("Loopback").len() - 1]), "{written}");
        let future = read_text(&text("Mesh")).unwrap();
        assert_eq!((future.address, future.published), (read.address, None));
    }

    #[test]
    fn of_a_record_of_the_future_the_address_and_the_link_are_known() {
        let future = r#"{"name":"t1","attachment":{"Mesh":{"peers":[]}},"address":"100.64.0.9","link":"op1x","more":1}"#;
        let read = read_text(future).unwrap();
        assert_eq!((read.name.as_str(), read.link.as_deref()), ("t1", Some("op1x")));
        assert_eq!(read.address, Some(Ipv4Addr::new(100, 64, 0, 9)));
        assert_eq!(read.attachment, Attachment::None);
        assert_eq!(read.path, Path::new("/run/outport/a/ns/t1/net"));
        let other = read_text(r#"{"addresses":["100.64.0.9"]}"#).unwrap();
        assert_eq!((other.address, other.link), (None, None));
    }
}
