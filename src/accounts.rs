//! `outport account`: the accounts of an installation, which its operator makes.
//!
//! **Invariant:** the secret of a root key is shown once, to who may read every key of the data directory already, and kept sealed.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use outport_identity::{AccessKeyId, SecretAccessKey};
use outport_keyring::Keyring;
use outport_model::iam::{AccessKey, AccessKeyStatus, Account};
use outport_model::{AccountId, TimestampMs};
use outport_permissions::secret_place;
use outport_store::{Store, Tables, Transaction};
use serde::{Deserialize, Serialize};

use crate::admin_door::{self, Request};
use crate::command_line::{AccountCommand, CreateAccount, ListAccounts, NewRootKey};
use crate::installation;
use crate::output;

/// Source: API reference of AWS Organizations, CreateAccount, AccountName: 1 to 50 characters.
const NAME_CHARS_MAX: usize = 50;
/// Of an installation: each may have default VPCs in dozens of regions.
const ACCOUNTS_MAX: usize = 1_000;
/// Source: IAM user guide, "IAM and AWS STS quotas": "Access keys assigned to the AWS account root user: 2".
const ROOT_KEYS_MAX: usize = 2;
/// Tried before chance is taken to be broken.
const IDS_TRIED_MAX: usize = 16;

/// An account as it is told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub id: String,
    pub name: String,
    /// The one that the installation was made with.
    pub is_home: bool,
    /// `None`: since the first start.
    pub created_at_ms: Option<TimestampMs>,
}

/// A root key that was just made.
#[derive(Clone, Serialize, Deserialize)]
pub struct RootKey {
    pub account: Told,
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// The accounts, for the admin door.
#[derive(Clone)]
pub struct Accounts {
    pub store: Store,
    pub keyring: Arc<Keyring>,
    /// The account that the installation was made with, which needs no row.
    pub home: AccountId,
}

impl Accounts {
    /// The home first, then in the order of their ids.
    pub fn list(&self) -> Vec<Told> {
        let tables = self.store.snapshot();
        let home = tables.accounts.get(&self.home).map(|row| row.name.clone());
        let home = Told {
            id: self.home.to_string(),
            name: home.unwrap_or_else(|| self.home.to_string()),
            is_home: true,
            created_at_ms: None,
        };
        let others = tables.accounts.iter().filter(|account| account.id != self.home);
        std::iter::once(home).chain(others.map(|account| told(account))).collect()
    }

    /// Makes an account with a root key. Without an id it gets one that nobody has, by chance as on AWS.
    ///
    /// # Errors
    /// In one line: a name or an id that is none or that is taken, and those of the store.
    pub async fn create(&self, name: &str, id: Option<&str>) -> Result<RootKey> {
        let chars = name.chars().count();
        ensure!(
            (1..=NAME_CHARS_MAX).contains(&chars) && !name.chars().any(char::is_control),
            "the name of an account has 1 to {NAME_CHARS_MAX} characters"
        );
        let given = id.map(installation::account).transpose()?;
        let mut drawn = Vec::new();
        for _ in 0..IDS_TRIED_MAX {
            drawn.push(random_id()?);
        }
        let new = NewKey::draw(&self.keyring)?;
        let made = self.store.write(|tx| {
            let id = self.free_id(tx, name, given.clone(), &drawn)?;
            let account = Account { name: name.to_owned(), ..Account::new(id, tx.now_ms()) };
            new.put(tx, &account.id);
            let made = told(&account);
            tx.put(account);
            Ok(made)
        });
        let account = made.await.map_err(flattened)?;
        tracing::info!(
            event = "account_made",
            account = account.id,
            name = account.name,
            "the operator made an account"
        );
        Ok(new.told(account))
    }

    fn free_id(
        &self,
        tables: &Tables,
        name: &str,
        given: Option<AccountId>,
        drawn: &[AccountId],
    ) -> Result<AccountId> {
        let others = || tables.accounts.iter().filter(|account| account.id != self.home);
        if let Some(other) = others().find(|other| other.name == name) {
            bail!("account {} has that name already", other.id);
        }
        ensure!(
            others().count() < ACCOUNTS_MAX,
            "an installation has {ACCOUNTS_MAX} accounts at most"
        );
        let is_taken = |id: &AccountId| *id == self.home || tables.accounts.get(id).is_some();
        match given {
            Some(id) if is_taken(&id) => bail!("account {id} is there already"),
            Some(id) => Ok(id),
            None => drawn.iter().find(|id| !is_taken(id)).cloned().context("no id is free"),
        }
    }

