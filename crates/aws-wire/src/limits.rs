//! Every limit on untrusted input, in one place.

/// Nesting of lists, maps and structures in a request. The deepest real AWS input nests about 10 levels.
pub const NESTING_MAX: usize = 64;

/// Values (scalars and containers) in one request. The largest legal request, PutLogEvents with 10 000 events,
/// holds 30 003.
pub const VALUES_MAX: usize = 200_000;

/// `name=value` pairs in one query or ec2 request.
pub const FORM_PARAMETERS_MAX: usize = 20_000;

/// Length in bytes of the name of one form parameter.
pub const FORM_NAME_BYTES_MAX: usize = 2_048;

/// Violations reported for one request; further ones are found but not worded.
pub const VIOLATIONS_MAX: usize = 20;

/// Characters of an unknown name (of an operation, a stored enum) that are repeated in an error message.
pub const ECHOED_NAME_CHARACTERS_MAX: usize = 256;

/// Characters of a value that broke a constraint which are repeated in an error message. AWS repeats it whole; so does
/// this for whatever somebody means, and a value of megabytes is not sent back.
pub const REFUSED_VALUE_CHARACTERS_MAX: usize = 16_384;
