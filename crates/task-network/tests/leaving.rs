//! What could not be detached at once, and whoever comes next. With root, `nft` and `ip`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it left out")]
#![allow(dead_code, reason = "shared with the other tests of the network")]

mod support;

use outport_task_network::{Attachment, NetworkError};
use std::fs;
use std::os::unix::fs::symlink;
use support::{Fixture, interface, name};

#[test]
fn the_next_has_the_address_of_one_that_could_not_be_detached_at_once() {
    let fixture = Fixture::new("leaving");
    let network = fixture.open();
    let attachment = interface(&fixture, 5);
    let first = network.attach(&name("first"), &attachment).unwrap();
    let next = network.attach(&name("next"), &attachment);
    assert!(matches!(next, Err(NetworkError::AddressInUse { .. })), "{next:?}");

    // As without descriptors for a moment: its record cannot be read.
    let record = first.path.with_file_name("attachment.json");
    let aside = record.with_extension("aside");
    fs::rename(&record, &aside).unwrap();
    fs::create_dir(&record).unwrap();
    network.detach(&name("first")).unwrap_err();
    network.attach(&name("next"), &attachment).unwrap_err();
    fs::remove_dir(&record).unwrap();
    fs::rename(&aside, &record).unwrap();
    let next = network.attach(&name("next"), &attachment).unwrap();
    assert_eq!(network.list().unwrap(), [next]);
    network.detach(&name("first")).unwrap();
    network.detach(&name("next")).unwrap();
    fixture.close(network);
}

#[test]
fn an_address_is_free_again_when_its_namespace_could_not_even_be_recorded() {
    let fixture = Fixture::new("early");
    let network = fixture.open();
    let attachment = interface(&fixture, 5);
    // As without descriptors for a moment: there is no record to be read, and none can be written.
    let unwritable = || {
        let directory = fixture.settings().runtime_directory.join("ns/first");
        fs::create_dir(&directory).unwrap();
        symlink("/none/such", directory.join("attachment.json")).unwrap();
    };
    unwritable();
    network.attach(&name("first"), &attachment).unwrap_err();
    network.attach(&name("next"), &attachment).unwrap();
    unwritable();
    let bridged = Attachment::Bridge { ports: vec![] };
    network.attach(&name("first"), &bridged).unwrap_err();
    network.detach(&name("first")).unwrap();
    for task in ["next", "first"] {
        network.detach(&name(task)).unwrap();
    }
    fixture.close(network);
}
