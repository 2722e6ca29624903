//! Log groups in the catalog.

use outport_model::{Now, Scope, Tags, TimestampMs};
use rusqlite::{OptionalExtension, Row};

use super::row_check::RowCheck;
use super::{CatalogRead, CatalogWrite};
use crate::error::LogStoreError;
use crate::group::{LogGroupClass, NewLogGroup};
use crate::names::LogGroupName;
use crate::seen_group::GroupNamed;

pub(crate) type GroupNumber = i64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupRow {
    pub id: GroupNumber,
    pub scope: Scope,
    pub name: LogGroupName,
    pub created_ms: TimestampMs,
    pub retention_days: Option<i64>,
    pub class: LogGroupClass,
    pub kms_key_id: Option<String>,
    pub tags: Tags,
}

impl GroupRow {
    fn check(&self, tags_json: &str) -> i64 {
        RowCheck::of("log_group")
            .number(self.id)
            .text(self.scope.account.as_str())
            .text(self.scope.region.as_str())
            .text(self.name.as_str())
            .number(self.created_ms)
            .maybe_number(self.retention_days)
            .text(self.class.as_str())
            .maybe_text(self.kms_key_id.as_deref())
            .text(tags_json)
            .sum()
    }

    /// Events before this time are gone. A wall clock that steps forward takes none along: for the
    /// group's retention from the step on, nothing goes.
    pub fn kept_from_ms(&self, now: &Now) -> TimestampMs {
        let kept = |days: i64| now.over(days.saturating_mul(crate::limits::DAY_MS)).until_ms;
        self.retention_days.map_or(0, kept).max(0)
    }
}

const COLUMNS: &str = "id, account, region, name, created_ms, retention_days, class, kms_key_id, \
                       tags, row_check";

impl CatalogRead<'_> {
    pub fn group(&self, scope: &Scope, named: &dyn GroupNamed) -> Result<GroupRow, LogStoreError> {
        let name = named.name();
        let sql = format!(
            "SELECT {COLUMNS} FROM log_group WHERE account = ?1 AND region = ?2 AND name = ?3"
        );
        let key = (scope.account.as_str(), scope.region.as_str(), name.as_str());
        let mut statement = self.db.prepare_cached(&sql)?;
        let row = statement.query_row(key, |row| Ok(self.group_of(row))).optional()?;
        let group = row.ok_or(LogStoreError::GroupNotFound)??;
        // A flipped bit in an index could lead to another row, whose own checksum is right.
        if group.scope != *scope || group.name != *name {
            return Err(self.damaged("an index of log groups leads to another group"));
        }
        if let Some(seen) = named.as_seen() {
            seen.check(&group)?;
        }
        Ok(group)
    }

    /// Groups of a scope in the order of their names, from behind `after` on.
    pub fn groups_after(
        &self,
        scope: &Scope,
        after: &str,
        mut each: impl FnMut(GroupRow) -> bool,
    ) -> Result<(), LogStoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM log_group \
             WHERE account = ?1 AND region = ?2 AND name > ?3 ORDER BY name"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let key = (scope.account.as_str(), scope.region.as_str(), after);
        let mut rows = statement.query(key)?;
        while let Some(row) = rows.next()? {
            if !each(self.group_of(row)?) {
                break;
            }
        }
        Ok(())
    }

    /// Every group of every scope that does not keep its events for ever.
    pub fn groups_with_retention(&self) -> Result<Vec<GroupRow>, LogStoreError> {
        let sql = format!("SELECT {COLUMNS} FROM log_group WHERE retention_days IS NOT NULL");
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut groups = Vec::new();
        while let Some(row) = rows.next()? {
            groups.push(self.group_of(row)?);
        }
        Ok(groups)
    }

    /// The number of the next row of a table with AUTOINCREMENT: larger than any that ever was.
    pub(super) fn next_id(&self, table: &str) -> Result<i64, LogStoreError> {
        let mut statement =
            self.db.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = ?1")?;
        let last: Option<i64> = statement.query_row([table], |row| row.get(0)).optional()?;
        Ok(last.unwrap_or(0) + 1)
    }

    fn group_of(&self, row: &Row<'_>) -> Result<GroupRow, LogStoreError> {
        let damaged = || self.damaged("a log group does not match its checksum");
        let scope = Scope::new(
            outport_model::AccountId::new(row.get::<_, String>(1)?),
            outport_model::Region::new(row.get::<_, String>(2)?),
        );
        let tags_json: String = row.get(8)?;
        let class: String = row.get(6)?;
        let group = GroupRow {
            id: row.get(0)?,
            scope,
            name: LogGroupName::stored(row.get(3)?),
            created_ms: row.get(4)?,
            retention_days: row.get(5)?,
            class: LogGroupClass::parse(&class).ok_or_else(damaged)?,
            kms_key_id: row.get(7)?,
            tags: serde_json::from_str(&tags_json).map_err(|_| damaged())?,
        };
        if group.check(&tags_json) != row.get::<_, i64>(9)? {
            return Err(damaged());
        }
        Ok(group)
    }
}

