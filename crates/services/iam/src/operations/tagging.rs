//! Tags of users, roles, managed policies, instance profiles, OIDC providers and server certificates.

use std::sync::Arc;

use outport_aws_iam::*;
use outport_identity::{Call, Subject};
use outport_model::Tags;
use outport_model::iam::{self, ManagedPolicy};
use outport_store::{InTables, Tables};

use crate::entity::{look, there};
use crate::managed_policy::{self, Managed};
use crate::operations::{instance_profiles, oidc_providers, server_certificates};
use crate::page::{Page, PageRequest};
use crate::rejection::Rejection;
use crate::{IamService, tags};

/// What carries tags.
trait Tagged: InTables {
    /// What there may be under a name, and the question about it.
    fn look(
        tables: &Tables,
        call: &Call,
        name: &str,
        action: &'static str,
    ) -> Subject<Option<Arc<Self>>>;
    fn there(found: Option<Arc<Self>>, name: &str) -> Result<Arc<Self>, Rejection>;
    fn tags(&self) -> &Tags;
    fn tags_mut(&mut self) -> &mut Tags;
}

macro_rules! tagged {
    ($row:ty, $look:expr, $there:expr) => {
        impl Tagged for $row {
            fn look(
                tables: &Tables,
                call: &Call,
                name: &str,
                action: &'static str,
            ) -> Subject<Option<Arc<Self>>> {
                $look(tables, &call.account, name, action)
            }
            fn there(found: Option<Arc<Self>>, name: &str) -> Result<Arc<Self>, Rejection> {
                $there(found, name)
            }
            fn tags(&self) -> &Tags {
                &self.tags
            }
            fn tags_mut(&mut self) -> &mut Tags {
                &mut self.tags
            }
        }
    };
}

tagged!(iam::User, look::<iam::User>, there);
tagged!(iam::Role, look::<iam::Role>, there);
tagged!(iam::InstanceProfile, instance_profiles::look_at, instance_profiles::existing);
tagged!(iam::OidcProvider, oidc_providers::look_at, oidc_providers::existing);
tagged!(iam::ServerCertificate, server_certificates::look_at, server_certificates::existing);

impl Tagged for ManagedPolicy {
    fn look(
        tables: &Tables,
        _call: &Call,
        arn: &str,
        action: &'static str,
    ) -> Subject<Option<Arc<Self>>> {
        managed_policy::look(tables, arn, action).map(|found| match found {
            Some(Managed::Customer(policy)) => Some(policy),
            _ => None,
        })
    }
    fn there(found: Option<Arc<Self>>, arn: &str) -> Result<Arc<Self>, Rejection> {
        found.ok_or_else(|| managed_policy::not_found(arn))
    }
    fn tags(&self) -> &Tags {
        &self.tags
    }
    fn tags_mut(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

macro_rules! operations {
    ($(
        $row:ty, $member:ident:
        $tag:ident($tag_in:ident) $tag_action:literal,
        $untag:ident($untag_in:ident) $untag_action:literal,
        $list:ident($list_in:ident => $list_out:ident) $list_action:literal;
    )+) => {$(
        pub async fn $tag(service: &IamService, call: &Call, input: $tag_in) -> Result<(), Rejection> {
            let name = input.$member.unwrap_or_default();
            tag::<$row>(service, call, $tag_action, &name, input.tags).await
        }

        pub async fn $untag(service: &IamService, call: &Call, input: $untag_in) -> Result<(), Rejection> {
            let name = input.$member.unwrap_or_default();
            untag::<$row>(service, call, $untag_action, &name, input.tag_keys).await
        }

        pub async fn $list(service: &IamService, call: &Call, input: $list_in) -> Result<$list_out, Rejection> {
            let name = input.$member.unwrap_or_default();
            let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
            let page = list::<$row>(service, call, $list_action, &name, &page)?;
            Ok($list_out { is_truncated: page.is_truncated(), tags: Some(page.items), marker: page.marker })
        }
    )+};
}

operations! {
    iam::User, user_name:
        tag_user(TagUserRequest) "iam:TagUser",
        untag_user(UntagUserRequest) "iam:UntagUser",
        list_user_tags(ListUserTagsRequest => ListUserTagsResponse) "iam:ListUserTags";
    iam::Role, role_name:
        tag_role(TagRoleRequest) "iam:TagRole",
        untag_role(UntagRoleRequest) "iam:UntagRole",
        list_role_tags(ListRoleTagsRequest => ListRoleTagsResponse) "iam:ListRoleTags";
    ManagedPolicy, policy_arn:
        tag_policy(TagPolicyRequest) "iam:TagPolicy",
        untag_policy(UntagPolicyRequest) "iam:UntagPolicy",
        list_policy_tags(ListPolicyTagsRequest => ListPolicyTagsResponse) "iam:ListPolicyTags";
    iam::InstanceProfile, instance_profile_name:
        tag_instance_profile(TagInstanceProfileRequest) "iam:TagInstanceProfile",
        untag_instance_profile(UntagInstanceProfileRequest) "iam:UntagInstanceProfile",
        list_instance_profile_tags(ListInstanceProfileTagsRequest => ListInstanceProfileTagsResponse)
            "iam:ListInstanceProfileTags";
    iam::OidcProvider, open_id_connect_provider_arn:
        tag_open_id_connect_provider(TagOpenIDConnectProviderRequest) "iam:TagOpenIDConnectProvider",
        untag_open_id_connect_provider(UntagOpenIDConnectProviderRequest) "iam:UntagOpenIDConnectProvider",
        list_open_id_connect_provider_tags(ListOpenIDConnectProviderTagsRequest => ListOpenIDConnectProviderTagsResponse)
            "iam:ListOpenIDConnectProviderTags";
    iam::ServerCertificate, server_certificate_name:
        tag_server_certificate(TagServerCertificateRequest) "iam:TagServerCertificate",
        untag_server_certificate(UntagServerCertificateRequest) "iam:UntagServerCertificate",
        list_server_certificate_tags(ListServerCertificateTagsRequest => ListServerCertificateTagsResponse)
            "iam:ListServerCertificateTags";
}

async fn tag<T: Tagged>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    given: Option<Vec<Tag>>,
) -> Result<(), Rejection> {
    let given = tags::parse(given)?;
    let ask = |tables: &Tables| T::look(tables, call, name, action).with_request_tags(&given);
    service
        .store
        .write(call, ask, |tx, found| {
            let mut row = T::clone(&*T::there(found, name)?);
            tags::add(row.tags_mut(), given.clone())?;
            tx.put(row);
            Ok(())
        })
        .await
}

async fn untag<T: Tagged>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    keys: Option<Vec<String>>,
) -> Result<(), Rejection> {
    let keys = keys.unwrap_or_default();
    let ask =
        |tables: &Tables| T::look(tables, call, name, action).with("aws:TagKeys", keys.clone());
    service
        .store
        .write_always(call, ask, |tx, found| {
            let mut row = T::clone(&*T::there(found, name)?);
            tags::remove(row.tags_mut(), &keys);
            tx.put(row);
            Ok(())
        })
        .await
}

fn list<T: Tagged>(
    service: &IamService,
    call: &Call,
    action: &'static str,
    name: &str,
    page: &PageRequest,
) -> Result<Page<Tag>, Rejection> {
    let (_, found) = service.store.read(call, |tables| T::look(tables, call, name, action))?;
    let row = T::there(found, name)?;
    let tags = tags::view(row.tags()).into_iter();
    Ok(page.take(tags.map(|tag| (tag.key.clone().unwrap_or_default(), tag))))
}
