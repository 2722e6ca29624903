//! Which account and region a data directory is for: what the first start was told, for good. Every row and
//! every ARN carries them, so that under another name everything would be there and nobody would see it.
//!
//! **Invariant:** an installation whose state belongs to one account and region never starts as another.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use outport_model::{AccountId, Region, Scope};
use outport_store::Tables;

use crate::command_line::ControlPlaneOptions;

/// What a first start takes that is told nothing.
pub const DEFAULT_ACCOUNT_ID: &str = "000000000000";
pub const DEFAULT_REGION: &str = "us-east-1";

/// What the options say; `None` is left to the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    account: Option<AccountId>,
    region: Option<Region>,
}

impl Wanted {
    /// # Errors
    /// When a value is no account id or no region.
    pub fn read(options: &ControlPlaneOptions) -> Result<Self> {
        let account = options.account_id.as_deref().map(account).transpose()?;
        Ok(Self { account, region: options.region.as_deref().map(region).transpose()? })
    }

    /// The installation's account and region, given those that the store has state of.
    ///
    /// # Errors
    /// When the state is another's; the line says whose.
    pub fn settle(&self, known: &BTreeSet<Scope>) -> Result<Scope> {
        let fits = |scope: &&Scope| {
            self.account.as_ref().is_none_or(|account| *account == scope.account)
                && self.region.as_ref().is_none_or(|region| *region == scope.region)
        };
        let fitting: Vec<&Scope> = known.iter().filter(fits).collect();
        match (fitting.as_slice(), known.is_empty()) {
            ([one], _) => Ok((*one).clone()),
            ([], true) => Ok(Scope::new(
                self.account.clone().unwrap_or_else(|| AccountId::new(DEFAULT_ACCOUNT_ID)),
                self.region.clone().unwrap_or_else(|| Region::new(DEFAULT_REGION)),
            )),
            ([], false) => bail!(
                "this data directory is of {}: start without --account-id and --region, or with \
                 another data directory",
                named(known.iter())
            ),
            (several, _) => bail!(
                "this data directory has the state of several, {}: say which with --account-id and \
                 --region",
                named(several.iter().copied())
            ),
        }
    }
}

/// The accounts and regions that the store has state of: those that have a default VPC, which every start
/// makes.
pub fn known(tables: &Tables) -> BTreeSet<Scope> {
    let default_vpcs = tables.vpcs.iter().filter(|vpc| vpc.is_default);
    default_vpcs.map(|vpc| vpc.scope.clone()).collect()
}

fn named<'s>(scopes: impl Iterator<Item = &'s Scope>) -> String {
    let each = scopes.map(|scope| format!("account {} in {}", scope.account, scope.region));
    each.collect::<Vec<_>>().join(" and ")
}

fn account(text: &str) -> Result<AccountId> {
    if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("OUTPORT_ACCOUNT_ID is {text:?}: an account id has 12 digits");
    }
    Ok(AccountId::new(text))
}

fn region(text: &str) -> Result<Region> {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 32 || !text.bytes().all(valid) {
        bail!("OUTPORT_REGION is {text:?}: a region is a name such as us-east-1");
    }
    Ok(Region::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `account/region` or `-` for an option that is not there.
    #[track_caller]
    fn check(wanted: &str, known: &str, expected: &str) {
        let (wanted_account, wanted_region) = wanted.split_once('/').unwrap();
        let given = |text: &str| (text != "-").then(|| text.to_owned());
        let wanted = Wanted {
            account: given(wanted_account).map(AccountId::new),
            region: given(wanted_region).map(Region::new),
        };
        let scope = |text: &str| {
            let (account, region) = text.split_once('/').unwrap();
            Scope::new(AccountId::new(account), Region::new(region))
        };
        let known = known.split_whitespace().map(scope).collect();
        let settled = match wanted.settle(&known) {
            Ok(scope) => format!("{}/{}", scope.account, scope.region),
            Err(error) => error.to_string(),
        };
        assert!(settled.contains(expected), "{settled}");
    }

    #[test]
    fn a_first_start_takes_what_it_is_told_or_the_defaults() {
        check("-/-", "", "000000000000/us-east-1");
        check("123456789012/-", "", "123456789012/us-east-1");
        check("-/eu-west-1", "", "000000000000/eu-west-1");
    }

    #[test]
    fn a_later_start_takes_what_is_stored_and_refuses_a_contradiction() {
        check("-/-", "1/eu-west-1", "1/eu-west-1");
        check("1/-", "1/eu-west-1", "1/eu-west-1");
        check("1/us-east-1", "1/eu-west-1", "is of account 1 in eu-west-1: start without");
        check("2/-", "1/eu-west-1", "another data directory");
    }

    #[test]
    fn a_directory_that_an_older_version_mixed_up_asks_which() {
        check("-/-", "1/a 1/b", "account 1 in a and account 1 in b: say which");
        check("-/b", "1/a 1/b", "1/b");
    }
}
