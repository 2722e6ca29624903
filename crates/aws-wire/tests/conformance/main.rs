//! botocore's protocol cases, reversed: the server's side of what its client tests say.
//!
//! Each case brings its own model, from which a table is made at run time; the readers and writers are the ones that
//! generated shapes use. A case that does not pass stands in `KNOWN` of its module with the reason; one that stands
//! there and passes fails the test, as does a case that is new.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cases;
mod dynamic;
mod input;
mod model;
mod output;
mod xml;

use std::collections::BTreeMap;

/// A case that cannot pass, and why.
type Known = (&'static str, &'static str);

/// Compares what failed with what is known to fail.
fn check(
    passed: usize,
    failed: &BTreeMap<String, String>,
    known: &[Known],
    expected_passes: usize,
) {
    let surprises: Vec<String> = failed
        .iter()
        .filter(|(id, _)| !known.iter().any(|(known, _)| known == id))
        .map(|(id, problem)| format!("{id}: {problem:.400}"))
        .collect();
    assert!(surprises.is_empty(), "{} cases fail:\n{}", surprises.len(), surprises.join("\n"));
    for (id, reason) in known {
        assert!(failed.contains_key(*id), "{id} passes now, remove it from the list ({reason})");
    }
    assert_eq!(passed, expected_passes, "the number of passing cases changed");
}
