//! Which account and region a data directory is at home in, and its range: what the first start was told, for good. Every row
//! and every ARN carries account and region, so that under another name everything would be there and nobody would see it;
//! the addresses of tasks are in the range. The same for the cluster that the machine is a container instance of.
//!
//! **Invariant:** an installation that is at home in one account, region and range never starts with another. Further accounts
//! and regions are beside it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use outport_model::network::Ipv4Cidr;
use outport_model::{AccountId, Region, Regions, Scope};
use outport_store::Tables;

use crate::command_line::ControlPlaneOptions;
use crate::settings::Settings;

/// What a first start takes that is told nothing.
pub const DEFAULT_ACCOUNT_ID: &str = "000000000000";
pub const DEFAULT_REGION: &str = "us-east-1";
pub const DEFAULT_CLUSTER: &str = "default";

/// What the options say; `None` is left to the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    account: Option<AccountId>,
    region: Option<Region>,
    vpc_cidr: Option<Ipv4Cidr>,
    /// `None`: as the command has it.
    served: Option<Served>,
}

/// The regions that callers may name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Served {
    All,
    These(Vec<Region>),
}

/// What a start goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub scope: Scope,
    /// `None` at a first start that was told none.
    pub vpc_cidr: Option<Ipv4Cidr>,
}

impl Wanted {
    /// # Errors
    /// When a value is no account id, no region or no range.
    pub fn read(options: &ControlPlaneOptions) -> Result<Self> {
        Ok(Self {
            account: options.account_id.as_deref().map(account).transpose()?,
            region: options.region.as_deref().map(region).transpose()?,
            vpc_cidr: options.default_vpc_cidr.as_deref().map(vpc_cidr).transpose()?,
            served: served(&options.regions)?,
        })
    }

    /// The regions that are served, given the own one: those that were listed. Without a list, an Outport with a node of its own
    /// serves every region of the partition, as those who develop against it expect, and a control plane for others its own.
    pub fn regions(&self, own: &Region, has_own_node: bool) -> Regions {
        match &self.served {
            Some(Served::These(regions)) => Regions::new(own.clone(), regions.iter().cloned()),
            None if !has_own_node => Regions::from(own.clone()),
            Some(Served::All) | None => Regions::of_partition(own.clone()),
        }
    }

    /// The installation's account, region and range, given those that the store has state of, and what earlier starts have
    /// noted as its home.
    ///
    /// # Errors
    /// When the state is another's; the line says whose.
    pub fn settle(
        &self,
        known: &BTreeMap<Scope, Ipv4Cidr>,
        home: Option<&Scope>,
    ) -> Result<Settled> {
        let at_home = home.and_then(|home| known.get_key_value(home));
        let only = at_home.map(|(scope, cidr)| BTreeMap::from([(scope.clone(), *cidr)]));
        let known = only.as_ref().unwrap_or(known);
        let fits = |scope: &Scope| {
            self.account.as_ref().is_none_or(|account| *account == scope.account)
                && self.region.as_ref().is_none_or(|region| *region == scope.region)
        };
        let fitting: Vec<_> = known.iter().filter(|(scope, _)| fits(scope)).collect();
        match (fitting.as_slice(), known.is_empty()) {
            ([(scope, stored)], _) => match self.vpc_cidr {
                Some(wanted) if wanted != **stored => bail!(
                    "the default VPC of this data directory is {stored}, not {wanted}: start without \
                     --default-vpc-cidr, or with another data directory"
                ),
                _ => Ok(Settled { scope: (*scope).clone(), vpc_cidr: Some(**stored) }),
            },
            ([], true) => {
                let scope = Scope::new(
                    self.account.clone().unwrap_or_else(|| AccountId::new(DEFAULT_ACCOUNT_ID)),
                    self.region.clone().unwrap_or_else(|| Region::new(DEFAULT_REGION)),
                );
                Ok(Settled { scope, vpc_cidr: self.vpc_cidr })
            }
            ([], false) => bail!(
                "this data directory is of {}: start without --account-id and --region, or with \
                 another data directory",
                named(known.keys())
            ),
            (several, _) => bail!(
                "this data directory has the state of several, {}: say which with --account-id and \
                 --region",
                named(several.iter().map(|(scope, _)| *scope))
            ),
        }
    }
}

