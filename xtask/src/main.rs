//! `cargo xtask`: the chores of this repository.

mod codegen;
mod compatibility;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of this repository")]
enum Chore {
    /// Write the generated code of crates/aws-models
    Codegen {
        /// Only fail when it is stale
        #[arg(long)]
        check: bool,
    },
    /// Write docs/compatibility.md
    Compatibility {
        /// Only fail when it is stale
        #[arg(long)]
        check: bool,
    },
    /// Make the fact files anew from an unpacked botocore wheel
    ImportFacts {
        /// The wheel's `botocore` folder
        #[arg(long)]
        botocore: PathBuf,
    },
}

fn main() -> Result<()> {
    match Chore::parse() {
        Chore::Codegen { check } => codegen::run(&repository(), check),
        Chore::Compatibility { check } => compatibility::run(&repository(), check),
        Chore::ImportFacts { botocore } => codegen::import_facts(&repository(), &botocore),
    }
}

/// The root of the repository, which this package stands in.
fn repository() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}
