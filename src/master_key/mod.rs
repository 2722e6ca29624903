//! The master key: what seals whatever the store keeps and nobody may read on the disk.
//!
//! ```text
//! --master-key-file, --master-key-command, OUTPORT_MASTER_KEY ──► the operator's, in nothing that Outport writes
//! none of them ─────────────────────────────────────────────────► <data dir>/master-key, made at the first start
//! <data dir>/master-key-next ───────────────────────────────────► the one that a rotation was making
//! ```
//!
//! **Invariant:** a control plane answers nobody before each sealed value of its store opens with a key that it has. What seals a
//! value says which key it is, by the first four bytes of its SHA-256, so one that is missing can be named.

mod files;
mod rotation;
mod sealed;
mod source;

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use outport_keyring::{KEY_BYTES, KeyId, Keyring};
use outport_store::Tables;

use crate::command_line::MasterKeyOptions;
use crate::data_dir::DataDir;
use crate::settings::{MasterKey, Settings};
use sealed::Sealed;

pub use rotation::{give_up, rotate};
pub use source::{check as check_options, take_from_environment};

/// The bytes of a master key. It has no `Debug`, so that nobody prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    fn id(&self) -> KeyId {
        KeyId::of(&self.0)
    }
}

/// The key of a start, and whose it is.
struct Held {
    key: Key,
    is_given: bool,
}

/// The keys of a control plane that is about to answer; notes which one seals.
///
/// # Errors
/// When the key is gone or another one, and something is sealed with it; the line says which key, what is lost without it, and
/// what to do.
pub fn at_start(
    data_dir: &DataDir,
    options: &MasterKeyOptions,
    tables: &Tables,
) -> Result<Keyring> {
    let held = held(data_dir, options, tables)?;
    let next = files::next(data_dir.path())?;
    if let Some(next) = &next {
        tracing::warn!(
            event = "master_key_rotation_unfinished",
            key = %held.key.id(),
            next = %next.id(),
            "the rotation of the master key was not finished: both keys open what they sealed until it is"
        );
    }
    let keyring = keyring(&held.key, next);
    check(data_dir, &keyring, tables)?;
    note(data_dir, &held)?;
    Ok(keyring)
}

fn keyring(current: &Key, earlier: impl IntoIterator<Item = Key>) -> Keyring {
    let earlier: Vec<_> = earlier.into_iter().map(|key| key.0).collect();
    Keyring::new(&current.0, &earlier)
}

/// The key that the options give, else that of the data directory, which is made if nothing was ever sealed.
fn held(data_dir: &DataDir, options: &MasterKeyOptions, tables: &Tables) -> Result<Held> {
    if let Some(key) = source::read(options)? {
        return Ok(Held { key, is_given: true });
    }
    if let Some(key) = files::own(data_dir.path())? {
        return Ok(Held { key, is_given: false });
    }
    let settings = Settings::read(data_dir.path())?;
    let sealed = Sealed::of(tables).without(&given_up(&settings));
    if let Some(MasterKey { check, is_given: true }) = &settings.master_key {
        bail!(
            "the master key {check} is the operator's, and this start was not given it: name it with --master-key-file, \
             --master-key-command or OUTPORT_MASTER_KEY, as before; without it {} cannot be read",
            sealed.lost("nothing that is kept here, but what is to be sealed,")
        );
    }
    if let Some(key) = sealed.keys().next() {
        bail!(
            "{} is gone, and {} are sealed with the master key {key}, which was in it: restore it from a backup, or give the \
             key with --master-key-file; none is made in its place. {}",
            files::own_path(data_dir.path()).display(),
            sealed.lost("values"),
            if_it_is_lost(key)
        );
    }
    data_dir.check(files::OWN)?;
    Ok(Held { key: files::make_own(data_dir.path())?, is_given: false })
}

/// # Errors
/// When something is sealed with a key that is not here.
fn check(data_dir: &DataDir, keyring: &Keyring, tables: &Tables) -> Result<()> {
    let settings = Settings::read(data_dir.path())?;
    let sealed = Sealed::of(tables).without(&given_up(&settings));
    let Some(missing) = sealed.keys().find(|key| !keyring.has(*key)) else { return Ok(()) };
    let current = keyring.current();
    let lost = sealed.only(missing).lost("values");
    let own = files::own(data_dir.path())?.filter(|own| own.id() == missing);
    match own {
        Some(_) => bail!(
            "{lost} are sealed with the master key {missing} of the data directory, and the one that was given is {current}: \
             start without it, or change to it with `outport master-key rotate --new-master-key-file FILE`, with Outport \
             stopped"
        ),
        None => bail!(
            "the master key {current} is not the one that {lost} are sealed with, which is {missing}: start with that one \
             (--master-key-file, --master-key-command, OUTPORT_MASTER_KEY, or the file master-key in a backup). {}",
            if_it_is_lost(missing)
        ),
    }
}

fn if_it_is_lost(key: KeyId) -> String {
    format!(
        "If it is lost, so is what it sealed: `outport master-key give-up {key}` lets Outport start without that"
    )
}

fn given_up(settings: &Settings) -> BTreeSet<KeyId> {
    settings.master_keys_given_up.iter().filter_map(|id| id.parse().ok()).collect()
}

/// Which key seals from now on, for a start that is not given it.
///
/// # Errors
/// Those of the disk, if it was not noted before that the operator has the key.
fn note(data_dir: &DataDir, held: &Held) -> Result<()> {
    let new = MasterKey { check: held.key.id().to_string(), is_given: held.is_given };
    if held.is_given && files::own(data_dir.path())?.is_none() {
        data_dir.forget(files::OWN)?;
    }
    let before = Settings::read(data_dir.path())?.master_key;
    if before.as_ref() == Some(&new) {
        return Ok(());
    }
    if let Some(before) = &before
        && before.check != new.check
    {
        tracing::warn!(
            event = "master_key_changed",
            key = new.check,
            before = before.check,
            "the master key is another one than before; nothing is sealed with the earlier one any more"
        );
    }
    if held.is_given {
        return data_dir.change_settings(|settings| settings.master_key = Some(new));
    }
    data_dir.settle(|settings| settings.master_key = Some(new));
    Ok(())
}

#[cfg(test)]
mod tests;
