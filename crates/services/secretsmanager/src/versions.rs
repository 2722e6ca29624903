//! Which versions a secret has, and which labels they have: what a change makes of them.
//!
//! ```text
//! AWSCURRENT moves to a version ──► AWSPREVIOUS moves to the one that had it
//! any other label moves           ──► nothing else does
//! a version without labels        ──► deprecated: goes when there are too many
//! ```
//!
//! Source: API reference, PutSecretValue and UpdateSecretVersionStage.

use std::collections::BTreeSet;

use outport_model::TimestampMs;
use outport_model::secret::{CURRENT, PREVIOUS, Secret, SecretVersion};

use crate::quotas;
use crate::rejection::Rejection;

/// A new version, by its serial.
#[derive(Debug, PartialEq, Eq)]
pub struct Added {
    pub serial: u64,
    /// The serials of versions that made room.
    pub removed: Vec<u64>,
}

/// Adds a version with labels. The first version is current, whatever its labels.
///
/// # Errors
/// `LimitExceededException`.
pub fn add(
    secret: &mut Secret,
    version_id: &str,
    stages: &BTreeSet<String>,
    now_ms: TimestampMs,
) -> Result<Added, Rejection> {
    let is_first = secret.versions.is_empty();
    let removed = make_room(secret, now_ms)?;
    let serial = secret.next_serial;
    secret.next_serial += 1;
    let stages_now = BTreeSet::new();
    let version =
        SecretVersion { serial, stages: stages_now, created_at_ms: now_ms, accessed_at_ms: None };
    secret.versions.insert(version_id.to_owned(), version);
    if is_first {
        attach(secret, CURRENT, version_id);
    }
    for stage in stages {
        attach(secret, stage, version_id);
    }
    check_stages(secret)?;
    Ok(Added { serial, removed })
}

/// Moves a label to a version, or takes it away.
///
/// # Errors
/// `ResourceNotFoundException` for a version that is not there; `InvalidParameterException` where `remove_from` is not what has
/// the label, or the current version would be none; `LimitExceededException`.
pub fn move_stage(
    secret: &mut Secret,
    stage: &str,
    remove_from: Option<&str>,
    move_to: Option<&str>,
) -> Result<(), Rejection> {
    for id in [remove_from, move_to].into_iter().flatten() {
        if !secret.versions.contains_key(id) {
            return Err(Rejection::no_such_version(id));
        }
    }
    let holder = secret.labelled(stage).map(|(id, _)| id.clone());
    match (&holder, remove_from) {
        (Some(holder), None) if move_to != Some(holder) => {
            return Err(Rejection::InvalidParameter(format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version \
                 {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            )));
        }
        (holder, Some(from)) if holder.as_deref() != Some(from) => {
            return Err(Rejection::InvalidParameter(format!(
                "When you move staging label {stage}, if you specify RemoveFromVersionId, it must be set to the version that \
                 currently has the staging label {stage}."
            )));
        }
        _ => {}
    }
    match move_to {
        Some(id) => attach(secret, stage, id),
        None if stage == CURRENT => {
            return Err(Rejection::invalid(
                "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
            ));
        }
        None => detach(secret, stage),
    }
    check_stages(secret)
}

/// The version that is meant: by its id, by its label, by both, or the current one.
///
/// # Errors
/// `ResourceNotFoundException`, `InvalidRequestException`.
pub fn select<'a>(
    secret: &'a Secret,
    version_id: Option<&str>,
    stage: Option<&str>,
) -> Result<(&'a String, &'a SecretVersion), Rejection> {
    let Some(id) = version_id else {
        let stage = stage.unwrap_or(CURRENT);
        return secret.labelled(stage).ok_or_else(|| Rejection::no_such_stage(stage));
    };
    let found = secret.versions.get_key_value(id);
    let (id, version) = found.ok_or_else(|| Rejection::no_such_version(id))?;
    if stage.is_some_and(|stage| !version.stages.contains(stage)) {
        let text = "You provided a VersionStage that is not associated to the provided VersionId.";
        return Err(Rejection::InvalidRequest(text.to_owned()));
    }
    Ok((id, version))
}

fn attach(secret: &mut Secret, stage: &str, version_id: &str) {
    let holder = secret.labelled(stage).map(|(id, _)| id.clone());
    if holder.as_deref() == Some(version_id) {
        return;
    }
    detach(secret, stage);
    if stage == CURRENT
        && let Some(holder) = &holder
    {
        detach(secret, PREVIOUS);
        label(secret, PREVIOUS, holder);
    }
    label(secret, stage, version_id);
}

fn label(secret: &mut Secret, stage: &str, version_id: &str) {
    if let Some(version) = secret.versions.get_mut(version_id) {
        version.stages.insert(stage.to_owned());
    }
}

fn detach(secret: &mut Secret, stage: &str) {
    for version in secret.versions.values_mut() {
        version.stages.remove(stage);
    }
}

fn make_room(secret: &mut Secret, now_ms: TimestampMs) -> Result<Vec<u64>, Rejection> {
    if secret.versions.len() < quotas::VERSIONS {
        return Ok(Vec::new());
    }
    let is_over = |version: &SecretVersion| {
        version.stages.is_empty()
            && now_ms.saturating_sub(version.created_at_ms) >= quotas::VERSION_KEPT_MS
    };
    let old = secret.versions.iter().filter(|(_, version)| is_over(version));
    let oldest = old.min_by_key(|(_, version)| version.serial);
    let Some((id, serial)) = oldest.map(|(id, version)| (id.clone(), version.serial)) else {
        return Err(Rejection::LimitExceeded(format!(
            "The secret has the most versions that it can have: {}. Versions without a staging label are removed 24 hours after \
             they were made.",
            quotas::VERSIONS
        )));
    };
    secret.versions.remove(&id);
    Ok(vec![serial])
}

