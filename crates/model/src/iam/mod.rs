//! The rows of IAM: accounts, users, groups, roles, managed policies, access keys and what hangs on them. All of them
//! belong to an account and to no region.
//!
//! **Invariant:** policy documents here have been checked when they were given; they are kept as they came, for they are
//! shown so.

mod access_key;
mod account;
mod entity;
mod group;
mod instance_profile;
mod policy;
mod provider;
mod role;
mod server_certificate;
mod service_linked;
mod user;

pub use access_key::{AccessKey, AccessKeyStatus, LastUse};
pub use account::{Account, PasswordPolicy};
pub use entity::{NameKey, Policies};
pub use group::Group;
pub use instance_profile::InstanceProfile;
pub use policy::{ManagedPolicy, PolicyVersion};
pub use provider::OidcProvider;
pub use role::{Role, RoleUse};
pub use server_certificate::ServerCertificate;
pub use service_linked::{SERVICE_LINKED_PATH, SERVICE_LINKED_ROLES, ServiceLinkedRole};
pub use user::{LoginProfile, User};