impl CatalogWrite<'_> {
    /// # Errors
    /// `GroupExists`, `TooManyGroups` where there are `groups_max` of the scope already.
    pub fn insert_group(
        &self,
        scope: &Scope,
        new: NewLogGroup,
        created_ms: TimestampMs,
        groups_max: u64,
    ) -> Result<GroupRow, LogStoreError> {
        match self.group(scope, &new.name) {
            Ok(_) => return Err(LogStoreError::GroupExists),
            Err(LogStoreError::GroupNotFound) => {}
            Err(other) => return Err(other),
        }
        let id = self.next_id("log_group")?;
        // Counting is slow where there are many; there are never more than there ever were.
        if id.unsigned_abs() > groups_max && self.count_groups(scope)? >= groups_max {
            return Err(LogStoreError::TooManyGroups { max: groups_max });
        }
        let group = GroupRow {
            id,
            scope: scope.clone(),
            name: new.name,
            created_ms,
            retention_days: new.retention_days,
            class: new.class,
            kms_key_id: new.kms_key_id,
            tags: new.tags,
        };
        self.put_group(&group, "INSERT")?;
        Ok(group)
    }

    fn count_groups(&self, scope: &Scope) -> Result<u64, LogStoreError> {
        let count = "SELECT count(*) FROM log_group WHERE account = ?1 AND region = ?2";
        let of_scope = (scope.account.as_str(), scope.region.as_str());
        Ok(self.db.prepare_cached(count)?.query_row(of_scope, |row| row.get(0))?)
    }

    pub fn update_group(&self, group: &GroupRow) -> Result<(), LogStoreError> {
        // An upsert, because REPLACE would delete the streams of the group with its old row.
        self.put_group(group, "UPSERT")
    }

    fn put_group(&self, group: &GroupRow, how: &str) -> Result<(), LogStoreError> {
        let tags = serde_json::to_string(&group.tags).unwrap_or_else(|_| "{}".to_owned());
        let on_conflict = if how == "UPSERT" {
            "ON CONFLICT (id) DO UPDATE SET retention_days = excluded.retention_days, \
             tags = excluded.tags, row_check = excluded.row_check"
        } else {
            ""
        };
        let sql = format!(
            "INSERT INTO log_group ({COLUMNS}) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) {on_conflict}"
        );
        self.db.prepare_cached(&sql)?.execute((
            group.id,
            group.scope.account.as_str(),
            group.scope.region.as_str(),
            group.name.as_str(),
            group.created_ms,
            group.retention_days,
            group.class.as_str(),
            &group.kms_key_id,
            &tags,
            group.check(&tags),
        ))?;
        Ok(())
    }

    /// Deletes a group with its streams, their sources and blocks.
    pub fn delete_group(&self, id: GroupNumber) -> Result<(), LogStoreError> {
        self.db.prepare_cached("DELETE FROM log_group WHERE id = ?1")?.execute([id])?;
        Ok(())
    }
}
