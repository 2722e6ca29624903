//! The documents of a simulation: handed in, or of a user, a group or a role.

use outport_aws_iam::{
    AttachmentType, PolicyIdentifier, PolicyIdentifierPolicyType, PolicySourceType,
};
use outport_model::iam::{Group, Role, User};
use outport_policy::{Policy, PolicyKind};
use outport_store::Tables;
use outport_store::keys::GroupKey;

use crate::entity::Entity;
use crate::managed_policy::Managed;
use crate::rejection::Rejection;

/// A document with the name that results show it by.
pub struct Document {
    pub id: String,
    pub source: PolicySourceType,
    pub text: String,
    pub policy: Policy,
}

/// What a principal may do, and what it may do at most.
#[derive(Default)]
pub struct Policies {
    pub identity: Vec<Document>,
    pub boundary: Option<Document>,
}

/// Policies that are left out of a simulation.
pub struct Exclusions(Vec<PolicyIdentifier>);

impl Exclusions {
    /// # Errors
    /// Policies of organizations are refused by name: there are none.
    pub fn parse(given: Option<Vec<PolicyIdentifier>>) -> Result<Self, Rejection> {
        use PolicyIdentifierPolicyType::{Rcp, Scp};
        let given = given.unwrap_or_default();
        if given.iter().any(|one| matches!(one.policy_type, Some(Scp | Rcp))) {
            return Err(Rejection::not_built("PolicyExclusionList with policies of organizations"));
        }
        Ok(Self(given))
    }

    /// One that names neither an ARN nor an inline policy means all of its type.
    fn has(
        &self,
        kind: PolicyIdentifierPolicyType,
        arn: Option<&str>,
        inline: Option<(AttachmentType, &str, &str)>,
    ) -> bool {
        self.0.iter().any(|one| {
            let named = one.inline_policy_identifier.as_ref().map(|named| {
                (
                    named.attachment_type,
                    named.attachment_name.as_deref(),
                    named.policy_name.as_deref(),
                )
            });
            let wanted =
                inline.map(|(kind, holder, policy)| (Some(kind), Some(holder), Some(policy)));
            one.policy_type.is_none_or(|wanted| wanted == kind)
                && one.policy_arn.as_deref().is_none_or(|wanted| Some(wanted) == arn)
                && (named.is_none() || named == wanted)
        })
    }
}

/// Documents that are handed in: `PolicyInputList.1`, …
///
/// # Errors
/// `InvalidInput`, with what is wrong.
pub fn input(list: &str, given: Option<Vec<String>>) -> Result<Vec<Document>, Rejection> {
    let given = given.unwrap_or_default().into_iter().enumerate();
    given.map(|(at, text)| read(format!("{list}.{}", at + 1), text, PolicyKind::Inline)).collect()
}

/// # Errors
/// `InvalidInput`, with what is wrong.
pub fn resource_policy(given: Option<String>) -> Result<Option<Document>, Rejection> {
    let read = |text| {
        let document = read("ResourcePolicy".to_owned(), text, PolicyKind::Resource)?;
        Ok(Document { source: PolicySourceType::Resource, ..document })
    };
    given.map(read).transpose()
}

fn read(id: String, text: String, kind: PolicyKind) -> Result<Document, Rejection> {
    let policy = Policy::compile(&text, kind)
        .map_err(|malformed| Rejection::InvalidInput(format!("{id}: {malformed}")))?;
    Ok(Document { id, source: PolicySourceType::None, text, policy })
}

impl Policies {
    pub fn of_user(tables: &Tables, user: &User, exclusions: &Exclusions) -> Self {
        let mut found = Self::of_entity(tables, user, AttachmentType::User, exclusions);
        for name in &user.groups {
            if let Some(group) = tables.groups.get(&GroupKey::new(&user.account, name)) {
                found.identity.extend(Self::of_group(tables, group, exclusions).identity);
            }
        }
        found
    }

    pub fn of_role(tables: &Tables, role: &Role, exclusions: &Exclusions) -> Self {
        Self::of_entity(tables, role, AttachmentType::Role, exclusions)
    }

    pub fn of_group(tables: &Tables, group: &Group, exclusions: &Exclusions) -> Self {
        Self::of_entity(tables, group, AttachmentType::Group, exclusions)
    }

    fn of_entity<E: Entity>(
        tables: &Tables,
        entity: &E,
        kind: AttachmentType,
        exclusions: &Exclusions,
    ) -> Self {
        use PolicyIdentifierPolicyType::{Inline, PermissionBoundary};
        let arn = entity.arn();
        let holder = arn.rsplit('/').next().unwrap_or_default();
        let source = match kind {
            AttachmentType::User => PolicySourceType::User,
            AttachmentType::Group => PolicySourceType::Group,
            AttachmentType::Role => PolicySourceType::Role,
        };
        let inline = entity.policies().inline.iter();
        let inline = inline
            .filter(|(name, _)| !exclusions.has(Inline, None, Some((kind, holder, name))))
            .map(|(name, text)| stored(name.clone(), source, text, PolicyKind::Inline));
        let attached = entity.policies().attached.iter();
        let attached = attached
            .filter(|arn| !exclusions.has(managed_type(arn), Some(arn), None))
            .map(|arn| managed(tables, arn));
        let boundary = entity.boundary();
        Self {
            identity: inline.chain(attached).collect(),
            boundary: boundary
                .filter(|arn| !exclusions.has(PermissionBoundary, Some(arn), None))
                .map(|arn| managed(tables, arn)),
        }
    }
}

fn managed_type(arn: &str) -> PolicyIdentifierPolicyType {
    if arn.starts_with("arn:aws:iam::aws:") {
        PolicyIdentifierPolicyType::AwsManaged
    } else {
        PolicyIdentifierPolicyType::UserManaged
    }
}

/// One that is gone denies everything, as it does in decisions.
fn managed(tables: &Tables, arn: &str) -> Document {
    let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
    let found = Managed::find(tables, arn);
    let source = match &found {
        Some(Managed::Aws(_)) => PolicySourceType::AwsManaged,
        _ => PolicySourceType::UserManaged,
    };
    let text = found.as_ref().map(Managed::document).unwrap_or_default();
    stored(name, source, text, PolicyKind::Managed)
}

fn stored(id: String, source: PolicySourceType, text: &str, kind: PolicyKind) -> Document {
    let policy = Policy::compile(text, kind).unwrap_or_else(|_| Policy::denying_everything());
    Document { id, source, text: text.to_owned(), policy }
}
