//! Who asks, and the elements `Principal` and `NotPrincipal`.
//!
//! Source: IAM user guide, "AWS JSON policy elements: Principal" and "NotPrincipal".

use outport_model::AccountId;

use crate::statement::Effect;

/// Who a request is from.
#[derive(Clone, Copy, Debug)]
pub enum Principal<'a> {
    /// The account itself.
    Root { account: &'a AccountId, arn: &'a str },
    /// An IAM user, with keys of its own or a session of GetSessionToken. `id`: `AIDA…`.
    User { account: &'a AccountId, arn: &'a str, id: &'a str },
    /// Who has assumed a role. `id`: `AROA…` of the role, `:` and the session's name.
    RoleSession { account: &'a AccountId, role_arn: &'a str, session_arn: &'a str, id: &'a str },
    /// A session of GetFederationToken.
    FederatedUser { account: &'a AccountId, arn: &'a str, federated_by: FederatedBy<'a> },
    /// An AWS service on its own behalf: `ecs-tasks.amazonaws.com`.
    Service { name: &'a str },
    /// Who has shown a token of an identity provider and wants a role for it: the provider's ARN, or the name of one of those
    /// that need none (`accounts.google.com`).
    Identified { provider: &'a str },
}

/// Whose permissions a federated user has at most.
#[derive(Clone, Copy, Debug)]
pub enum FederatedBy<'a> {
    Root,
    /// `id`: `AIDA…`.
    User {
        arn: &'a str,
        id: &'a str,
    },
}

/// The names of one principal: its ARN, and the unique id under which policies keep it.
#[derive(Clone, Copy)]
struct Names<'a> {
    arn: &'a str,
    id: Option<&'a str>,
}

impl Names<'_> {
    fn has(&self, wanted: &str) -> bool {
        self.arn == wanted || self.id == Some(wanted)
    }
}

impl<'a> Principal<'a> {
    /// The account that it belongs to. Services and identity providers belong to none.
    pub fn account(&self) -> Option<&'a AccountId> {
        match *self {
            Principal::Root { account, .. }
            | Principal::User { account, .. }
            | Principal::RoleSession { account, .. }
            | Principal::FederatedUser { account, .. } => Some(account),
            Principal::Service { .. } | Principal::Identified { .. } => None,
        }
    }

    /// As access denied messages name it.
    pub fn name(&self) -> &'a str {
        match *self {
            Principal::Root { arn, .. }
            | Principal::User { arn, .. }
            | Principal::FederatedUser { arn, .. } => arn,
            Principal::RoleSession { session_arn, .. } => session_arn,
            Principal::Service { name } => name,
            Principal::Identified { provider } => provider,
        }
    }

    fn names(&self) -> Names<'a> {
        let id = match *self {
            Principal::User { id, .. } | Principal::RoleSession { id, .. } => Some(id),
            _ => None,
        };
        Names { arn: self.name(), id }
    }

    /// Of whom it is made from: the role of a session, the user of a federated user.
    fn parent(&self) -> Option<Names<'a>> {
        match *self {
            Principal::RoleSession { role_arn: arn, id, .. } => {
                Some(Names { arn, id: id.split_once(':').map(|(role, _)| role) })
            }
            Principal::FederatedUser { federated_by: FederatedBy::User { arn, id }, .. } => {
                Some(Names { arn, id: Some(id) })
            }
            _ => None,
        }
    }
}

/// How a resource's policy names who asks. The later, the more it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    /// By the account: which of its principals may is for the account's own policies to say.
    Account,
    /// By the role or the user that the session is made from: limited as these are.
    Parent,
    /// Itself, or everyone.
    Directly,
}

/// Principals that a statement is about.
#[derive(Clone, Debug)]
pub(crate) struct Principals {
    pub negated: bool,
    entries: Box<[PrincipalEntry]>,
}

/// One principal of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PrincipalEntry {
    Everyone,
    /// An account, as its id or as the ARN of its root.
    Account(Box<str>),
    /// A user, a role or a session: its ARN or its unique id.
    Named(Box<str>),
    Service(Box<str>),
    Provider(Box<str>),
}

impl Principals {
    pub fn new(negated: bool, entries: Vec<PrincipalEntry>) -> Self {
        Self { negated, entries: entries.into() }
    }

    /// How a statement with this effect is about `principal`; `None` when it is not.
    pub fn name(&self, principal: &Principal<'_>, effect: Effect) -> Option<Named> {
        if self.negated {
            return (!self.is_excepted(principal)).then_some(Named::Directly);
        }
        self.entries.iter().filter_map(|entry| entry.names(principal, effect)).max()
    }

    /// For `NotPrincipal`, everything that a principal is made of has to be named: the account, the role and the session.
    /// Source: "`NotPrincipal` with `Deny`", which says that AWS may look at each of them, and to name them all.
    fn is_excepted(&self, principal: &Principal<'_>) -> bool {
        let names = |wanted: &PrincipalEntry| self.entries.contains(wanted);
        let names_one = |one: Names<'_>| {
            let is_it = |entry: &PrincipalEntry| matches!(entry, PrincipalEntry::Named(name) if one.has(name));
            self.entries.iter().any(is_it)
        };
        let names_account =
            |account: &AccountId| names(&PrincipalEntry::Account(account.as_str().into()));
        if names(&PrincipalEntry::Everyone) {
            return true;
        }
        match *principal {
            Principal::Root { account, .. } => names_account(account),
            Principal::User { account, .. } => {
                names_account(account) && names_one(principal.names())
            }
            Principal::RoleSession { account, .. } | Principal::FederatedUser { account, .. } => {
                names_account(account)
                    && names_one(principal.names())
                    && principal.parent().is_none_or(names_one)
            }
            Principal::Service { name } => names(&PrincipalEntry::Service(name.into())),
            Principal::Identified { provider } => names(&PrincipalEntry::Provider(provider.into())),
        }
    }
}

impl PrincipalEntry {
    fn names(&self, principal: &Principal<'_>, effect: Effect) -> Option<Named> {
        let is_session_or_user = !matches!(principal, Principal::Root { .. });
        match self {
            // A token of an identity provider is good only where the provider is named.
            PrincipalEntry::Everyone => {
                let is_identified = matches!(principal, Principal::Identified { .. });
                (!is_identified || effect == Effect::Deny).then_some(Named::Directly)
            }
            PrincipalEntry::Account(id) => {
                let is_of_it = principal.account().is_some_and(|account| account.as_str() == &**id);
                is_of_it.then_some(Named::Account)
            }
            PrincipalEntry::Named(name) if principal.account().is_some() && is_session_or_user => {
                if principal.names().has(name) {
                    Some(Named::Directly)
                } else {
                    principal.parent().filter(|parent| parent.has(name)).map(|_| Named::Parent)
                }
            }
            PrincipalEntry::Named(_) => None,
            PrincipalEntry::Service(wanted) => match principal {
                Principal::Service { name } => (**wanted == **name).then_some(Named::Directly),
                _ => None,
            },
            PrincipalEntry::Provider(wanted) => match principal {
                Principal::Identified { provider } => {
                    (**wanted == **provider).then_some(Named::Directly)
                }
                _ => None,
            },
        }
    }
}