    /// Another root key of an account, by its id or its name.
    ///
    /// # Errors
    /// In one line: no such account, two keys already, and those of the store.
    pub async fn new_root_key(&self, account: &str) -> Result<RootKey> {
        let account = self
            .list()
            .into_iter()
            .find(|known| known.id == account || known.name == account)
            .with_context(|| {
                format!(
                    "there is no account {account:?}: `outport account list` shows those there are"
                )
            })?;
        let (id, new) = (AccountId::new(&account.id), NewKey::draw(&self.keyring)?);
        let made = self.store.write(|tx| {
            ensure!(
                tx.access_keys.of_owner(&id, None).len() < ROOT_KEYS_MAX,
                "the root of account {id} has {ROOT_KEYS_MAX} access keys already: delete one as it, with `aws iam \
                 delete-access-key`"
            );
            new.put(tx, &id);
            Ok(())
        });
        made.await.map_err(flattened)?;
        tracing::info!(
            event = "root_key_made",
            account = account.id,
            access_key_id = %new.id.as_str(),
            "the operator made a root key of an account"
        );
        Ok(new.told(account))
    }
}

fn flattened(error: outport_store::WriteError<anyhow::Error>) -> anyhow::Error {
    error.flatten(|fault| anyhow!("{}", fault.detail))
}

fn told(account: &Account) -> Told {
    Told {
        id: account.id.to_string(),
        name: account.name.clone(),
        is_home: false,
        created_at_ms: Some(account.created_at_ms),
    }
}

/// 12 digits, of which the first is none that tools take for an octal number.
fn random_id() -> Result<AccountId> {
    let number = u64::from_le_bytes(random()?);
    Ok(AccountId::new((100_000_000_000 + number % 900_000_000_000).to_string()))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}

/// Drawn before the transaction, which may be tried more than once.
struct NewKey {
    id: AccessKeyId,
    secret: SecretAccessKey,
    sealed: String,
}

impl NewKey {
    fn draw(keyring: &Keyring) -> Result<Self> {
        let id = AccessKeyId::long_term(random()?);
        let secret = SecretAccessKey::from_random(random()?);
        let sealed =
            keyring.seal(&secret_place(id.as_str()), secret.expose().as_bytes(), random()?);
        Ok(Self { id, secret, sealed })
    }

    fn put(&self, tx: &mut Transaction<'_>, account: &AccountId) {
        let created_at_ms = tx.now_ms();
        tx.put(AccessKey {
            id: self.id.as_str().to_owned(),
            account: account.clone(),
            user: None,
            status: AccessKeyStatus::Active,
            created_at_ms,
            sealed_secret: self.sealed.clone(),
            last_use: None,
        });
    }

