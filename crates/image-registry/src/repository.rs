//! Repositories: a name in an account and region, its settings and its resource tags.

use outport_model::{Scope, Tags, TimestampMs};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::registry::{RepositoryId, find_repository};
use crate::{Registry, RegistryError, RepositoryName, TagMutability};

/// A repository as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Repository {
    pub name: RepositoryName,
    pub created_at_ms: TimestampMs,
    pub tag_mutability: TagMutability,
    pub scan_on_push: bool,
    pub tags: Tags,
    /// The repository policy: a document that is asked, with IAM's, before anything is done with the repository.
    pub policy: Option<String>,
}

/// What a new repository is made of.
#[derive(Clone, Debug)]
pub struct NewRepository {
    pub name: RepositoryName,
    pub tag_mutability: TagMutability,
    pub scan_on_push: bool,
    pub tags: Tags,
}

impl Registry {
    /// Errors: `RepositoryAlreadyExists`, `LimitExceeded`.
    pub fn create_repository(
        &self,
        scope: &Scope,
        new: &NewRepository,
        now_ms: TimestampMs,
    ) -> Result<Repository, RegistryError> {
        self.metadata.write(|transaction| {
            match find_repository(transaction, scope, &new.name) {
                Err(RegistryError::RepositoryNotFound { .. }) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    let (name, account) = (new.name.clone(), scope.account.clone());
                    return Err(RegistryError::RepositoryAlreadyExists { name, account });
                }
            }
            let existing: u64 = transaction.query_row(
                "SELECT count(*) FROM repository WHERE account = ?1 AND region = ?2",
                params![scope.account.as_str(), scope.region.as_str()],
                |row| row.get(0),
            )?;
            if existing >= self.limits.repositories_max {
                let max = self.limits.repositories_max;
                return Err(RegistryError::LimitExceeded { what: "repositories in a registry", max });
            }
            transaction.execute(
                "INSERT INTO repository (account, region, name, created_at_ms, tag_mutability,
                 tag_exclusions, scan_on_push, resource_tags) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    scope.account.as_str(),
                    scope.region.as_str(),
                    new.name.as_str(),
                    now_ms,
                    new.tag_mutability.as_str(),
                    json(&new.tag_mutability.exclusion_filters()),
                    new.scan_on_push,
                    json(&new.tags),
                ],
            )?;
            Ok(Repository {
                name: new.name.clone(),
                created_at_ms: now_ms,
                tag_mutability: new.tag_mutability.clone(),
                scan_on_push: new.scan_on_push,
                tags: new.tags.clone(),
                policy: None,
            })
        })
    }

    /// Errors: `RepositoryNotFound`.
    pub fn repository(
        &self,
        scope: &Scope,
        name: &RepositoryName,
    ) -> Result<Repository, RegistryError> {
        self.metadata.read(|transaction| {
            let id = find_repository(transaction, scope, name)?;
            read_repository(transaction, id)
        })
    }

    /// At most `count_max` repositories of a scope in the order of their names, after a name.
    pub fn repositories(
        &self,
        scope: &Scope,
        after: Option<&str>,
        count_max: usize,
    ) -> Result<Vec<Repository>, RegistryError> {
        self.metadata.read(|transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM repository
                 WHERE account = ?1 AND region = ?2 AND name > ?3 ORDER BY name LIMIT ?4"
            ))?;
            let (account, region) = (scope.account.as_str(), scope.region.as_str());
            let rows = statement.query_map(
                params![account, region, after.unwrap_or_default(), count_max],
                repository_of,
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Removes a repository; with `force`, also one that has images. Its blobs go at the next collection
    /// unless another repository has them. Errors: `RepositoryNotFound`, `RepositoryNotEmpty`.
    pub fn delete_repository(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        force: bool,
    ) -> Result<Repository, RegistryError> {
        self.metadata.write(|transaction| {
            let id = find_repository(transaction, scope, name)?;
            let image: Option<i64> = transaction
                .query_row("SELECT 1 FROM manifest WHERE repository = ?1 LIMIT 1", [id.0], |row| {
                    row.get(0)
                })
                .optional()?;
            if image.is_some() && !force {
                let (name, account) = (name.clone(), scope.account.clone());
                return Err(RegistryError::RepositoryNotEmpty { name, account });
            }
            let repository = read_repository(transaction, id)?;
            transaction.execute("DELETE FROM repository WHERE id = ?1", [id.0])?;
            Ok(repository)
        })
    }

    /// Errors: `RepositoryNotFound`.
    pub fn put_tag_mutability(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        setting: &TagMutability,
    ) -> Result<(), RegistryError> {
        self.metadata.write(|transaction| {
            let id = find_repository(transaction, scope, name)?;
            transaction.execute(
                "UPDATE repository SET tag_mutability = ?2, tag_exclusions = ?3 WHERE id = ?1",
                params![id.0, setting.as_str(), json(&setting.exclusion_filters())],
            )?;
            Ok(())
        })
    }

    /// Whether images are to be scanned as they are pushed: kept, and nothing scans. Errors: `RepositoryNotFound`.
    pub fn put_scan_on_push(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        scan_on_push: bool,
    ) -> Result<(), RegistryError> {
        self.metadata.write(|transaction| {
            let id = find_repository(transaction, scope, name)?;
            let update = "UPDATE repository SET scan_on_push = ?2 WHERE id = ?1";
            transaction.execute(update, params![id.0, scan_on_push])?;
            Ok(())
        })
    }

    /// Sets the repository policy, or takes it away. Returns the one before. Errors: `RepositoryNotFound`.
    pub fn put_repository_policy(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        policy: Option<&str>,
    ) -> Result<Option<String>, RegistryError> {
        self.metadata.write(|transaction| {
            let id = find_repository(transaction, scope, name)?;
            let before = read_repository(transaction, id)?.policy;
            let update = "UPDATE repository SET policy = ?2 WHERE id = ?1";
            transaction.execute(update, params![id.0, policy])?;
            Ok(before)
        })
    }

    /// Replaces the resource tags with what `change` makes of them. Errors: `RepositoryNotFound`.
    pub fn change_repository_tags(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        change: impl FnOnce(&mut Tags),
    ) -> Result<(), RegistryError> {
        self.metadata.write(|transaction| {
            let id = find_repository(transaction, scope, name)?;
            let mut tags = read_repository(transaction, id)?.tags;
            change(&mut tags);
            transaction.execute(
                "UPDATE repository SET resource_tags = ?2 WHERE id = ?1",
                params![id.0, json(&tags)],
            )?;
            Ok(())
        })
    }
}

