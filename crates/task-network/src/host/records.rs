//! The records of namespaces, one in each namespace's directory.

use super::RECORD;
use crate::attachment::AttachedNamespace;
use crate::error::NetworkError;
use crate::instance::NamespaceName;
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
        // Unreadable: a crash while it was written; the namespace was not in use yet.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(NetworkError::file(&path)(error)),
    }
}

pub fn write(namespaces: &Path, attached: &AttachedNamespace) -> Result<(), NetworkError> {
    let path = namespaces.join(attached.name.as_str()).join(RECORD);
    let write = || fs::write(&path, serde_json::to_vec(attached)?);
    write().map_err(NetworkError::file(&path))
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
