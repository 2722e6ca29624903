//! An authority that nodes and clients believe is not made anew because a file of it is damaged or gone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use outport_certificates::{Authority, CertificateError, ServerNames, ServerTls, ServerTlsOptions};
use outport_model::{AccountId, Region, Scope};

const NOW_MS: i64 = 1_795_880_000_000;

fn open(directory: &Path) -> Result<ServerTls, CertificateError> {
    let names = || {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        ServerNames::wanted(&scope, &[], &[])
    };
    let options = ServerTlsOptions {
        directory: directory.to_owned(),
        authority_name: "0a1b2c3d".to_owned(),
        names: Arc::new(names),
        own: None,
    };
    ServerTls::open(options, NOW_MS)
}

/// What `change` does to the files of an authority is refused, and changes nothing.
#[track_caller]
fn check_refused(change: impl Fn(&Path, &Path)) {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let files = ["authority-key.pem", "authority.pem"].map(|name| directory.path().join(name));
    change(&files[0], &files[1]);
    let before = files.each_ref().map(|file| std::fs::read(file).ok());
    let error = open(directory.path()).err().unwrap();
    assert!(matches!(error, CertificateError::OtherAuthority { .. }), "{error}");
    assert!(error.to_string().contains("restore both from a backup"), "{error}");
    assert_eq!(files.each_ref().map(|file| std::fs::read(file).ok()), before);
}

#[test]
fn one_that_is_damaged_or_gone_is_refused_and_kept() {
    check_refused(|key, _| std::fs::remove_file(key).unwrap());
    check_refused(|key, _| {
        std::fs::write(key, Authority::make("0a1b2c3d", NOW_MS).unwrap()).unwrap();
    });
    check_refused(|_, public| std::fs::write(public, "damaged").unwrap());
}

#[test]
fn the_public_file_alone_is_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let pin = open(directory.path()).unwrap().authority().pin();
    std::fs::remove_file(directory.path().join("authority.pem")).unwrap();
    let again = open(directory.path()).unwrap();
    assert_eq!(again.authority().pin(), pin);
    assert!(again.authority_file().exists());
}
