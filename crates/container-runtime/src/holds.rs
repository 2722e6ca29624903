//! What a container that runs needs of this host to stay as it is, whoever understands its task.
//!
//! **Invariant:** the intent is read field by field: whatever another version added to it or took away, what is needed
//! here is found where it always was, or is said to be unknown.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use outport_model::checked_json::{self, Document};
use serde_json::Value;

use crate::error::RuntimeError;
use crate::layout::{INTENT_FILE, Layout, Place};
use crate::runtime::Runtime;

/// Of all containers of one task together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holds {
    /// The directories of their images' layers; `None` when it is not known of each of them.
    pub layers: Option<Vec<PathBuf>>,
    /// The host's id of their root, if that is not the host's root.
    pub first_id: Option<u32>,
}

impl Runtime {
    /// What the containers of each task hold, as their intents say. Looks through everything once.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn holds_of_all(&self) -> Result<BTreeMap<String, Holds>, RuntimeError> {
        let mut of_all = BTreeMap::<String, Holds>::new();
        for place in self.places()? {
            of_all.entry(place.task.clone()).or_default().add_place(&self.layout, &place);
        }
        Ok(of_all)
    }

    /// What the containers of one task hold.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn holds(&self, task: &str) -> Result<Holds, RuntimeError> {
        let mut holds = Holds::default();
        for place in self.places_of(task)? {
            holds.add_place(&self.layout, &place);
        }
        Ok(holds)
    }
}

/// Of no container: nothing, and that is known.
impl Default for Holds {
    fn default() -> Self {
        Holds { layers: Some(Vec::new()), first_id: None }
    }
}

impl Holds {
    fn add_place(&mut self, layout: &Layout, place: &Place) {
        let path = layout.container_run_dir(place).join(INTENT_FILE);
        let read = fs::read(&path).ok().map(|bytes| checked_json::read::<Value>(&bytes));
        match read {
            Some(Document::Read(intent)) => self.add(&intent),
            _ => self.layers = None,
        }
    }

    fn add(&mut self, intent: &Value) {
        let spec = &intent["spec"];
        let first_id = spec["user_namespace"]["first_id"].as_u64();
        self.first_id = self.first_id.or(first_id.and_then(|id| u32::try_from(id).ok()));
        let layers = spec["rootfs"]["layers"].as_array().and_then(|layers| {
            layers.iter().map(|layer| layer.as_str().map(PathBuf::from)).collect::<Option<Vec<_>>>()
        });
        self.layers = match (self.layers.take(), layers) {
            (Some(mut known), Some(layers)) => {
                known.extend(layers);
                Some(known)
            }
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(intents: &[&str], layers: Option<&[&str]>, first_id: Option<u32>) {
        let mut holds = Holds::default();
        intents.iter().for_each(|intent| holds.add(&serde_json::from_str(intent).unwrap()));
        let layers = layers.map(|layers| layers.iter().map(PathBuf::from).collect());
        assert_eq!(holds, Holds { layers, first_id }, "{intents:?}");
    }

    #[test]
    fn intents_of_all_versions_say_what_they_hold() {
        let first = r#"{"version":1,"spec":{"version":1,"rootfs":{"layers":["/l/a","/l/b"]},"args":["x"]}}"#;
        let own_ids = r#"{"spec":{"rootfs":{"layers":["/l/a"]},"user_namespace":{"path":"/u","first_id":65536}}}"#;
        let newer = r#"{"version":9,"of":"tomorrow","spec":{"rootfs":{"layers":["/l/c"]},"user_namespace":null}}"#;
        check(&[], Some(&[]), None);
        check(&[first], Some(&["/l/a", "/l/b"]), None);
        check(&[first, own_ids, newer], Some(&["/l/a", "/l/b", "/l/a", "/l/c"]), Some(65_536));
        for strange in ["{}", "7", r#"{"spec":{"rootfs":{"image":"x"}}}"#] {
            check(&[first, strange], None, None);
        }
    }
}
