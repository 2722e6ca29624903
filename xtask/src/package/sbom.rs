//! The bill of materials, in the form of CycloneDX 1.5: the crates that are linked into the program, the libraries
//! beside them, and the Debian packages of the image.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use super::crates::Crate;
use super::debian_root::Package;
use super::{Release, archive};
use crate::process::{command, output};

pub fn make(release: &Release, image_packages: &[Package]) -> Result<PathBuf> {
    let linked = release.crates.iter().filter(|each| each.name != "outport").map(of_crate);
    let mut components: Vec<Value> = linked.collect();
    let rustc = output(&mut command(&release.repository, "rustc", ["--version"]))?;
    let rustc = rustc.split_whitespace().nth(1).unwrap_or("unknown");
    components.push(library("rust-std", rustc, "MIT OR Apache-2.0"));
    let seccomp = ["--modversion", "libseccomp"];
    let seccomp = output(&mut command(&release.repository, "pkg-config", seccomp))?;
    components.push(library("libseccomp", seccomp.trim(), "LGPL-2.1-only"));
    components.extend(image_packages.iter().map(of_package));

    let (digest, _) = archive::digest(&release.binary.path)?;
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": release.timestamp()?,
            "component": {
                "type": "application",
                "bom-ref": "outport",
                "name": "outport",
                "version": release.version,
                "licenses": [{ "expression": "Apache-2.0" }],
                "hashes": [{ "alg": "SHA-256", "content": digest }],
                "properties": [{ "name": "outport:revision", "value": release.revision }],
            },
        },
        "components": components,
    });
    let into = release.out.join(format!("{}.cdx.json", release.name()));
    std::fs::write(&into, serde_json::to_string_pretty(&document)? + "\n")?;
    Ok(into)
}

fn of_crate(of: &Crate) -> Value {
    let purl = format!("pkg:cargo/{}@{}", of.name, of.version);
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": of.name,
        "version": of.version,
        "purl": purl,
    });
    if let Some(licence) = &of.licence {
        component["licenses"] = json!([{ "expression": licence }]);
    }
    if let Some(checksum) = &of.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// One that is linked in and is no crate.
fn library(name: &str, version: &str, licence: &str) -> Value {
    let purl = format!("pkg:generic/{name}@{version}");
    json!({
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "licenses": [{ "expression": licence }],
        "purl": purl,
    })
}

fn of_package(of: &Package) -> Value {
    let version = of.version.replace('+', "%2B").replace(':', "%3A");
    let purl = format!(
        "pkg:deb/debian/{}@{version}?arch={}&distro={}",
        of.name.replace('+', "%2B"),
        of.architecture,
        of.suite
    );
    json!({
        "type": "library",
        "bom-ref": purl,
        "name": of.name,
        "version": of.version,
        "purl": purl,
        "properties": [{ "name": "outport:in", "value": "image" }],
    })
}
