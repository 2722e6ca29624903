//! The operations, by the noun that they are about.

pub mod absent_kinds;
pub mod access_keys;
pub mod account_aliases;
pub mod accounts;
pub mod attached_policies;
pub mod boundaries;
pub mod credential_reports;
pub mod group_members;
pub mod groups;
pub mod inline_policies;
pub mod instance_profiles;
pub mod login_profiles;
pub mod managed_policies;
pub mod oidc_providers;
pub mod password_policies;
pub mod policy_versions;
pub mod roles;
pub mod server_certificates;
pub mod service_linked_roles;
pub mod simulations;
pub mod tagging;
pub mod users;