    fn told(&self, account: Told) -> RootKey {
        RootKey {
            account,
            access_key_id: self.id.as_str().to_owned(),
            secret_access_key: self.secret.expose().to_owned(),
        }
    }
}

/// `outport account …`.
///
/// # Errors
/// In one line.
pub fn run(command: &AccountCommand) -> Result<()> {
    match command {
        AccountCommand::Create(CreateAccount { name, id, json, data_dir }) => {
            let request = Request::CreateAccount { name: name.clone(), id: id.clone() };
            show_key(&ask(&data_dir.data_dir, request)?, *json)
        }
        AccountCommand::Key(NewRootKey { account, json, data_dir }) => {
            let request = Request::NewRootKey { account: account.clone() };
            show_key(&ask(&data_dir.data_dir, request)?, *json)
        }
        AccountCommand::List(ListAccounts { json, data_dir }) => {
            let accounts: Vec<Told> = ask(&data_dir.data_dir, Request::ListAccounts)?;
            output::answer(&listed(&accounts, *json)?).context("cannot print")
        }
    }
}

fn ask<T: serde::de::DeserializeOwned>(directory: &std::path::Path, request: Request) -> Result<T> {
    let door = admin_door::connect(directory)?.with_context(|| {
        format!(
            "no Outport runs with {}: start it first, or name the directory of the one that runs with --data-dir",
            directory.display()
        )
    })?;
    door.ask(request, None)
}

fn show_key(key: &RootKey, json: bool) -> Result<()> {
    let text =
        if json { format!("{}\n", serde_json::to_string_pretty(key)?) } else { key_lines(key) };
    output::answer(&text).context("cannot print")
}

/// Lines for a shell, as `outport env` has them: the comment is for who reads them.
fn key_lines(key: &RootKey) -> String {
    let RootKey { account, access_key_id, secret_access_key } = key;
    format!(
        "# The root key of account {} ({}): it may do everything there and is not shown again.\nexport \
         AWS_ACCESS_KEY_ID={access_key_id}\nexport AWS_SECRET_ACCESS_KEY={secret_access_key}\n",
        account.id,
        account.name.replace(['\n', '\r'], " ")
    )
}

fn listed(accounts: &[Told], json: bool) -> Result<String> {
    if json {
        return Ok(format!("{}\n", serde_json::to_string_pretty(accounts)?));
    }
    let mut text = String::new();
    for Told { id, name, is_home, .. } in accounts {
        let home = if *is_home { "  (home)" } else { "" };
        writeln!(text, "{id}  {name}{home}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use outport_identity::{AccessKeyId, CredentialSource, Principal, Sealer};
    use outport_permissions::StoredCredentials;
    use outport_store::{ManualClock, SeededIds};

    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            store: Store::in_memory(Arc::new(ManualClock::at(1_000)), Arc::new(SeededIds::new(1))),
            keyring: Arc::new(Keyring::new(&[7; 32], &[])),
            home: AccountId::new("000000000000"),
        }
    }

    #[tokio::test]
    async fn the_root_key_of_an_account_is_its_root() {
        let accounts = accounts();
        let key = accounts.create("team-a", Some("111111111111")).await.unwrap();
        let root = outport_identity::Credential::long_term(
            AccessKeyId::new("AKIAHOME"),
            SecretAccessKey::new("home"),
            Principal::root(accounts.home.clone()),
        );
        let credentials = StoredCredentials::new(
            root,
            accounts.store.clone(),
            Arc::new(Sealer::new(&[1; 32])),
            accounts.keyring.clone(),
        );
        let found = credentials.find(&AccessKeyId::new(&key.access_key_id), None, 0).unwrap();
        assert_eq!(found.principal, Principal::root(AccountId::new("111111111111")));
        assert_eq!(found.secret_access_key.expose(), key.secret_access_key);
        let second = accounts.new_root_key("team-a").await.unwrap();
        assert_ne!(second.access_key_id, key.access_key_id);
        let error = accounts.new_root_key("111111111111").await.err().unwrap().to_string();
        assert!(error.contains("2 access keys already"), "{error}");
    }

    #[tokio::test]
    async fn names_and_ids_are_taken_once() {
        let accounts = accounts();
        let refused = async |name: &str, id: Option<&str>, text: &str| {
            let error = accounts.create(name, id).await.err().unwrap().to_string();
            assert!(error.contains(text), "{error}");
        };
        let key = accounts.create("team-a", None).await.unwrap();
        assert_eq!(key.account.id.len(), 12);
        refused("team-a", None, "has that name already").await;
        refused("team-b", Some(&key.account.id), "is there already").await;
        refused("team-b", Some("000000000000"), "is there already").await;
        refused("team-b", Some("1"), "12 digits").await;
        refused("", None, "1 to 50 characters").await;
        refused("a\nb", None, "1 to 50 characters").await;
        let error = accounts.new_root_key("none").await.err().unwrap().to_string();
        assert!(error.contains("outport account list"), "{error}");
        let shown = listed(&accounts.list(), false).unwrap();
        let expected = format!("000000000000  000000000000  (home)\n{}  team-a\n", key.account.id);
        assert_eq!(shown, expected);
    }
}
