//! Whether a node is who it says, and whether it may still say anything.
//!
//! | the row of the id | a join with key K, proven by the join token | a call with a certificate for key K |
//! |---|---|---|
//! | none | admitted: the row is made with K | unknown: join |
//! | has K | admitted: its certificate ran out, or the answer was lost | believed |
//! | has other keys | refused: nobody takes a node over | unknown: join |
//! | revoked, had K | refused | refused |
//! | revoked, had other keys | admitted: the machine starts anew | refused |
//!
//! A node has two keys from when a certificate is issued for the next one until it first uses that; then the one before
//! it is worth nothing.
//!
//! **Invariant:** the join token admits a machine, and never makes it one that is there already.

use outport_model::node_identity::{KEYS_MAX, KeyFingerprint, NodeIdentity};
use outport_model::{NodeId, TimestampMs};

/// What a connection has proven, by a certificate of this installation and the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenNode {
    pub node: NodeId,
    pub key: KeyFingerprint,
    /// When its certificate is good, both included.
    pub not_before_ms: TimestampMs,
    pub not_after_ms: TimestampMs,
}

/// Why a node is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disbelief {
    /// The certificate is good at another time.
    OutOfTime,
    /// The id or the key is not known.
    Unknown,
    /// The node was deregistered.
    Revoked,
    /// The id is another machine's.
    OtherKey,
}

/// May this node speak for itself now?
pub fn believe(
    identity: Option<&NodeIdentity>,
    proven: &ProvenNode,
    now_ms: TimestampMs,
) -> Result<(), Disbelief> {
    let identity = identity.ok_or(Disbelief::Unknown)?;
    if identity.revoked_at_ms.is_some() {
        return Err(Disbelief::Revoked);
    }
    if !identity.keys.contains(&proven.key) {
        return Err(Disbelief::Unknown);
    }
    if !(proven.not_before_ms..=proven.not_after_ms).contains(&now_ms) {
        return Err(Disbelief::OutOfTime);
    }
    Ok(())
}

/// The row of a machine that joins with a key of its own, after it has proven the join token.
pub fn join(
    identity: Option<&NodeIdentity>,
    node: &NodeId,
    key: &KeyFingerprint,
    now_ms: TimestampMs,
) -> Result<NodeIdentity, Disbelief> {
    let new = || NodeIdentity {
        node: node.clone(),
        keys: vec![key.clone()],
        joined_at_ms: now_ms,
        revoked_at_ms: None,
    };
    match identity {
        None => Ok(new()),
        Some(known) => match (known.revoked_at_ms, known.keys.contains(key)) {
            (Some(_), true) => Err(Disbelief::Revoked),
            (Some(_), false) => Ok(new()),
            (None, true) => Ok(known.clone()),
            (None, false) => Err(Disbelief::OtherKey),
        },
    }
}

/// The row once a certificate for `next` is issued to who proved `proven`. The key that asked stays good: the
/// answer may be lost.
pub fn renew(
    identity: &NodeIdentity,
    proven: &KeyFingerprint,
    next: &KeyFingerprint,
) -> NodeIdentity {
    let mut keys = vec![next.clone()];
    if proven != next {
        keys.push(proven.clone());
    }
    debug_assert!(keys.len() <= KEYS_MAX);
    NodeIdentity { keys, ..identity.clone() }
}

