//! `outport master-key rotate` and `give-up`.
//!
//! ```text
//! kept in the data directory:   master-key-next written ─► all sealed anew, in one commit ─► master-key-next is master-key
//! of the operator:              all sealed anew, in one commit ─► master-key removed, if there is one ─► noted whose it is
//! ```
//!
//! **Invariant:** at each moment a start that has the key that is named, the one before or the new one, opens everything or says
//! which of the two it needs; a rotation that was cut short is finished by the next one.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, bail};
use outport_container_runtime::fail_point;
use outport_keyring::{KeyId, key_of};
use outport_model::kms::{KmsAlias, KmsKey};
use outport_store::keys::KmsKeyKey;
use outport_store::{Row, Transaction, WriteError};

use super::sealed::{Sealed, seal_anew};
use super::{Held, Key, check, files, given_up, held, keyring, source};
use crate::command_line::{GiveUpMasterKey, RotateMasterKey};
use crate::data_dir::{self, DataDir};
use crate::operator::runtime;
use crate::settings::{MasterKey, Settings};
use crate::{output, parts};

/// Makes another master key, or takes the one that is given, and seals everything with it.
///
/// # Errors
/// In one line. What was sealed opens with the key of before, or with the new one; the next rotation goes on.
pub fn rotate(options: &RotateMasterKey) -> Result<()> {
    let data_dir = stopped(&options.data_dir.data_dir)?;
    let directory = data_dir.path();
    let store = parts::open_store(&directory.join("control"))?;
    let left = given_up(&Settings::read(directory)?);
    let given = source::from(
        options.new_master_key_file.as_deref(),
        options.new_master_key_command.as_deref(),
    )?;
    let next = files::next(directory)?;
    let before = held(&data_dir, &options.current, &store.snapshot())?;
    let new = match given {
        Some(key) => Held { key, is_given: true },
        None if before.is_given => bail!(
            "the master key {} is the operator's, and so is the next one: make it, such as with (umask 077; openssl rand -hex 32 > \
             FILE), and name it with --new-master-key-file",
            before.key.id()
        ),
        None => {
            let key = next.clone().map_or_else(|| files::make_next(directory), Ok)?;
            Held { key, is_given: false }
        }
    };
    if new.key == before.key && next.is_none() {
        bail!("the new master key {} is the one of now", new.key.id());
    }
    let earlier = [Some(before.key.clone()), next, files::own(directory)?];
    let keyring = keyring(&new.key, earlier.into_iter().flatten());
    check(&data_dir, &keyring, &store.snapshot())?;
    fail_point::reach("master-key.next")?;
    let count = Sealed::of(&store.snapshot()).without(&left).rows();
    runtime()?
        .block_on(store.write(|tx| seal_anew(tx, &keyring, &left)))
        .map_err(|error| match error {
            WriteError::Rejected(error) => error,
            WriteError::Fault(fault) => anyhow!(fault.detail),
        })
        .context("nothing was sealed anew")?;
    fail_point::reach("master-key.sealed")?;
    finish(&data_dir, &new, &Sealed::of(&store.snapshot()).without(&left))?;
    let text = said(&before.key, &new, count);
    output::answer(&text).context("cannot print")
}

/// The new key is on disk, and so is what it sealed.
fn finish(data_dir: &DataDir, new: &Held, sealed: &Sealed) -> Result<()> {
    if let Some(other) = sealed.keys().find(|key| *key != new.key.id()) {
        bail!("something is sealed with the master key {other} yet: the keys of before are kept");
    }
    let noted = MasterKey { check: new.key.id().to_string(), is_given: new.is_given };
    let note = || data_dir.change_settings(|settings| settings.master_key = Some(noted));
    if new.is_given {
        // Noted first: a start that finds no key is to know whose it is.
        note()?;
        fail_point::reach("master-key.noted")?;
        files::remove_all(data_dir.path())?;
        fail_point::reach("master-key.removed")?;
        return data_dir.forget(files::OWN);
    }
    files::put_next_in_place(data_dir.path())?;
    fail_point::reach("master-key.placed")?;
    note()
}

fn said(before: &Key, new: &Held, count: usize) -> String {
    let whose = match new.is_given {
        true => {
            "give it to each start from now on (--master-key-file, --master-key-command or OUTPORT_MASTER_KEY): without it \
                 none succeeds, and no backup has it"
        }
        false => "it is in the data directory, and in backups from now on",
    };
    format!(
        "{count} sealed values are under the master key {} now, which follows {}; {whose}.\nBackups of before need the key of before.\n",
        new.key.id(),
        before.id()
    )
}

/// Lets the next start begin without what a lost key has sealed.
///
/// # Errors
/// In one line: that nothing is sealed with it.
pub fn give_up(options: &GiveUpMasterKey) -> Result<()> {
    let data_dir = stopped(&options.data_dir.data_dir)?;
    let key: KeyId = options.key.parse()?;
    let store = parts::open_store(&data_dir.path().join("control"))?;
    let sealed = Sealed::of(&store.snapshot());
    let settings = Settings::read(data_dir.path())?;
    let is_noted = settings.master_key.as_ref().is_some_and(|it| it.check == key.to_string());
    if !is_noted && !sealed.keys().any(|known| known == key) {
        bail!("nothing is sealed with the master key {key}");
    }
    let left: BTreeSet<_> = given_up(&settings).into_iter().chain([key]).collect();
    runtime()?
        .block_on(store.write(|tx| {
            leave_managed_keys(tx, key);
            Ok::<_, std::convert::Infallible>(())
        }))
        .map_err(|error| anyhow!("{error}"))?;
    data_dir.change_settings(|settings| {
        settings.master_keys_given_up = left.iter().map(ToString::to_string).collect();
        settings.master_key = settings.master_key.take().filter(|it| it.check != key.to_string());
    })?;
    data_dir.forget(files::OWN)?;
    let text = format!(
        "a start no longer waits for the master key {key}; what is lost without it: {}\n",
        sealed.only(key).lost("nothing")
    );
    output::answer(&text).context("cannot print")
}

/// Keys that services have of their own (`alias/aws/ssm`) encrypt nothing any more: without their names the services make others.
fn leave_managed_keys(tx: &mut Transaction<'_>, lost: KeyId) {
    let is_lost = |key: &KmsKey| {
        let sealed = key.current_material().and_then(|material| key_of(&material.sealed));
        key.managed_for.is_some() && sealed == Some(lost)
    };
    let aliases: Vec<_> = tx.kms_aliases.iter().cloned().collect();
    for alias in aliases {
        let key = tx.kms_keys.get(&KmsKeyKey::new(&alias.scope, alias.key_id.as_str()));
        if key.is_some_and(|key| is_lost(key)) {
            tx.remove::<KmsAlias>(&alias.key());
        }
    }
}

/// The data directory of a control plane that does not run.
fn stopped(directory: &std::path::Path) -> Result<DataDir> {
    if !data_dir::holds(directory, "control")? {
        bail!(
            "{} holds no control plane that has been started: name the right directory with --data-dir",
            directory.display()
        );
    }
    DataDir::own(directory)
}
