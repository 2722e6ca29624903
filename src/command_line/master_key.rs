//! Options of the master key.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::DataDir;
use crate::manual;

/// Where the operator keeps the master key, if not the data directory does. One of these, or `OUTPORT_MASTER_KEY`.
#[derive(Clone, Debug, Default, Args)]
pub struct MasterKeyOptions {
    /// A file with the master key that seals secrets on disk, 32 bytes in hexadecimal digits or base64, readable by its owner only; also
    /// the variable OUTPORT_MASTER_KEY with the key itself. Made at the first start and kept in the data directory unless given
    #[arg(long, value_name = "FILE", env = "OUTPORT_MASTER_KEY_FILE")]
    pub master_key_file: Option<PathBuf>,
    /// A command of the shell that prints it, within 30 seconds
    #[arg(
        long,
        value_name = "COMMAND",
        conflicts_with = "master_key_file",
        env = "OUTPORT_MASTER_KEY_COMMAND"
    )]
    pub master_key_command: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum MasterKey {
    /// Seal everything with another key; with Outport stopped
    ///
    /// Where the data directory has the key, another one is made there. Where it is to be the operator's, the new one is given. It can
    /// be killed at any time and run again.
    #[command(after_help = manual::HELP_MASTER_KEY)]
    Rotate(RotateMasterKey),
    /// Let Outport start without what a lost key has sealed, which nobody can read again; with Outport stopped
    GiveUp(GiveUpMasterKey),
}

#[derive(Debug, Args)]
pub struct RotateMasterKey {
    /// A file with the new key, as of --master-key-file; each start needs it from then on
    #[arg(long, value_name = "FILE")]
    pub new_master_key_file: Option<PathBuf>,
    /// A command of the shell that prints the new key
    #[arg(long, value_name = "COMMAND", conflicts_with = "new_master_key_file")]
    pub new_master_key_command: Option<String>,
    /// As the start has it that was the last.
    #[command(flatten)]
    pub current: MasterKeyOptions,
    #[command(flatten)]
    pub data_dir: DataDir,
}

#[derive(Debug, Args)]
pub struct GiveUpMasterKey {
    /// Which one: the 8 hexadecimal digits that a start names
    #[arg(value_name = "KEY")]
    pub key: String,
    #[command(flatten)]
    pub data_dir: DataDir,
}
