//! What the container tools of this host must be told about the registry's address.
//!
//! Docker speaks plain HTTP to any registry on 127.0.0.0/8. Podman, Buildah and Skopeo (containers/image)
//! insist on TLS for every address, unless `registries.conf` calls it insecure; a drop-in file of their
//! own directory does that for this one address, by its number and as `localhost`, which never leaves the
//! loopback interface.
//! See `docs/design/0002-registry-address.md`.
//!
//! **Invariant:** the file carries the instance's id in its name and its text, is written only for a
//! loopback address, and only a file that says it is this instance's is ever replaced or removed.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where containers/image looks for drop-ins of the system.
const DROP_IN_DIRECTORY: &str = "/etc/containers/registries.conf.d";

/// One drop-in file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostIntegration {
    path: PathBuf,
    text: String,
    first_line: String,
}

impl HostIntegration {
    /// The file for a registry at `address`; `None` if the address is not on the loopback interface,
    /// where plain HTTP would expose passwords.
    pub fn new(instance_id: &str, address: SocketAddr) -> Option<Self> {
        Self::in_directory(Path::new(DROP_IN_DIRECTORY), instance_id, address)
    }

    /// The same, for another directory than the system's.
    pub fn in_directory(directory: &Path, instance_id: &str, address: SocketAddr) -> Option<Self> {
        if !address.ip().is_loopback() {
            return None;
        }
        let first_line =
            format!("# Made by Outport, instance {instance_id}; removed when it stops.");
        // A client that came by `localhost` is told a `repositoryUri` that begins with it.
        let locations = [address.to_string(), format!("localhost:{}", address.port())];
        let entries = locations
            .map(|location| format!("[[registry]]\nlocation = \"{location}\"\ninsecure = true\n"));
        let text = format!("{first_line}\n{}", entries.concat());
        let path = directory.join(format!("outport-{instance_id}.conf"));
        Some(Self { path, text, first_line })
    }

    /// The instances that have a file in the system's directory, by its name.
    pub fn instances() -> Vec<String> {
        Self::instances_in(Path::new(DROP_IN_DIRECTORY))
    }

    fn instances_in(directory: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let ids = names.filter_map(|name| {
            Some(name.strip_prefix("outport-")?.strip_suffix(".conf")?.to_owned())
        });
        ids.collect()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes the file, whole or not at all. A host without the directory gets it. Returns false, and
    /// writes nothing, if a file of this name is there that Outport did not make.
    pub fn write(&self) -> io::Result<bool> {
        if self.path.exists() && !self.is_ours()? {
            return Ok(false);
        }
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        make_directories(directory)?;
        // Tools read every `*.conf`: the unfinished file has another ending.
        let unfinished = self.path.with_extension("unfinished");
        let written = fs::File::create(&unfinished)
            .and_then(|mut file| file.write_all(self.text.as_bytes()))
            // For every user's podman, whatever our own umask is.
            .and_then(|()| fs::set_permissions(&unfinished, Permissions::from_mode(0o644)))
            .and_then(|()| fs::rename(&unfinished, &self.path));
        if written.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&unfinished);
        }
        written.map(|()| true)
    }

    /// Removes the file if it is this instance's; whether there was one. A file that is gone is as good.
    pub fn remove(&self) -> io::Result<bool> {
        match self.is_ours() {
            Ok(true) => fs::remove_file(&self.path).map(|()| true),
            Ok(false) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_ours(&self) -> io::Result<bool> {
        Ok(fs::read_to_string(&self.path)?.lines().next() == Some(self.first_line.as_str()))
    }
}

/// Open to every user's tools, whatever our own umask is.
fn make_directories(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    directory.parent().map_or(Ok(()), make_directories)?;
    fs::create_dir(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o755))
}
