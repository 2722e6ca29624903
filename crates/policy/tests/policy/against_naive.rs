//! The same answer, with the same reason, as another evaluator gives to policies and requests by chance.
//!
//! `OUTPORT_TEST_DECISIONS` sets how many, `OUTPORT_TEST_SEED` where to begin; the nightly run has ten million.

use outport_policy::{
    Attached, Decision, Evaluation, Layer, Policy, PolicyKind, Reason, ResourcePolicy, Source,
    decide,
};
use serde_json::Value as Json;

use crate::naive::{NaiveRequest, PRINCIPALS, naive_decide};
use crate::random::{Dice, For, action, context, document, resource};
use crate::support::{Circumstances, account, compile, principal};

/// In the ordinary run: a second or two without optimisation.
const DECISIONS: u64 = 20_000;
/// Requests with the same policies.
const REQUESTS: u64 = 20;

#[expect(clippy::disallowed_methods, reason = "the number of decisions is handed to a test so")]
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Documents, and what they were compiled to.
struct Both {
    documents: Vec<Json>,
    policies: Vec<Policy>,
}

impl Both {
    fn new(dice: &mut Dice, count: usize, kind: For) -> Self {
        let documents: Vec<_> = (0..count).map(|_| document(dice, kind)).collect();
        let kind = match kind {
            For::Principal => PolicyKind::Inline,
            For::Resource => PolicyKind::Resource,
        };
        let policies = documents.iter().map(|document| compile(document, kind)).collect();
        Self { documents, policies }
    }

    fn attached(&self, count: usize) -> Vec<Attached<'_>> {
        let source = Source::Inline("p");
        self.policies[..count].iter().map(|policy| Attached { source, policy }).collect()
    }

    fn written(&self, count: usize) -> Vec<&Json> {
        self.documents[..count].iter().collect()
    }
}

#[test]
fn the_same_answers_as_the_naive_evaluator() {
    let decisions = setting("OUTPORT_TEST_DECISIONS", DECISIONS);
    let first = setting("OUTPORT_TEST_SEED", 1);
    let mut tally = std::collections::BTreeMap::<String, u64>::new();
    for seed in first..first + decisions.div_ceil(REQUESTS) {
        let mut dice = Dice::new(seed);
        let identity = Both::new(&mut dice, 2, For::Principal);
        let boundary = Both::new(&mut dice, 1, For::Principal);
        let session = Both::new(&mut dice, 2, For::Principal);
        let of_resource = Both::new(&mut dice, 1, For::Resource);
        for _ in 0..REQUESTS {
            let answer = compare(&mut dice, seed, &identity, &boundary, &session, &of_resource);
            *tally.entry(answer).or_default() += 1;
        }
    }
    // All kinds of answers have to be among them, or the comparison would show little.
    for answer in [
        "allowed",
        "deny identity",
        "deny boundary",
        "deny session",
        "deny resource",
        "deny trust",
        "nothing identity",
        "nothing boundary",
        "nothing session",
        "nothing resource",
        "nothing trust",
    ] {
        let count = tally.get(answer).copied().unwrap_or_default();
        assert!(count * 500 > decisions, "{answer} only {count} times: {tally:?}");
    }
}

fn compare(
    dice: &mut Dice,
    seed: u64,
    identity: &Both,
    boundary: &Both,
    session: &Both,
    of_resource: &Both,
) -> String {
    let (name, naive_principal) = &PRINCIPALS[dice.below(PRINCIPALS.len())];
    let owner = if dice.one_in(4) { "222222222222" } else { "111111111111" };
    let (action, resource, context) = (action(dice), resource(dice), context(dice));
    let counts = [dice.below(3), dice.below(4) / 3, dice.below(5).saturating_sub(2)];
    let kind = *dice.pick(&[&"", &"ordinary", &"key", &"trust"]);
    let granting = &of_resource.policies[0];
    let session_attached = session.attached(counts[2]);
    let evaluation = Evaluation {
        principal: principal(name),
        owner: account(owner),
        action,
        resource: &resource,
        context: &Circumstances::of(&context),
        identity: &identity.attached(counts[0]),
        boundary: boundary.attached(counts[1]).first().copied(),
        session: &session_attached,
        resource_policy: match kind {
            "ordinary" => ResourcePolicy::Ordinary(granting),
            "key" => ResourcePolicy::Key(granting),
            "trust" => ResourcePolicy::RoleTrust(granting),
            _ => ResourcePolicy::None,
        },
    };
    let request = NaiveRequest {
        who: naive_principal,
        owner,
        action,
        resource: &resource,
        context: &context,
        identity: identity.written(counts[0]),
        boundary: boundary.written(counts[1]).first().copied(),
        session: session.written(counts[2]),
        of_resource: (!kind.is_empty()).then(|| (kind, &of_resource.documents[0])),
    };
    let (answer, naive) = (told(decide(&evaluation)), naive_decide(&request));
    assert_eq!(
        answer, naive,
        "seed {seed}: {name} asks {owner} for {action} on {resource} with {context}\n\
         identity {:?}\nboundary {:?}\nsession {:?}\nresource {:?}",
        request.identity, request.boundary, request.session, request.of_resource
    );
    answer
}

fn told(decision: Decision<'_>) -> String {
    let name = |layer| match layer {
        Layer::IdentityBased => "identity",
        Layer::PermissionsBoundary => "boundary",
        Layer::Session => "session",
        Layer::ResourceBased => "resource",
        Layer::RoleTrust => "trust",
    };
    match decision {
        Decision::Allowed => "allowed".to_owned(),
        Decision::Denied(denial) => match denial.reason {
            Reason::NothingAllows(layer) => format!("nothing {}", name(layer)),
            Reason::ExplicitDeny(matched) => format!("deny {}", name(matched.layer)),
        },
    }
}
