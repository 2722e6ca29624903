//! One file for each operation.

pub(crate) mod create_log_group;
pub(crate) mod create_log_stream;
pub(crate) mod delete_log_group;
pub(crate) mod delete_log_stream;
pub(crate) mod delete_retention_policy;
pub(crate) mod describe_log_groups;
pub(crate) mod describe_log_streams;
pub(crate) mod describe_metric_filters;
pub(crate) mod describe_subscription_filters;
pub(crate) mod filter_log_events;
pub(crate) mod get_log_events;
pub(crate) mod list_tags_for_resource;
pub(crate) mod list_tags_log_group;
pub(crate) mod put_log_events;
pub(crate) mod put_retention_policy;
pub(crate) mod tag_log_group;
pub(crate) mod tag_resource;
pub(crate) mod untag_log_group;
pub(crate) mod untag_resource;
