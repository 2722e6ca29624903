//! Source: EventBridge user guide, "Amazon EventBridge quotas", which nobody can raise here.

/// Rules of a bus.
pub const RULES_PER_BUS: usize = 300;
pub const TARGETS_PER_RULE: usize = 5;
/// Buses of an account and region, with the default one.
pub const BUSES: usize = 100;
/// Bytes of all entries of a PutEvents together.
pub const PUT_EVENTS_BYTES: usize = 256 * 1024;
/// What a page has without a `Limit`, and at most.
pub const ITEMS_PER_PAGE: usize = 100;
