//! The nouns of IAM, which belong to an account and to no region.

mod access_key;
mod account;
mod attachments;
mod group;
mod instance_profile;
mod key;
mod oidc_provider;
mod policy;
mod role;
mod server_certificate;
mod user;

pub use attachments::Attachments;

pub mod keys {
    pub use super::access_key::AccessKeyKey;
    pub use super::group::GroupKey;
    pub use super::instance_profile::InstanceProfileKey;
    pub use super::oidc_provider::OidcProviderKey;
    pub use super::policy::ManagedPolicyKey;
    pub use super::role::RoleKey;
    pub use super::server_certificate::ServerCertificateKey;
    pub use super::user::UserKey;
}
