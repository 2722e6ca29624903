//! Log groups of the store.

use std::collections::HashMap;
use std::sync::Arc;

use outport_model::{Scope, Tags};

use super::LogStore;
use super::streams::unsealed_totals;
use crate::catalog::CatalogRead;
use crate::catalog::groups::{GroupNumber, GroupRow};
use crate::error::LogStoreError;
use crate::group::{GroupPage, GroupQuery, LogGroup, NewLogGroup};
use crate::journal::Journal;
use crate::limits::TAGS_PER_GROUP_MAX;
use crate::seen_group::GroupNamed;

impl LogStore {
    /// Makes a group; on disk on return.
    pub fn create_group(
        &self,
        scope: &Scope,
        mut new: NewLogGroup,
    ) -> Result<LogGroup, LogStoreError> {
        check_tags(&new.tags)?;
        new.retention_days = new.retention_days.or(self.options.retention_days);
        let created_ms = self.clock.now_ms();
        let max = self.options.groups_max;
        let row = self.catalog.write(|write| write.insert_group(scope, new, created_ms, max))?;
        Ok(group_of(row, 0))
    }

    /// Deletes a group with all that is in it. The space of its events is freed by
    /// [`LogStore::maintain`].
    pub fn delete_group(&self, scope: &Scope, name: &dyn GroupNamed) -> Result<(), LogStoreError> {
        self.catalog.write(|write| {
            let group = write.group(scope, name)?;
            write.delete_group(group.id)
        })
    }

    pub fn group(&self, scope: &Scope, name: &dyn GroupNamed) -> Result<LogGroup, LogStoreError> {
        let journals = self.commit.journals();
        self.catalog.read(|read| {
            let row = read.group(scope, name)?;
            let unsealed = unsealed_bytes(&journals, read)?;
            with_stored_bytes(read, row, &unsealed)
        })
    }

    /// The first `limit` groups of a query, in the order of their names.
    pub fn describe_groups(
        &self,
        scope: &Scope,
        query: &GroupQuery,
        limit: usize,
    ) -> Result<GroupPage, LogStoreError> {
        let matching = Matching::new(query);
        let after = query.after.as_deref().unwrap_or("");
        let journals = self.commit.journals();
        self.catalog.read(|read| {
            let (mut rows, mut more) = (Vec::new(), false);
            read.groups_after(scope, after, |row| {
                if matching.takes(&row) {
                    more = rows.len() == limit;
                    if !more {
                        rows.push(row);
                    }
                }
                !more
            })?;
            let unsealed = unsealed_bytes(&journals, read)?;
            let groups = rows.into_iter().map(|row| with_stored_bytes(read, row, &unsealed));
            Ok(GroupPage { groups: groups.collect::<Result<_, _>>()?, more })
        })
    }

    /// Keeps events for so many days, or for ever with `None`. Older ones are gone at once.
    pub fn set_retention(
        &self,
        scope: &Scope,
        name: &dyn GroupNamed,
        days: Option<i64>,
    ) -> Result<(), LogStoreError> {
        self.change_group(scope, name, |group| {
            group.retention_days = days;
            Ok(())
        })
    }

    pub fn group_tags(&self, scope: &Scope, name: &dyn GroupNamed) -> Result<Tags, LogStoreError> {
        self.catalog.read(|read| Ok(read.group(scope, name)?.tags))
    }

    /// Adds tags; one with a key that is there replaces it.
    pub fn set_group_tags(
        &self,
        scope: &Scope,
        name: &dyn GroupNamed,
        tags: Tags,
    ) -> Result<(), LogStoreError> {
        self.change_group(scope, name, |group| {
            group.tags.extend(tags);
            check_tags(&group.tags)
        })
    }

    /// Removes tags; keys that are not there do not matter.
    pub fn remove_group_tags(
        &self,
        scope: &Scope,
        name: &dyn GroupNamed,
        keys: &[String],
    ) -> Result<(), LogStoreError> {
        self.change_group(scope, name, |group| {
            keys.iter().for_each(|key| drop(group.tags.remove(key)));
            Ok(())
        })
    }

    fn change_group(
        &self,
        scope: &Scope,
        name: &dyn GroupNamed,
        change: impl FnOnce(&mut GroupRow) -> Result<(), LogStoreError>,
    ) -> Result<(), LogStoreError> {
        self.catalog.write(|write| {
            let mut group = write.group(scope, name)?;
            change(&mut group)?;
            write.update_group(&group)
        })
    }
}

/// Bytes of each group that are in journals and not in this state of the catalog.
fn unsealed_bytes(
    journals: &[Arc<Journal>],
    read: &CatalogRead<'_>,
) -> Result<HashMap<GroupNumber, u64>, LogStoreError> {
    let mut bytes: HashMap<GroupNumber, u64> = HashMap::new();
    for (stream, totals) in unsealed_totals(journals, read)? {
        if let Some(stream) = read.stream_by_id(stream)? {
            *bytes.entry(stream.group).or_default() += totals.bytes;
        }
    }
    Ok(bytes)
}

fn with_stored_bytes(
    read: &CatalogRead<'_>,
    row: GroupRow,
    unsealed: &HashMap<GroupNumber, u64>,
) -> Result<LogGroup, LogStoreError> {
    let bytes = read.sealed_bytes(row.id)? + unsealed.get(&row.id).copied().unwrap_or(0);
    Ok(group_of(row, bytes))
}

fn check_tags(tags: &Tags) -> Result<(), LogStoreError> {
    if tags.len() > TAGS_PER_GROUP_MAX {
        return Err(LogStoreError::TooManyTags { max: TAGS_PER_GROUP_MAX });
    }
    Ok(())
}

fn group_of(row: GroupRow, stored_bytes: u64) -> LogGroup {
    LogGroup {
        name: row.name,
        created_ms: row.created_ms,
        retention_days: row.retention_days,
        class: row.class,
        kms_key_id: row.kms_key_id,
        tags: row.tags,
        stored_bytes,
    }
}

struct Matching<'a> {
    query: &'a GroupQuery,
}

impl<'a> Matching<'a> {
    fn new(query: &'a GroupQuery) -> Self {
        Self { query }
    }

    fn takes(&self, row: &GroupRow) -> bool {
        let name = row.name.as_str();
        self.query.prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix))
            && self.query.class.is_none_or(|class| class == row.class)
            && self.query.names.as_ref().is_none_or(|names| names.contains(&row.name))
            && self.query.pattern.as_ref().is_none_or(|pattern| name.contains(pattern))
    }
}
