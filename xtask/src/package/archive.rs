//! Trees of files as archives: the same tree, the same bytes.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::process::{command, run};

/// Writes a file below `root`, and its folders, whatever the umask is.
pub fn place(root: &Path, path: &str, mode: u32, bytes: impl AsRef<[u8]>) -> Result<()> {
    let file = root.join(path);
    let parent = file.parent().context("a file lies in a folder")?;
    folders(root, parent)?;
    fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(fs::set_permissions(&file, Permissions::from_mode(mode))?)
}

/// Makes a folder below `root` and those on the way.
pub fn folders(root: &Path, folder: &Path) -> Result<()> {
    let below = folder.strip_prefix(root)?;
    let mut place = root.to_owned();
    if !place.is_dir() {
        fs::create_dir_all(&place)?;
        // It is in the archive, too.
        fs::set_permissions(&place, Permissions::from_mode(0o755))?;
    }
    for part in std::iter::once(Path::new("")).chain(below.iter().map(Path::new)) {
        place.push(part);
        if !place.is_dir() {
            fs::create_dir(&place)?;
            fs::set_permissions(&place, Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// The tar command of what is called so in `directory`: names sorted, all of `epoch` and of root.
fn tar(directory: &Path, further: &[&str], names: &[&str], epoch: u64) -> Command {
    let time = format!("--mtime=@{epoch}");
    let options = ["--create", "--format=gnu", "--sort=name", &time, "--owner=0", "--group=0"];
    let mut tar = command(directory, "tar", options);
    // Also of files that are one by a link: which name comes first may differ.
    tar.args(["--numeric-owner", "--hard-dereference"]).args(further).arg("--").args(names);
    tar.env("LC_ALL", "C").env_remove("TAR_OPTIONS");
    tar
}

/// Writes what is called so in `directory` as a tar file; everybody may read what is in it, whatever the umask was.
pub fn write_tar(directory: &Path, names: &[&str], epoch: u64, into: &Path) -> Result<()> {
    let file = File::create(into).with_context(|| format!("cannot write {}", into.display()))?;
    run(tar(directory, &["--mode=u=rwX,go=rX"], names, epoch).stdout(file))
}

/// Writes what is called so in `directory` as a tar file in gzip; the SHA-256 of the tar file.
pub fn write_tar_gz(directory: &Path, name: &str, epoch: u64, into: &Path) -> Result<String> {
    let mut tar = tar(directory, &[], &[name], epoch).stdout(Stdio::piped()).spawn()?;
    let mut from = tar.stdout.take().context("it is piped")?;
    let file = File::create(into).with_context(|| format!("cannot write {}", into.display()))?;
    // No name and no time goes in. The program, as this one is built without optimisation where tests call it.
    let mut gzip = command(directory, "gzip", ["--no-name", "-6"]);
    let mut gzip = gzip.stdin(Stdio::piped()).stdout(file).spawn().context("cannot start gzip")?;
    let mut packed = gzip.stdin.take().context("it is piped")?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        digest.update(&buffer[..length]);
        packed.write_all(&buffer[..length])?;
    }
    drop(packed);
    for (program, child) in [("tar", &mut tar), ("gzip", &mut gzip)] {
        let status = child.wait()?;
        ensure!(status.success(), "{program} of {name} failed ({status})");
    }
    Ok(hexadecimal(digest))
}

/// The SHA-256 of a file, and its length.
pub fn digest(file: &Path) -> Result<(String, u64)> {
    let mut open = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut digest = Sha256::new();
    let length = io::copy(&mut open, &mut digest)?;
    Ok((hexadecimal(digest), length))
}

pub fn digest_of(bytes: &[u8]) -> String {
    hexadecimal(Sha256::new_with_prefix(bytes))
}

fn hexadecimal(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