/// The row once a call was proven with the newest key: the node has it on its disk, so the one before it is good no
/// more, and whoever took that from an old disk or backup speaks for nobody. `None`: nothing changes.
pub fn settle(identity: &NodeIdentity, proven: &KeyFingerprint) -> Option<NodeIdentity> {
    let is_newest = identity.keys.first() == Some(proven);
    (is_newest && identity.keys.len() > 1)
        .then(|| NodeIdentity { keys: vec![proven.clone()], ..identity.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: TimestampMs = 1_000_000;

    fn key(text: &str) -> KeyFingerprint {
        KeyFingerprint::new(text)
    }

    fn identity(keys: &[&str], revoked: bool) -> NodeIdentity {
        NodeIdentity {
            node: NodeId::new("n"),
            keys: keys.iter().map(|text| key(text)).collect(),
            joined_at_ms: 1,
            revoked_at_ms: revoked.then_some(2),
        }
    }

    #[track_caller]
    fn check_call(identity: Option<NodeIdentity>, expected: Result<(), Disbelief>) {
        let proven = ProvenNode {
            node: NodeId::new("n"),
            key: key("k"),
            not_before_ms: NOW_MS - 10,
            not_after_ms: NOW_MS + 10,
        };
        assert_eq!(believe(identity.as_ref(), &proven, NOW_MS), expected);
        if expected.is_ok() {
            for now_ms in [NOW_MS - 11, NOW_MS + 11] {
                let late = believe(identity.as_ref(), &proven, now_ms);
                assert_eq!(late, Err(Disbelief::OutOfTime), "{now_ms}");
            }
        }
    }

    #[track_caller]
    fn check_join(identity: Option<NodeIdentity>, expected: Result<&[&str], Disbelief>) {
        let joined = join(identity.as_ref(), &NodeId::new("n"), &key("k"), NOW_MS);
        let expected = expected.map(|keys| keys.iter().map(|text| key(text)).collect());
        assert_eq!(joined.clone().map(|row| row.keys), expected);
        assert!(joined.is_ok_and(|row| row.revoked_at_ms.is_none()) || expected.is_err());
    }

    #[test]
    fn the_table_of_the_module() {
        check_join(None, Ok(&["k"]));
        check_join(Some(identity(&["k"], false)), Ok(&["k"]));
        check_join(Some(identity(&["new", "k"], false)), Ok(&["new", "k"]));
        check_join(Some(identity(&["other"], false)), Err(Disbelief::OtherKey));
        check_join(Some(identity(&["k"], true)), Err(Disbelief::Revoked));
        check_join(Some(identity(&["other"], true)), Ok(&["k"]));
        check_call(None, Err(Disbelief::Unknown));
        check_call(Some(identity(&["k"], false)), Ok(()));
        check_call(Some(identity(&["other"], false)), Err(Disbelief::Unknown));
        check_call(Some(identity(&["k"], true)), Err(Disbelief::Revoked));
        check_call(Some(identity(&["other"], true)), Err(Disbelief::Revoked));
    }

    #[test]
    fn the_key_before_is_good_until_the_next_is_used() {
        let row = renew(&identity(&["k"], false), &key("k"), &key("l"));
        assert_eq!(settle(&row, &key("k")), None, "the answer may have been lost");
        let settled = settle(&row, &key("l")).unwrap();
        assert_eq!(settled.keys, [key("l")]);
        check_call(Some(settled.clone()), Err(Disbelief::Unknown));
        check_join(Some(settled.clone()), Err(Disbelief::OtherKey));
        assert_eq!(settle(&settled, &key("l")), None, "it is written once");
    }

    /// A year on either side: the node joins again, with its key, and is believed at the other time.
    #[test]
    fn a_clock_step_costs_a_join() {
        const YEAR_MS: TimestampMs = 365 * 24 * 3600 * 1000;
        let row = identity(&["k"], false);
        for step_ms in [YEAR_MS, -YEAR_MS] {
            let (before_ms, after_ms) = (2 * YEAR_MS, 2 * YEAR_MS + step_ms);
            let proven = |at_ms: TimestampMs| ProvenNode {
                node: NodeId::new("n"),
                key: key("k"),
                not_before_ms: at_ms - 10,
                not_after_ms: at_ms + 10,
            };
            assert_eq!(believe(Some(&row), &proven(before_ms), before_ms), Ok(()));
            let stepped = believe(Some(&row), &proven(before_ms), after_ms);
            assert_eq!(stepped, Err(Disbelief::OutOfTime));
            let joined = join(Some(&row), &NodeId::new("n"), &key("k"), after_ms).unwrap();
            assert_eq!(believe(Some(&joined), &proven(after_ms), after_ms), Ok(()));
            // And once the clock is set right.
            let back = believe(Some(&joined), &proven(after_ms), before_ms);
            assert_eq!(back, Err(Disbelief::OutOfTime));
            assert!(join(Some(&joined), &NodeId::new("n"), &key("k"), before_ms).is_ok());
        }
    }

    #[test]
    fn a_lost_answer_costs_nothing_and_old_keys_go() {
        let row = identity(&["k"], false);
        let once = renew(&row, &key("k"), &key("l"));
        assert_eq!(once.keys, [key("l"), key("k")]);
        // The answer was lost: `k` asks again, for yet another key.
        assert_eq!(renew(&once, &key("k"), &key("m")).keys, [key("m"), key("k")]);
        assert_eq!(renew(&once, &key("l"), &key("n")).keys, [key("n"), key("l")]);
        assert_eq!(renew(&row, &key("k"), &key("k")).keys, [key("k")]);
    }
}
