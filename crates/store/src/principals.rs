//! The users and roles that policies name as principals: between their ARNs and the unique ids that stand in what is kept.

use outport_model::{AccountId, Arn};

use crate::Tables;
use crate::keys::{RoleKey, UserKey};

/// What there is of a principal that a policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedPrincipal {
    /// The unique id: `AIDA…` of a user, `AROA…` of a role, `AROA…:NAME` of a session of a role.
    Id(String),
    /// No such user or role.
    Absent,
    /// An account, a federated user, or somebody of an account that is not known here: nothing can be said, the name is kept.
    Unknown,
}

impl Tables {
    /// Who has this ARN, or this unique id. `own`: an account that is known, whatever the rows say.
    pub fn principal(&self, name: &str, own: &AccountId) -> NamedPrincipal {
        let Some(arn) = Arn::parse(name) else { return self.by_id(name) };
        let account = AccountId::new(arn.account());
        if account != *own && self.accounts.get(&account).is_none() {
            return NamedPrincipal::Unknown;
        }
        let Some((kind, path)) = arn.resource().split_once('/') else {
            return NamedPrincipal::Unknown;
        };
        match (arn.service(), kind) {
            ("iam", "user") => {
                let user = self.users.get(&UserKey::new(&account, last(path)));
                let user = user.filter(|user| user.arn() == name);
                or_absent(user.map(|user| user.id.clone()))
            }
            ("iam", "role") => {
                let role = self.roles.get(&RoleKey::new(&account, last(path)));
                let role = role.filter(|role| role.arn() == name);
                or_absent(role.map(|role| role.id.clone()))
            }
            ("sts", "assumed-role") => {
                let Some((role, session)) = path.split_once('/') else {
                    return NamedPrincipal::Absent;
                };
                let role = self.roles.get(&RoleKey::new(&account, role));
                or_absent(role.map(|role| format!("{}:{session}", role.id)))
            }
            _ => NamedPrincipal::Unknown,
        }
    }

    fn by_id(&self, name: &str) -> NamedPrincipal {
        let is_id = name.starts_with("AIDA") || name.starts_with("AROA");
        match self.principal_arn(name) {
            Some(_) => NamedPrincipal::Id(name.to_owned()),
            None if is_id => NamedPrincipal::Absent,
            None => NamedPrincipal::Unknown,
        }
    }

    /// The ARN of the user, the role or the session with this unique id; `None` once there is no such user or role.
    pub fn principal_arn(&self, id: &str) -> Option<String> {
        if let Some((role, session)) = id.split_once(':') {
            let role = self.roles.with_id(role)?;
            return Some(format!(
                "arn:aws:sts::{}:assumed-role/{}/{session}",
                role.account, role.name
            ));
        }
        let user = self.users.with_id(id).map(|user| user.arn());
        user.or_else(|| self.roles.with_id(id).map(|role| role.arn()))
    }
}

/// A name without its path.
fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn or_absent(id: Option<String>) -> NamedPrincipal {
    id.map_or(NamedPrincipal::Absent, NamedPrincipal::Id)
}
