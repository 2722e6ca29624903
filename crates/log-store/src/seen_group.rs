//! A log group as it was when somebody decided about it.

use outport_model::{Scope, Tags};

use crate::catalog::groups::{GroupNumber, GroupRow};
use crate::error::LogStoreError;
use crate::names::LogGroupName;
use crate::store::LogStore;

/// Says which group is meant: by its name, or by how it was seen.
pub trait GroupNamed {
    fn name(&self) -> &LogGroupName;

    /// How it was seen. A call about it fails with `GroupChanged` when it is another one now, or carries other tags.
    fn as_seen(&self) -> Option<&SeenGroup> {
        None
    }
}

impl GroupNamed for LogGroupName {
    fn name(&self) -> &LogGroupName {
        self
    }
}

/// One group, or that there is none of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenGroup {
    name: LogGroupName,
    number: Option<GroupNumber>,
    tags: Tags,
}

impl GroupNamed for SeenGroup {
    fn name(&self) -> &LogGroupName {
        &self.name
    }

    fn as_seen(&self) -> Option<&SeenGroup> {
        Some(self)
    }
}

impl SeenGroup {
    /// The tags that it carries; none when it does not exist.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    pub(crate) fn check(&self, row: &GroupRow) -> Result<(), LogStoreError> {
        if self.number == Some(row.id) && self.tags == row.tags {
            return Ok(());
        }
        Err(LogStoreError::GroupChanged)
    }
}

impl LogStore {
    /// The group as it is now, whether it exists or not.
    pub fn look(&self, scope: &Scope, name: &LogGroupName) -> Result<SeenGroup, LogStoreError> {
        let row = match self.catalog.read(|read| read.group(scope, name)) {
            Err(LogStoreError::GroupNotFound) => None,
            found => Some(found?),
        };
        let number = row.as_ref().map(|row| row.id);
        let tags = row.map(|row| row.tags).unwrap_or_default();
        Ok(SeenGroup { name: name.clone(), number, tags })
    }
}