fn check_stages(secret: &Secret) -> Result<(), Rejection> {
    let count: usize = secret.versions.values().map(|version| version.stages.len()).sum();
    if count > quotas::STAGES {
        return Err(Rejection::LimitExceeded(format!(
            "The versions of a secret have {} staging labels together at most.",
            quotas::STAGES
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Region, Scope, Tags};

    use super::*;

    fn secret() -> Secret {
        Secret {
            scope: Scope::new(AccountId::new("000000000000"), Region::new("us-east-1")),
            name: "db".into(),
            suffix: "AbC123".into(),
            description: None,
            kms_key_id: None,
            tags: Tags::new(),
            versions: std::collections::BTreeMap::new(),
            next_serial: 0,
            created_at_ms: 0,
            changed_at_ms: 0,
            accessed_at_ms: None,
            deletion: None,
            resource_policy: None,
            rotation: None,
        }
    }

    fn stages(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Versions, each with its labels.
    fn with(versions: &[(&str, &[&str])]) -> Secret {
        let mut secret = secret();
        for (id, names) in versions {
            add(&mut secret, id, &BTreeSet::new(), 0).unwrap();
            secret.versions.get_mut(*id).unwrap().stages = stages(names);
        }
        secret
    }

    #[track_caller]
    fn check(secret: &Secret, expected: &[(&str, &[&str])]) {
        let found: Vec<_> =
            secret.versions.iter().map(|(id, one)| (id.as_str(), one.stages.clone())).collect();
        let expected: Vec<_> = expected.iter().map(|(id, names)| (*id, stages(names))).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_current_version_becomes_the_previous_one() {
        let mut secret = secret();
        add(&mut secret, "a", &stages(&["AWSPENDING"]), 0).unwrap();
        check(&secret, &[("a", &["AWSCURRENT", "AWSPENDING"])]);
        add(&mut secret, "b", &stages(&["AWSCURRENT"]), 0).unwrap();
        check(&secret, &[("a", &["AWSPENDING", "AWSPREVIOUS"]), ("b", &["AWSCURRENT"])]);
        add(&mut secret, "c", &stages(&["AWSCURRENT", "AWSPENDING"]), 0).unwrap();
        check(
            &secret,
            &[("a", &[]), ("b", &["AWSPREVIOUS"]), ("c", &["AWSCURRENT", "AWSPENDING"])],
        );
        add(&mut secret, "d", &stages(&["blue"]), 0).unwrap();
        assert_eq!(secret.labelled(CURRENT).unwrap().0, "c");
    }

    #[test]
    fn a_label_moves_from_where_it_is() {
        let given: &[(&str, &[&str])] =
            &[("a", &["AWSPREVIOUS"]), ("b", &["AWSCURRENT", "blue"]), ("c", &[])];
        let moved = |stage: &str, from: Option<&str>, to: Option<&str>| {
            let mut secret = with(given);
            move_stage(&mut secret, stage, from, to).map(|()| secret)
        };
        let secret = moved("AWSCURRENT", Some("b"), Some("a")).unwrap();
        check(&secret, &[("a", &["AWSCURRENT"]), ("b", &["AWSPREVIOUS", "blue"]), ("c", &[])]);
        let secret = moved("blue", Some("b"), None).unwrap();
        check(&secret, &[("a", &["AWSPREVIOUS"]), ("b", &["AWSCURRENT"]), ("c", &[])]);
        check(&moved("blue", None, Some("b")).unwrap(), given);
        check(
            &moved("green", None, Some("c")).unwrap(),
            &[("a", &["AWSPREVIOUS"]), ("b", &["AWSCURRENT", "blue"]), ("c", &["green"])],
        );
        let refused = |stage: &str, from: Option<&str>, to: Option<&str>, text: &str| {
            let refusal = moved(stage, from, to).unwrap_err();
            assert!(refusal.message().contains(text), "{refusal}");
        };
        refused("blue", None, Some("a"), "is currently attached to version b");
        refused("blue", None, None, "is currently attached to version b");
        refused("blue", Some("a"), Some("c"), "it must be set to the version that");
        refused("green", Some("a"), None, "it must be set to the version that");
        refused("AWSCURRENT", Some("b"), None, "It can't be completely removed.");
        refused("blue", Some("b"), Some("none"), "for VersionId: none");
    }

    #[test]
    fn the_oldest_version_without_a_label_makes_room_after_a_day() {
        let mut secret = secret();
        let current = stages(&["AWSCURRENT"]);
        for number in 0..quotas::VERSIONS {
            add(&mut secret, &format!("{number:03}"), &current, 0).unwrap();
        }
        secret.versions.get_mut("000").unwrap().stages = stages(&["kept"]);
        let mut early = secret.clone();
        let refusal = add(&mut early, "new", &current, quotas::VERSION_KEPT_MS - 1).unwrap_err();
        assert!(matches!(refusal, Rejection::LimitExceeded(_)), "{refusal}");
        let added = add(&mut secret, "new", &current, quotas::VERSION_KEPT_MS).unwrap();
        assert_eq!(added, Added { serial: 100, removed: vec![1] });
        assert!(secret.versions.contains_key("000") && !secret.versions.contains_key("001"));
    }

    #[test]
    fn there_are_twenty_labels_at_most() {
        let mut secret = with(&[("a", &["AWSCURRENT"])]);
        let names: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
        let one_too_many: BTreeSet<String> = names.iter().cloned().collect();
        assert!(add(&mut secret.clone(), "b", &one_too_many, 0).is_err());
        assert!(add(&mut secret, "b", &names[1..].iter().cloned().collect(), 0).is_ok());
        assert!(move_stage(&mut secret, "more", None, Some("a")).is_err());
    }
}
