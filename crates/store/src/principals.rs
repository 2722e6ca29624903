//! Whether the principals that policies name are there.

use outport_model::{AccountId, Arn};

use crate::Tables;
use crate::keys::{RoleKey, UserKey};

impl Tables {
    /// Whether the user or the role with this ARN is there. Of accounts that are not known here, and of what is neither, nothing
    /// can be said: they count as there. `own`: an account that is known, whatever the rows say.
    pub fn has_principal(&self, arn: &str, own: &AccountId) -> bool {
        let Some(arn) = Arn::parse(arn).filter(|arn| arn.service() == "iam") else { return true };
        let account = AccountId::new(arn.account());
        if account != *own && self.accounts.get(&account).is_none() {
            return true;
        }
        let Some((kind, path)) = arn.resource().split_once('/') else { return true };
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let path = format!("/{}", path.strip_suffix(name).unwrap_or_default());
        match kind {
            "user" => {
                self.users.get(&UserKey::new(&account, name)).is_some_and(|it| it.path == path)
            }
            "role" => {
                self.roles.get(&RoleKey::new(&account, name)).is_some_and(|it| it.path == path)
            }
            _ => true,
        }
    }
}
