//! How much of what there may be. Source: "AWS Systems Manager endpoints and quotas", Parameter Store.

use outport_model::parameter::ParameterTier;

pub const VERSIONS: usize = 100;
pub const LABELS_PER_VERSION: usize = 10;
pub const LEVELS: usize = 15;
/// Of both tiers together, as for the advanced one alone.
pub const PARAMETERS_PER_REGION: usize = 100_000;

/// Characters of a value.
pub fn value_chars(tier: ParameterTier) -> usize {
    match tier {
        ParameterTier::Standard => 4_096,
        ParameterTier::Advanced => 8_192,
    }
}
