//! What is set for all repositories of an account and region: documents whose form their owner knows.

use outport_model::Scope;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::{Registry, RegistryError};

/// A setting. Its name in the table is a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrySetting {
    /// The registry policy.
    Policy,
    /// Which images are to be scanned.
    Scanning,
    /// From which registries images are taken when they are asked for.
    PullThroughCache,
    /// What repositories are made of that nobody makes by hand.
    CreationTemplates,
}

impl RegistrySetting {
    fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Scanning => "scanning",
            Self::PullThroughCache => "pull-through-cache",
            Self::CreationTemplates => "repository-creation-templates",
        }
    }
}

impl Registry {
    /// What is set.
    pub fn setting(
        &self,
        scope: &Scope,
        setting: RegistrySetting,
    ) -> Result<Option<String>, RegistryError> {
        self.metadata.read(|transaction| find(transaction, scope, setting))
    }

    /// Sets, or takes away. Returns what was set before.
    pub fn put_setting(
        &self,
        scope: &Scope,
        setting: RegistrySetting,
        value: Option<&str>,
    ) -> Result<Option<String>, RegistryError> {
        self.metadata.write(|transaction| {
            let before = find(transaction, scope, setting)?;
            put(transaction, scope, setting, value)?;
            Ok(before)
        })
    }

    /// Sets what `change` makes of what is set, with nobody in between. What it refuses changes nothing.
    pub fn change_setting<T, E>(
        &self,
        scope: &Scope,
        setting: RegistrySetting,
        change: impl FnOnce(Option<&str>) -> Result<(String, T), E>,
    ) -> Result<Result<T, E>, RegistryError> {
        self.metadata.write(|transaction| {
            let before = find(transaction, scope, setting)?;
            match change(before.as_deref()) {
                Ok((value, answer)) => {
                    put(transaction, scope, setting, Some(&value))?;
                    Ok(Ok(answer))
                }
                Err(refusal) => Ok(Err(refusal)),
            }
        })
    }
}

fn put(
    transaction: &Transaction<'_>,
    scope: &Scope,
    setting: RegistrySetting,
    value: Option<&str>,
) -> Result<(), RegistryError> {
    let (account, region) = (scope.account.as_str(), scope.region.as_str());
    match value {
        Some(value) => transaction.execute(
            "INSERT INTO registry_setting (account, region, name, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET value = excluded.value",
            params![account, region, setting.as_str(), value],
        )?,
        None => transaction.execute(
            "DELETE FROM registry_setting WHERE account = ?1 AND region = ?2 AND name = ?3",
            params![account, region, setting.as_str()],
        )?,
    };
    Ok(())
}

fn find(
    transaction: &Transaction<'_>,
    scope: &Scope,
    setting: RegistrySetting,
) -> Result<Option<String>, RegistryError> {
    Ok(transaction
        .prepare_cached(
            "SELECT value FROM registry_setting WHERE account = ?1 AND region = ?2 AND name = ?3",
        )?
        .query_row(
            params![scope.account.as_str(), scope.region.as_str(), setting.as_str()],
            |row| row.get(0),
        )
        .optional()?)
}
