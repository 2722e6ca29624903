//! What the first start fixed, in the file `settings` of the data directory: for later starts that are told nothing, and for
//! who reads it while an Outport runs.
//!
//! **Invariant:** account, region and range are the store's; what stands here of them is a copy, renewed at each start. Only
//! the cluster has no other place.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Below the data directory.
pub const FILE: &str = "settings";

/// `None` for what no start has fixed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_vpc_cidr: Option<String>,
    /// The cluster of this machine's container instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Of a node alone: the control plane that it joined last, for who asks this directory by mistake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The master key that sealed last, by its check value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_key: Option<MasterKey>,
    /// Check values of master keys that were lost: what they sealed is not waited for any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub master_keys_given_up: Vec<String>,
    /// What a newer version wrote, for it.
    #[serde(flatten)]
    pub of_others: serde_json::Map<String, serde_json::Value>,
}

/// Which master key it is, and whose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterKey {
    /// 8 hexadecimal digits; nothing of the key itself.
    pub check: String,
    /// Whether the operator gives it to each start; otherwise it is in the data directory.
    pub is_given: bool,
}

impl Settings {
    /// Those of a data directory; empty ones when it has none. Takes no lock.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged: restore it from a backup, or remove it and start with the --cluster \
                 of before",
                path.display()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_a_newer_version_wrote_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Settings::read(directory.path()).unwrap(), Settings::default());
        let text = r#"{"region":"eu-west-1","cluster":"edge","colour":"blue"}"#;
        std::fs::write(directory.path().join(FILE), text).unwrap();
        let settings = Settings::read(directory.path()).unwrap();
        assert_eq!(settings.cluster.as_deref(), Some("edge"));
        assert_eq!(serde_json::to_string(&settings).unwrap(), text);
        std::fs::write(directory.path().join(FILE), "{").unwrap();
        let error = format!("{:#}", Settings::read(directory.path()).unwrap_err());
        assert!(error.contains("settings is damaged"), "{error}");
    }
}
