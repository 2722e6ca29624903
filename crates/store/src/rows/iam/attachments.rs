//! Who has which managed policy, of users, groups or roles.

use imbl::OrdSet;

use crate::table::Members;

/// The keys of the rows of one table, by the ARN of a managed policy.
#[derive(Clone, Debug)]
pub struct Attachments<K: Ord> {
    attached: Members<String, K>,
    boundary: Members<String, K>,
}

impl<K: Ord> Default for Attachments<K> {
    fn default() -> Self {
        Self { attached: Members::default(), boundary: Members::default() }
    }
}

impl<K: Ord + Clone> Attachments<K> {
    /// To whom it is attached.
    pub fn attached(&self, policy_arn: &str) -> &OrdSet<K> {
        self.attached.get(&policy_arn.to_owned())
    }

    /// Whose permissions boundary it is.
    pub fn boundary(&self, policy_arn: &str) -> &OrdSet<K> {
        self.boundary.get(&policy_arn.to_owned())
    }

    pub(super) fn add<'a>(
        &mut self,
        key: &K,
        attached: impl IntoIterator<Item = &'a String>,
        boundary: Option<&String>,
    ) {
        for arn in attached {
            self.attached.add(arn.clone(), key.clone());
        }
        if let Some(arn) = boundary {
            self.boundary.add(arn.clone(), key.clone());
        }
    }

    pub(super) fn remove<'a>(
        &mut self,
        key: &K,
        attached: impl IntoIterator<Item = &'a String>,
        boundary: Option<&String>,
    ) {
        for arn in attached {
            self.attached.remove(arn, key);
        }
        if let Some(arn) = boundary {
            self.boundary.remove(arn, key);
        }
    }
}