const COLUMNS: &str =
    "name, created_at_ms, tag_mutability, tag_exclusions, scan_on_push, resource_tags, policy";

pub(crate) fn read_repository(
    transaction: &Transaction<'_>,
    id: RepositoryId,
) -> Result<Repository, RegistryError> {
    Ok(transaction
        .prepare_cached(&format!("SELECT {COLUMNS} FROM repository WHERE id = ?1"))?
        .query_row([id.0], repository_of)?)
}

fn repository_of(row: &Row<'_>) -> rusqlite::Result<Repository> {
    let name: String = row.get(0)?;
    let setting: String = row.get(2)?;
    let filters: Vec<String> = from_json(3, &row.get::<_, String>(3)?)?;
    Ok(Repository {
        name: name.parse().map_err(|error| unreadable(0, error))?,
        created_at_ms: row.get(1)?,
        tag_mutability: TagMutability::from_words(&setting, filters).ok_or_else(|| {
            rusqlite::Error::InvalidColumnType(2, setting, rusqlite::types::Type::Text)
        })?,
        scan_on_push: row.get(4)?,
        tags: from_json(5, &row.get::<_, String>(5)?)?,
        policy: row.get(6)?,
    })
}

/// Texts and lists of texts always have a JSON form.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn from_json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

/// A column holds what this program would never have written.
pub(crate) fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
