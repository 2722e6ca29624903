//! Every limit of the log store, by name. AWS's own numbers come from the API reference of
//! CloudWatch Logs (`PutLogEvents`, `GetLogEvents`, `FilterLogEvents`); the others bound memory.

/// What AWS counts for each event on top of its UTF-8 message.
pub const EVENT_OVERHEAD_BYTES: usize = 26;
/// A `PutLogEvents` batch: all messages and 26 bytes for each event (AWS).
pub const PUT_BATCH_BYTES_MAX: usize = 1_048_576;
/// One event, overhead included (AWS).
pub const EVENT_BYTES_MAX: usize = 1_048_576;
/// Events in a `PutLogEvents` batch (AWS).
pub const PUT_BATCH_EVENTS_MAX: usize = 10_000;
/// The first and the last event of a batch are at most this far apart (AWS).
pub const PUT_BATCH_SPAN_MS_MAX: i64 = DAY_MS;
/// An event that is older is rejected as too old (AWS).
pub const EVENT_AGE_MS_MAX: i64 = 14 * DAY_MS;
/// An event that lies further in the future is rejected as too new (AWS).
pub const EVENT_AHEAD_MS_MAX: i64 = 2 * 60 * 60 * 1000;
/// Events in one answer of `GetLogEvents` and `FilterLogEvents` (AWS).
pub const PAGE_EVENTS_MAX: usize = 10_000;
/// Bytes in one answer, counted as in a batch (AWS). A single larger event still makes a page.
pub const PAGE_BYTES_MAX: usize = 1_048_576;
/// Groups or streams in one answer of a Describe call (AWS).
pub const DESCRIBE_PAGE_MAX: usize = 50;
/// The days that a group may keep its events (AWS: `PutRetentionPolicy`).
pub const RETENTION_DAYS: [i64; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];
/// Tags on a log group (AWS).
pub const TAGS_PER_GROUP_MAX: usize = 50;

/// A shipment from a node: all messages and 26 bytes for each event.
pub const NODE_BATCH_BYTES_MAX: usize = 4 * 1_048_576;
/// Events in a shipment from a node.
pub const NODE_BATCH_EVENTS_MAX: usize = 20_000;
/// Bytes of a source's name.
pub const SOURCE_ID_BYTES_MAX: usize = 512;
/// A log file of one container cannot be larger than this many bytes.
pub const CURSOR_MAX: u64 = i64::MAX as u64;

/// Log groups of one account and region. Source: "CloudWatch Logs quotas" (1,000,000 an account and region).
pub const GROUPS_MAX: u64 = 1_000_000;

/// Appenders wait when this much is already waiting for the disk.
pub const PENDING_BYTES_MAX: usize = 8 * 1_048_576;
/// No frame of a journal is larger: one full pending buffer and one batch more.
pub const FRAME_BYTES_MAX: usize = PENDING_BYTES_MAX + 2 * NODE_BATCH_BYTES_MAX;
/// Batches in one journal; bounds the memory of its index.
pub const JOURNAL_BATCHES_MAX: usize = 50_000;
/// Journals that wait to be sealed; appenders wait when there are more.
pub const JOURNALS_WAITING_MAX: usize = 2;
/// Journals of which it is written down how much was acknowledged: those that wait, one that upkeep put aside, the one that
/// grows, and some to spare.
pub const JOURNALS_COUNTED: usize = 8;
/// A block is closed when its messages reach this size.
pub const BLOCK_BYTES_TARGET: usize = 512 * 1024;
/// Events in a block.
pub const BLOCK_EVENTS_MAX: usize = 16 * 1024;
/// No block unpacks to more than this; anything larger on disk is damage.
pub const BLOCK_BYTES_MAX: usize = BLOCK_BYTES_TARGET + EVENT_BYTES_MAX + BLOCK_EVENTS_MAX * 40;
/// `FilterLogEvents` answers what it has and a token after reading this many bytes of messages.
pub const SCAN_BYTES_PER_PAGE: usize = 256 * 1_048_576;
/// Regular expressions in one JSON or space-delimited filter pattern (AWS).
pub const PATTERN_REGEXES_MAX: usize = 2;
/// Characters of a filter pattern (AWS).
pub const PATTERN_CHARS_MAX: usize = 1024;
/// Parentheses within parentheses in a filter pattern.
pub const PATTERN_DEPTH_MAX: usize = 32;

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;
