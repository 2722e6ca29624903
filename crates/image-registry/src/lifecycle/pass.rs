//! Lifecycle policies of repositories: kept, previewed and carried out.

use std::collections::HashMap;

use outport_model::{Now, Scope, TimestampMs};
use rusqlite::{OptionalExtension, Transaction, params};

use super::evaluation::{Candidate, ExpiringImage};
use super::policy::LifecyclePolicy;
use crate::garbage::digest_of;
use crate::image::tag_of;
use crate::registry::{RepositoryId, find_repository};
use crate::{Digest, ImageTag, Registry, RegistryError, RepositoryName};

/// How often the policy of a repository is evaluated; one that was set since, at the next look. Source: user guide: images
/// expire "within 24 hours".
const EVALUATED_EVERY_MS: i64 = 3600 * 1000;

/// The lifecycle policy of a repository, and when it was carried out last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleState {
    pub policy: String,
    pub evaluated_at_ms: Option<TimestampMs>,
}

/// What a policy would expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecyclePreview {
    pub policy: String,
    /// The oldest first.
    pub expiring: Vec<ExpiringImage>,
}

impl Registry {
    /// The lifecycle policy, if there is one. Errors: `RepositoryNotFound`.
    pub fn lifecycle_policy(
        &self,
        scope: &Scope,
        name: &RepositoryName,
    ) -> Result<Option<LifecycleState>, RegistryError> {
        self.metadata.read(|transaction| {
            let id = find_repository(transaction, scope, name)?;
            read_state(transaction, id)
        })
    }

    /// Sets the lifecycle policy, or takes it away. Returns the one before. Errors: `RepositoryNotFound`.
    pub fn put_lifecycle_policy(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        policy: Option<&str>,
    ) -> Result<Option<LifecycleState>, RegistryError> {
        self.metadata.write(|transaction| {
            let id = find_repository(transaction, scope, name)?;
            let before = read_state(transaction, id)?;
            transaction.execute(
                "UPDATE repository SET lifecycle_policy = ?2, lifecycle_evaluated_at_ms = NULL WHERE id = ?1",
                params![id.0, policy],
            )?;
            Ok(before)
        })
    }

    /// Remembers what is to be previewed, in place of what was. Errors: `RepositoryNotFound`.
    pub fn start_lifecycle_preview(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        policy: &str,
        now_ms: TimestampMs,
    ) -> Result<(), RegistryError> {
        self.metadata.write(|transaction| {
            let id = find_repository(transaction, scope, name)?;
            transaction.execute(
                "INSERT INTO lifecycle_preview (repository, policy, started_at_ms) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET policy = excluded.policy, started_at_ms = excluded.started_at_ms",
                params![id.0, policy, now_ms],
            )?;
            Ok(())
        })
    }

    /// What the previewed policy would have expired when the preview was started, of the images that are still there.
    /// `None`: no preview was started. Errors: `RepositoryNotFound`.
    pub fn lifecycle_preview(
        &self,
        scope: &Scope,
        name: &RepositoryName,
    ) -> Result<Option<LifecyclePreview>, RegistryError> {
        self.metadata.read(|transaction| {
            let id = find_repository(transaction, scope, name)?;
            let query = "SELECT policy, started_at_ms FROM lifecycle_preview WHERE repository = ?1";
            let found: Option<(String, TimestampMs)> = transaction
                .query_row(query, [id.0], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((policy, started_at_ms)) = found else { return Ok(None) };
            let mut images = candidates(transaction, id)?;
            images.retain(|image| image.pushed_at_ms <= started_at_ms);
            let expiring = match LifecyclePolicy::parse(&policy) {
                Ok(policy) => policy.expiring(images, |stamp| started_at_ms - stamp),
                // Of a version that knew more.
                Err(_) => Vec::new(),
            };
            Ok(Some(LifecyclePreview { policy, expiring }))
        })
    }

    /// One look: carries out every policy whose time has come. Returns how many images went. Call it every few seconds;
    /// where no policy is due it reads one index.
    pub fn expire_images(&self, now: &Now) -> Result<u64, RegistryError> {
        let mut expired = 0;
        for id in self.repositories_due(now)? {
            expired += self.expire_images_of(id, now)?;
        }
        Ok(expired)
    }

    fn repositories_due(&self, now: &Now) -> Result<Vec<RepositoryId>, RegistryError> {
        self.metadata.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT id, lifecycle_evaluated_at_ms FROM repository WHERE lifecycle_policy IS NOT NULL",
            )?;
            let rows = statement.query_map([], |row| Ok((RepositoryId(row.get(0)?), row.get(1)?)))?;
            let all = rows.collect::<Result<Vec<(_, Option<TimestampMs>)>, _>>()?;
            let is_due = |at: &Option<TimestampMs>| {
                at.is_none_or(|stamp_ms| now.is_over(stamp_ms, EVALUATED_EVERY_MS))
            };
            Ok(all.into_iter().filter(|(_, at)| is_due(at)).map(|(id, _)| id).collect())
        })
    }

    fn expire_images_of(&self, id: RepositoryId, now: &Now) -> Result<u64, RegistryError> {
        let (name, expired) = self.metadata.write(|transaction| {
            // It may have gone, or its policy, since it was found.
            let Some(state) = read_state(transaction, id)? else { return Ok((String::new(), 0)) };
            let name: String = transaction.query_row(
                "SELECT name FROM repository WHERE id = ?1",
                [id.0],
                |row| row.get(0),
            )?;
            let expired = match LifecyclePolicy::parse(&state.policy) {
                Ok(policy) => {
                    let images = candidates(transaction, id)?;
                    let expiring = policy.expiring(images, |stamp| now.age_ms(stamp));
                    remove(transaction, id, &expiring)?
                }
                Err(reason) => {
                    tracing::warn!(
                        event = "lifecycle_policy_not_understood",
                        repository = name,
                        %reason,
                        "a lifecycle policy is not understood: no image of its repository expires"
                    );
                    0
                }
            };
            transaction.execute(
                "UPDATE repository SET lifecycle_evaluated_at_ms = ?2 WHERE id = ?1",
                params![id.0, now.wall_ms],
            )?;
            Ok((name, expired))
        })?;
        if expired > 0 {
            tracing::info!(
                event = "images_expired",
                repository = name,
                count = expired,
                "the lifecycle policy of a repository has expired images"
            );
        }
        Ok(expired)
    }
}