/// The accounts and regions that the store has state of, with the ranges of their default VPCs, which every start
/// makes.
pub fn known(tables: &Tables) -> BTreeMap<Scope, Ipv4Cidr> {
    let default_vpcs = tables.vpcs.iter().filter(|vpc| vpc.is_default);
    default_vpcs.map(|vpc| (vpc.scope.clone(), vpc.cidr)).collect()
}

/// What earlier starts have noted as the home of a data directory.
pub fn home(settings: &Settings) -> Option<Scope> {
    let (account, region) = (settings.account_id.as_ref()?, settings.region.as_ref()?);
    Some(Scope::new(AccountId::new(account), Region::new(region)))
}

/// The cluster of this machine's container instance: `given`, or the one of earlier starts.
///
/// # Errors
/// When the two differ. As the ECS agent refuses another `ECS_CLUSTER` than that of its state: the machine is a container
/// instance there.
pub fn cluster(given: Option<&str>, stored: Option<&str>) -> Result<String> {
    match (given, stored) {
        (Some(given), Some(stored)) if given != stored => bail!(
            "this machine is a container instance of the cluster {stored}, not of {given}: start \
             without --cluster, or with another data directory"
        ),
        _ => Ok(given.or(stored).unwrap_or(DEFAULT_CLUSTER).to_owned()),
    }
}

fn named<'s>(scopes: impl Iterator<Item = &'s Scope>) -> String {
    let each = scopes.map(|scope| format!("account {} in {}", scope.account, scope.region));
    each.collect::<Vec<_>>().join(" and ")
}

/// # Errors
/// For what is no account id.
pub fn account(text: &str) -> Result<AccountId> {
    if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("{text:?} is no account id, which has 12 digits");
    }
    Ok(AccountId::new(text))
}

fn region(text: &str) -> Result<Region> {
    region_of("--region", text)
}

/// # Errors
/// For what is no region, with the option's name.
pub fn region_of(option: &str, text: &str) -> Result<Region> {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 32 || !text.bytes().all(valid) {
        bail!("{option} is {text:?}: a region is a name such as us-east-1");
    }
    Ok(Region::new(text))
}

fn served(given: &[String]) -> Result<Option<Served>> {
    match given {
        [] => Ok(None),
        [all] if all == "all" => Ok(Some(Served::All)),
        names => {
            let regions = names.iter().map(|name| region_of("--regions", name));
            regions.collect::<Result<_>>().map(|regions| Some(Served::These(regions)))
        }
    }
}

