//! Many at once, in a program of its own: what the process is while another test makes one is not what it was
//! before. Needs root, as the node does.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

use std::fs;

use outport_user_namespace::{IdRange, create, create_network};

/// From many threads at once, and nothing of it is left: no process, no other state of this one.
#[test]
fn many_are_made_at_once() {
    let status = || {
        let text = fs::read_to_string("/proc/self/status").unwrap();
        let kept = ["Uid:", "CapEff:", "SigBlk:"];
        let lines = text.lines().filter(|line| kept.iter().any(|name| line.starts_with(name)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = (status(), rustix::process::dumpable_behavior().unwrap());
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            scope.spawn(move || {
                for number in 0..25 {
                    let first = 3_100_000_000 + (thread * 25 + number) * 65_536;
                    let user = create(IdRange::beginning(first).unwrap()).unwrap();
                    create_network(&user).unwrap();
                }
            });
        }
    });
    assert_eq!((status(), rustix::process::dumpable_behavior().unwrap()), before);
}