fn read_state(
    transaction: &Transaction<'_>,
    id: RepositoryId,
) -> Result<Option<LifecycleState>, RegistryError> {
    let query = "SELECT lifecycle_policy, lifecycle_evaluated_at_ms FROM repository
                 WHERE id = ?1 AND lifecycle_policy IS NOT NULL";
    let found = transaction.prepare_cached(query)?.query_row([id.0], |row| {
        Ok(LifecycleState { policy: row.get(0)?, evaluated_at_ms: row.get(1)? })
    });
    Ok(found.optional()?)
}

/// The images that rules may select and count. Not those that an image list has, which cannot go before it; nor those that
/// are about another image that is there (signatures, SBOMs), which go with it. That neither is counted is a guess.
fn candidates(
    transaction: &Transaction<'_>,
    id: RepositoryId,
) -> Result<Vec<Candidate>, RegistryError> {
    let mut tags: HashMap<Digest, Vec<ImageTag>> = HashMap::new();
    let mut statement = transaction
        .prepare_cached("SELECT digest, name FROM tag WHERE repository = ?1 ORDER BY name")?;
    let mut rows = statement.query([id.0])?;
    while let Some(row) = rows.next()? {
        tags.entry(digest_of(row, 0)?).or_default().push(tag_of(row, 1)?);
    }
    let mut statement = transaction.prepare_cached(
        "SELECT digest, pushed_at_ms FROM manifest AS image WHERE repository = ?1
         AND NOT EXISTS (SELECT 1 FROM manifest_reference AS list
             WHERE list.repository = ?1 AND list.kind = 'manifest' AND list.digest = image.digest)
         AND NOT EXISTS (SELECT 1 FROM manifest AS subject
             WHERE subject.repository = ?1 AND subject.digest = image.subject)",
    )?;
    let rows = statement.query_map([id.0], |row| Ok((digest_of(row, 0)?, row.get(1)?)))?;
    let images = rows.collect::<Result<Vec<_>, _>>()?.into_iter();
    let candidate = |(digest, pushed_at_ms)| {
        let tags = tags.remove(&digest).unwrap_or_default();
        Candidate { digest, tags, pushed_at_ms }
    };
    Ok(images.map(candidate).collect())
}

/// Removes images, and what is about them. Returns how many there were.
fn remove(
    transaction: &Transaction<'_>,
    id: RepositoryId,
    expiring: &[ExpiringImage],
) -> Result<u64, RegistryError> {
    let mut about = transaction
        .prepare_cached("SELECT digest FROM manifest WHERE repository = ?1 AND subject = ?2")?;
    let mut delete = transaction.prepare_cached(
        "DELETE FROM manifest WHERE repository = ?1 AND digest = ?2 AND NOT EXISTS (
             SELECT 1 FROM manifest_reference AS list
             WHERE list.repository = ?1 AND list.kind = 'manifest' AND list.digest = ?2)",
    )?;
    let mut going: Vec<String> = expiring.iter().map(|image| image.digest.to_string()).collect();
    let mut removed = 0;
    while let Some(digest) = going.pop() {
        let gone = delete.execute(params![id.0, digest])?;
        if gone > 0 {
            removed += 1;
            let referrers = about.query_map(params![id.0, digest], |row| row.get(0))?;
            going.extend(referrers.collect::<Result<Vec<String>, _>>()?);
        }
    }
    Ok(removed)
}