fn vpc_cidr(text: &str) -> Result<Ipv4Cidr> {
    Ipv4Cidr::parse(text).with_context(|| {
        format!("--default-vpc-cidr is {text:?}: give a network such as 172.31.0.0/16")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `account/region range` or `-` for an option that is not there; `known` as many of them as there are.
    #[track_caller]
    fn check(wanted: &str, known: &[&str], expected: &str) {
        check_at_home(wanted, known, None, expected);
    }

    #[track_caller]
    fn check_at_home(wanted: &str, known: &[&str], home: Option<(&str, &str)>, expected: &str) {
        let parts = |text: &str| {
            let (names, cidr) = text.split_once(' ').unwrap();
            let (account, region) = names.split_once('/').unwrap();
            (account.to_owned(), region.to_owned(), Ipv4Cidr::parse(cidr))
        };
        let (account, region, vpc_cidr) = parts(wanted);
        let given = |text: String| (text != "-").then_some(text);
        let (account, region) = (given(account), given(region));
        let wanted = Wanted {
            account: account.map(AccountId::new),
            region: region.map(Region::new),
            vpc_cidr,
            served: None,
        };
        let rows = known.iter().map(|text| {
            let (account, region, cidr) = parts(text);
            (Scope::new(AccountId::new(account), Region::new(region)), cidr.unwrap())
        });
        let home =
            home.map(|(account, region)| Scope::new(AccountId::new(account), Region::new(region)));
        let settled = match wanted.settle(&rows.collect(), home.as_ref()) {
            Ok(Settled { scope, vpc_cidr }) => {
                let cidr = vpc_cidr.map_or("-".to_owned(), |cidr| cidr.to_string());
                format!("{}/{} {cidr}", scope.account, scope.region)
            }
            Err(error) => error.to_string(),
        };
        assert!(settled.contains(expected), "{settled}");
    }

    #[test]
    fn a_first_start_takes_what_it_is_told_or_the_defaults() {
        check("-/- -", &[], "000000000000/us-east-1 -");
        check("123456789012/- -", &[], "123456789012/us-east-1 -");
        check("-/eu-west-1 10.9.0.0/16", &[], "000000000000/eu-west-1 10.9.0.0/16");
    }

    #[test]
    fn a_later_start_takes_what_is_stored_and_refuses_a_contradiction() {
        let known = ["1/eu-west-1 10.9.0.0/16"];
        check("-/- -", &known, "1/eu-west-1 10.9.0.0/16");
        check("1/- 10.9.0.0/16", &known, "1/eu-west-1 10.9.0.0/16");
        check("1/us-east-1 -", &known, "is of account 1 in eu-west-1: start without");
        check("2/- -", &known, "another data directory");
        check("-/- 10.8.0.0/16", &known, "is 10.9.0.0/16, not 10.8.0.0/16: start without");
    }

    #[test]
    fn a_directory_that_an_older_version_mixed_up_asks_which() {
        let known = ["1/a 10.9.0.0/16", "1/b 10.8.0.0/16"];
        check("-/- -", &known, "account 1 in a and account 1 in b: say which");
        check("-/b -", &known, "1/b 10.8.0.0/16");
    }

    #[test]
    fn further_accounts_and_regions_are_beside_the_home() {
        let known = ["1/a 10.9.0.0/16", "1/b 10.9.0.0/16", "2/a 10.9.0.0/16"];
        let home = Some(("1", "a"));
        check_at_home("-/- -", &known, home, "1/a 10.9.0.0/16");
        check_at_home("1/b -", &known, home, "is of account 1 in a: start without");
        check_at_home("2/- -", &known, home, "is of account 1 in a: start without");
        // What was noted is of a store that is not there.
        check_at_home("-/- -", &["3/c 10.9.0.0/16"], home, "3/c 10.9.0.0/16");
    }

    #[test]
    fn the_regions_are_those_of_the_list_or_of_the_command() {
        let regions = |given: &[&str], has_own_node| {
            let given: Vec<String> = given.iter().map(|name| (*name).to_owned()).collect();
            let wanted = Wanted {
                account: None,
                region: None,
                vpc_cidr: None,
                served: served(&given).unwrap(),
            };
            wanted.regions(&Region::new("eu-west-1"), has_own_node)
        };
        assert_eq!(regions(&["us-east-1"], true).to_string(), "eu-west-1, us-east-1");
        assert_eq!(regions(&[], false).to_string(), "eu-west-1");
        assert_eq!(regions(&[], true), regions(&["all"], false));
        assert!(regions(&[], true).named("us-west-2").is_some());
        assert!(served(&["Mars!".to_owned()]).is_err());
    }

    #[test]
    fn a_machine_stays_in_its_cluster() {
        assert_eq!(cluster(None, None).unwrap(), "default");
        assert_eq!(cluster(Some("edge"), None).unwrap(), "edge");
        assert_eq!(cluster(None, Some("edge")).unwrap(), "edge");
        assert_eq!(cluster(Some("edge"), Some("edge")).unwrap(), "edge");
        let refused = cluster(Some("mine"), Some("edge")).unwrap_err().to_string();
        assert!(
            refused.contains("cluster edge, not of mine: start without --cluster"),
            "{refused}"
        );
    }
}
