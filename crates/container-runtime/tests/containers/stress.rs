//! Many containers, two at a time, by a seed: nothing is left.

use std::sync::Arc;

use crate::host::{Host, TASK, ended};

const CYCLES: u64 = 100;
const SEED: u64 = 0x5eed_0001;

#[test]
fn a_hundred_containers_leave_nothing() {
    let host = Arc::new(Host::new());
    let cycles = std::env::var("OUTPORT_TEST_CYCLES").ok().and_then(|text| text.parse().ok());
    let cycles = cycles.unwrap_or(CYCLES);
    println!("seed {SEED:#x}, {cycles} cycles");
    let workers: Vec<_> = (0..2_u64)
        .map(|worker| {
            let host = Arc::clone(&host);
            std::thread::spawn(move || {
                let mut state = SEED ^ worker << 32;
                for cycle in 0..cycles / 2 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    cycle_once(&host, &format!("w{worker}-{cycle}"), state >> 33);
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    host.check_nothing_left();
}

fn cycle_once(host: &Host, name: &str, choice: u64) {
    match choice % 5 {
        0 => {
            let shim = host.create(name, host.shell("exit 0"));
            if choice.is_multiple_of(2) {
                shim.kill().unwrap();
                assert_eq!(ended(&shim).exit_code, None);
            }
        }
        1 => {
            assert!(host.runtime.create(TASK, name, host.spec(&["/no/such"])).is_err());
        }
        2 => {
            host.start(name, host.shell("sleep 1000 & sleep 1000"));
        }
        3 => {
            let shim = host.start(name, host.spec(&["sleep", "1000"]));
            shim.kill().unwrap();
            assert_eq!(ended(&shim).exit_code, Some(137));
        }
        _ => {
            let code = (choice % 100) as i32;
            let (record, output) = host.run(name, host.shell(&format!("echo {code}; exit {code}")));
            assert_eq!((record.exit_code, output), (Some(code), format!("{code}\n")));
        }
    }
    host.remove(name);
}
