//! Who may have what is here already. Needs root (layers have owners).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::{
    Digest, Image, ImageStore, Platform, PullError, RegistryEndpoint, StoreOptions,
};
use std::path::Path;
use support::registry::{Access, Registry};
use support::tarball::{Tarball, gzip};

fn open(directory: &Path) -> ImageStore {
    let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() };
    ImageStore::open(directory, StoreOptions { platform, ..StoreOptions::default() }).unwrap()
}

fn tar(name: &str) -> Vec<u8> {
    Tarball::new().file(name, name.as_bytes()).finish()
}

fn blob(name: &str) -> String {
    format!("blobs/{}", Digest::of(&gzip(&tar(name))))
}

async fn pull(
    store: &ImageStore,
    registry: &Registry,
    rest: &str,
    endpoint: &RegistryEndpoint,
) -> Result<Image, PullError> {
    store.pull(&registry.reference(rest), endpoint).await
}

#[track_caller]
fn check_refused(pulled: Result<Image, PullError>, words: &str) {
    let reason = pulled.expect_err("it was handed out").reason();
    assert!(reason.contains(words), "{reason} has no {words}");
}

/// By its digest, which is no secret.
#[tokio::test]
async fn an_image_that_is_here_is_for_those_who_may_pull_it() {
    let private = Registry::start(Access::Basic).await;
    let elsewhere = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let digest = private.put_image("1", &[tar("secret")]);
    let by_digest = format!("app@{digest}");
    let may = private.endpoint_as("AWS", "secret");
    pull(&store, &private, &by_digest, &may).await.unwrap();
    let before = private.requests("");
    pull(&store, &private, &by_digest, &may).await.unwrap();
    assert_eq!(private.requests(""), before, "who got it once has it without a request");

    let denied = "authorization failed";
    check_refused(pull(&store, &private, &by_digest, &private.endpoint()).await, denied);
    let wrong = private.endpoint_as("AWS", "wrong");
    check_refused(pull(&store, &private, &by_digest, &wrong).await, "who are you");
    let nowhere = elsewhere.endpoint();
    check_refused(pull(&store, &elsewhere, &by_digest, &nowhere).await, "not found");
    let other = RegistryEndpoint::http(private.authority(), "other", None);
    check_refused(pull(&store, &private, &format!("other@{digest}"), &other).await, denied);

    // Another process does not remember passwords: it asks, once, and fetches nothing.
    drop(store);
    let store = open(directory.path());
    check_refused(pull(&store, &private, &by_digest, &private.endpoint()).await, denied);
    let (before, blobs) = (private.requests(""), private.requests("blobs/"));
    for _ in 0..2 {
        pull(&store, &private, &by_digest, &may).await.unwrap();
    }
    // Without and with the password.
    assert_eq!(private.requests("") - before, 2);
    assert_eq!(private.requests("blobs/"), blobs);

    // What anybody may have costs nothing, also then.
    let public = elsewhere.put_image("1", &[tar("public")]);
    let by_digest = format!("app@{public}");
    pull(&store, &elsewhere, &by_digest, &nowhere).await.unwrap();
    drop(store);
    let store = open(directory.path());
    let before = elsewhere.requests("");
    pull(&store, &elsewhere, &by_digest, &nowhere).await.unwrap();
    assert_eq!(elsewhere.requests(""), before);
}

/// A configuration may name any diff id, and a manifest any blob.
#[tokio::test]
async fn a_layer_that_is_here_is_for_those_who_have_its_blob() {
    let private = Registry::start(Access::Basic).await;
    let hostile = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    private.put_image("1", &[tar("secret")]);
    let may = private.endpoint_as("AWS", "secret");
    pull(&store, &private, "app:1", &may).await.unwrap();

    // The diff id with another blob.
    let other = hostile.manifest(&[gzip(&tar("other"))], &[Digest::of(&tar("secret"))]);
    hostile.put_manifest("other", "x", &other);
    let pulled = pull(&store, &hostile, "app:other", &hostile.endpoint()).await;
    check_refused(pulled, "wrong diff id");
    // Both, and no blob.
    hostile.put_image("both", &[tar("secret")]);
    hostile.take(&blob("secret"));
    let pulled = pull(&store, &hostile, "app:both", &hostile.endpoint()).await;
    check_refused(pulled, "not found");
    // Of the registry that has it, from a repository that has it not.
    private.put_image("mine", &[tar("mine"), tar("secret")]);
    private.lend("mine", &["manifests/", "blobs/"]);
    private.take_from("mine", &blob("secret"));
    let mine = private.endpoint_of("mine", "AWS", "secret");
    check_refused(pull(&store, &private, "mine:mine", &mine).await, "not found");

    // Who has it is given what is here: once the blob itself came from another registry, …
    hostile.put_image("honest", &[tar("secret")]);
    let before = hostile.requests(&blob("secret"));
    for _ in 0..2 {
        pull(&store, &hostile, "app:honest", &hostile.endpoint()).await.unwrap();
    }
    assert_eq!(hostile.requests(&blob("secret")) - before, 1);
    // … and after a look into another repository of the same.
    private.lend("mine", &["manifests/", "blobs/"]);
    let before = private.requests(&blob("secret"));
    pull(&store, &private, "mine:mine", &mine).await.unwrap();
    assert_eq!(private.requests(&format!("{} range=bytes=0-0", blob("secret"))), 2);
    assert!(private.requests(&blob("secret")) > before);
    let before = private.requests(&blob("secret"));
    pull(&store, &private, "mine:mine", &mine).await.unwrap();
    assert_eq!(private.requests(&blob("secret")), before);
}
