//! The kinds of machines that Outport is packaged for.

use anyhow::{Result, bail};
use clap::ValueEnum;
use clap::builder::PossibleValue;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    Amd64,
    Arm64,
}

/// By Debian's names; those of others are understood.
impl ValueEnum for Architecture {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Amd64, Self::Arm64]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let alias = match self {
            Self::Amd64 => "x86-64",
            Self::Arm64 => "aarch64",
        };
        Some(PossibleValue::new(self.debian()).alias(alias))
    }
}

impl Architecture {
    /// # Errors
    /// On a machine of another kind.
    pub fn of_this_machine() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => bail!("Outport is not packaged for {other}: name another kind with --arch"),
        }
    }

    pub fn is_this_machine(self) -> bool {
        Self::of_this_machine().is_ok_and(|own| own == self)
    }

    /// Debian's name, which is also that of OCI.
    pub fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The target of rustc.
    pub fn rust_target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// What the names of a compiler for it begin with, and the folder of its libraries.
    pub fn gnu(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// As `readelf --file-header` says it.
    pub fn elf_machine(self) -> &'static str {
        match self {
            Self::Amd64 => "Advanced Micro Devices X86-64",
            Self::Arm64 => "AArch64",
        }
    }

    /// The program that makes a program of this kind ready to run.
    pub fn loader(self) -> &'static str {
        match self {
            Self::Amd64 => "lib64/ld-linux-x86-64.so.2",
            Self::Arm64 => "lib/ld-linux-aarch64.so.1",
        }
    }
}
