//! The shim alone, for the tests of this crate: what the `outport shim` sub-command is.

use std::io::Write;
use std::path::Path;

fn main() {
    let Some(dir) = std::env::args_os().nth(1) else {
        // Without a reader the exit code says it.
        let _ = writeln!(std::io::stderr(), "usage: container-runtime-shim <run directory>");
        std::process::exit(2);
    };
    outport_container_runtime::shim::run(Path::new(&dir));
}
