//! How much of what there may be. Source: "IAM and AWS STS quotas": those that AWS raises on request at their maximum, those
//! that it never raises as they are.

pub const ACCESS_KEYS_PER_USER: usize = 2;
pub const GROUPS_PER_USER: usize = 10;
/// Managed policies that are attached to one user, group or role.
pub const ATTACHED_POLICIES: usize = 20;
/// Versions of one managed policy.
pub const POLICY_VERSIONS: usize = 5;
pub const POLICIES_PER_ACCOUNT: usize = 5_000;
pub const ROLES_PER_ACCOUNT: usize = 5_000;
pub const USERS_PER_ACCOUNT: usize = 5_000;
pub const GROUPS_PER_ACCOUNT: usize = 500;
pub const INSTANCE_PROFILES_PER_ACCOUNT: usize = 5_000;
/// Characters without white space of all inline policies of one user.
pub const INLINE_CHARS_USER: usize = 2_048;
/// The same of a group.
pub const INLINE_CHARS_GROUP: usize = 5_120;
/// The same of a role.
pub const INLINE_CHARS_ROLE: usize = 10_240;
/// Characters without white space of a managed policy.
pub const MANAGED_CHARS: usize = 6_144;
/// Characters without white space of a trust policy. AWS raises it to 4,096 for who asks; here as for who has not.
pub const TRUST_CHARS: usize = 2_048;
/// Versions of all managed policies of an account. IAM tells it and does not hold to it, nor does this.
pub const POLICY_VERSIONS_PER_ACCOUNT: usize = 10_000;
pub const SERVER_CERTIFICATES_PER_ACCOUNT: usize = 1_000;
pub const OIDC_PROVIDERS_PER_ACCOUNT: usize = 700;
/// Audiences of one OIDC provider.
pub const CLIENT_IDS: usize = 100;
/// Thumbprints of one OIDC provider.
pub const THUMBPRINTS: usize = 5;
