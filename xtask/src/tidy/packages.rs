//! Packages of others: where they come from, under which licence, and which are not wanted.
//!
//! `deny.toml` says the same to cargo-deny, which also knows advisories; this is checked everywhere.

use super::workspace::{Package, Workspace};
use super::{Offences, licence};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Packages that do not say their licence in their manifest, with the one of their LICENSE file.
const CLARIFIED: [(&str, &str); 1] = [("rust-criu", "MIT")];
/// One way to encrypt (ring) and one TLS (rustls): the program stays one file without system libraries.
const UNWANTED: [&str; 6] =
    ["aws-lc-rs", "aws-lc-sys", "boring-sys", "native-tls", "openssl", "openssl-sys"];

pub fn check(workspace: &Workspace) -> Offences {
    workspace.foreign().flat_map(offences).collect()
}

fn offences(package: &Package) -> Offences {
    let Package { name, version, source, .. } = package;
    let mut offences = Vec::new();
    if source.as_deref() != Some(CRATES_IO) {
        offences.push(format!("{name} {version} does not come from crates.io"));
    }
    if UNWANTED.contains(&name.as_str()) {
        offences.push(format!("{name} {version} is not wanted: ring and rustls do its work"));
    }
    let clarified =
        CLARIFIED.iter().find(|(clarified, _)| clarified == name).map(|(_, text)| *text);
    match package.license.as_deref().or(clarified) {
        None => offences.push(format!("{name} {version} says no licence")),
        Some(text) if !licence::is_allowed(text) => {
            offences.push(format!("{name} {version} is under {text}"));
        }
        Some(_) => {}
    }
    offences
}
