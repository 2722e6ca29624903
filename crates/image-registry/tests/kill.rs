//! SIGKILL at random moments, of the start too, under pushes and deletions: the registry opens, and has what it
//! acknowledged.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use outport_image_registry::{
    Algorithm, ImageSelector, Limits, NewRepository, PutImage, Registry, RegistryError,
    RepositoryName, TagMutability,
};
use outport_model::{AccountId, Region, Scope, Tags};

const REPOSITORIES: usize = 3;
const KILLS: u32 = 20;
const LIFE_MAX: Duration = Duration::from_millis(150);
/// Where the writer of a kill works; without it the test below is a test of its own.
const DIRECTORY: &str = "OUTPORT_REGISTRY_KILL_DIRECTORY";

fn open(directory: &Path) -> Result<Arc<Registry>, RegistryError> {
    Registry::open(directory, Limits::default())
}

fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

fn ensure(registry: &Registry, name: &RepositoryName) {
    let new = NewRepository {
        name: name.clone(),
        tag_mutability: TagMutability::Mutable,
        scan_on_push: false,
        tags: Tags::default(),
    };
    match registry.create_repository(&scope(), &new, 1) {
        Ok(_) | Err(RegistryError::RepositoryAlreadyExists { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Pushes image `number`, and moves the tag `latest` to it.
fn push(registry: &Arc<Registry>, name: &RepositoryName, number: usize) {
    let config = format!("config {number} of {name}");
    let mut upload = registry.take_upload(&scope(), name).unwrap();
    upload.append(config.as_bytes()).unwrap();
    let digest = upload.digest(Algorithm::Sha256).unwrap();
    upload.finish(&digest, 1).unwrap();
    let body = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{}}},"layers":[],"annotations":{{"number":"{number}"}}}}"#,
        config.len()
    );
    let latest = "latest".parse().unwrap();
    let put =
        PutImage { body: body.as_bytes(), media_type: None, tag: Some(&latest), digest: None };
    registry.put_image(&scope(), name, &put, 1).unwrap();
}

/// The number of the image that the tag `latest` is on.
fn latest(registry: &Registry, name: &RepositoryName) -> Option<usize> {
    let selector = ImageSelector::Tag("latest".parse().unwrap());
    let image = match registry.image(&scope(), name, &selector) {
        Ok(image) => image,
        Err(RegistryError::ImageNotFound(_) | RegistryError::RepositoryNotFound { .. }) => {
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let body: serde_json::Value = serde_json::from_slice(&image.body).unwrap();
    let config = body["config"]["digest"].as_str().unwrap().parse().unwrap();
    registry.open_blob(&scope(), name, &config).unwrap();
    Some(body["annotations"]["number"].as_str().unwrap().parse().unwrap())
}

/// Pushes to every repository, and says each image.
fn write(directory: &Path, count: usize, say: impl Fn(&str, usize) + Sync) {
    let registry = open(directory).unwrap();
    std::thread::scope(|threads| {
        for number in 0..REPOSITORIES {
            let (registry, say) = (&registry, &say);
            threads.spawn(move || {
                let name: RepositoryName = format!("repository-{number}").parse().unwrap();
                ensure(registry, &name);
                let first = latest(registry, &name).map_or(0, |last| last + 1);
                for number in first..first.saturating_add(count) {
                    push(registry, &name, number);
                    say(name.as_str(), number);
                    if number % 8 == 0 {
                        let passing = format!("passing/{name}").parse().unwrap();
                        ensure(registry, &passing);
                        push(registry, &passing, number);
                        registry.delete_repository(&scope(), &passing, true).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn a_writer_says_each_number_once() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        // Started by the test below, to be killed.
        write(&PathBuf::from(directory), usize::MAX, |name, number| {
            let line = format!("{name} {number}\n");
            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
        });
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), 10, |_, _| ());
    let registry = open(directory.path()).unwrap();
    assert_eq!(latest(&registry, &"repository-0".parse().unwrap()), Some(9));
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged_and_is_taken_for_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<String, usize> = BTreeMap::new();
    for kill in 0..KILLS {
        acknowledged.extend(run_and_kill(directory.path(), kill % 3 == 0));
        let registry = open(directory.path()).unwrap();
        for (name, acknowledged) in &mut acknowledged {
            let found = latest(&registry, &name.parse().unwrap()).unwrap();
            // One push may have been under way, on disk but not acknowledged.
            let range = *acknowledged..=*acknowledged + 1;
            assert!(range.contains(&found), "{name}: {found}, {range:?}");
            *acknowledged = found;
        }
    }
    assert_eq!(acknowledged.len(), REPOSITORIES);
}

/// What a writer acknowledged before it was killed, in its order. It may be killed while it opens the registry.
fn run_and_kill(directory: &Path, at_start: bool) -> Vec<(String, usize)> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_writer_says_each_number_once", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    while !at_start && said.is_empty() {
        let line = lines.next().expect("the writer writes").unwrap();
        said.extend(parse(&line));
    }
    // The moment is random, and nothing waits for it to be right: any moment must do.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let life = LIFE_MAX * (now.subsec_micros() % 1_000) / 1_000;
    let killer = std::thread::spawn(move || {
        std::thread::park_timeout(life);
        writer.kill().unwrap();
        writer.wait().unwrap();
    });
    // A line that the kill cut short was not said.
    for line in lines.map_while(Result::ok) {
        said.extend(parse(&line));
    }
    killer.join().unwrap();
    said
}

fn parse(line: &str) -> Option<(String, usize)> {
    // The test harness's own words come before the first line, without a line break.
    let line = line.rsplit_once("... ").map_or(line, |(_, rest)| rest);
    let (name, number) = line.split_once(' ')?;
    if !name.starts_with("repository-") {
        return None;
    }
    Some((name.to_owned(), number.parse().ok()?))
}
