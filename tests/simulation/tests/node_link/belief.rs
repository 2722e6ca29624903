//! Who is believed: by which key, until when, and what becomes of the others.

use super::*;

#[tokio::test]
async fn only_the_node_itself_is_heard() {
    let house = house();
    let id = house.node.id.to_string();
    let ask = format!(r#"{{"node":"{id}","known":{{"tasks":0}}}}"#);
    let link = &house.link;
    assert_eq!(call(link, "assignment", Some(&id), ask.clone()).await.0, 200);
    assert_eq!(call(link, "assignment", Some(&id), "{".into()).await.0, 400);
    let other = "f".repeat(32);
    let of_stranger = call(link, "assignment", Some(&other), ask.clone()).await;
    assert_eq!(code(&of_stranger), RefusalCode::UnknownNode);
    house.know(&NodeId::new(&other), "key");
    let of_other = call(link, "assignment", Some(&other), ask.clone()).await;
    assert_eq!(code(&of_other), RefusalCode::OtherNode);
    let of_nobody = call(link, "assignment", None, ask.clone()).await;
    assert_eq!(code(&of_nobody), RefusalCode::NoCertificate);
    let own = format!(r#"{{"node":"{other}","known":{{"tasks":0}}}}"#);
    assert_eq!(call(link, "assignment", Some(&other), own).await.0, 409, "not registered yet");
}

/// Every call but `join`, whoever makes it and whatever it says.
#[tokio::test]
async fn no_call_is_answered_to_who_is_not_believed() {
    let house = house();
    let id = house.node.id.to_string();
    for path in ["certificate", "register", "assignment", "report", "logs", "registry-credential"] {
        let big = "x".repeat(20 << 20);
        let answer = call(&house.link, path, None, big).await;
        assert_eq!(code(&answer), RefusalCode::NoCertificate, "{path}: nothing of it is read");
        let other_key = Some(proven(&id, "another key"));
        let (_stop, stopping) = watch::channel(false);
        let answer =
            call_until(&house.link, path, other_key, String::new(), stopping.clone()).await;
        assert_eq!(code(&answer), RefusalCode::UnknownNode, "{path}");
        for shift_ms in [-2 * LIFE_MS, 2 * LIFE_MS] {
            let mut caller = proven(&id, "key");
            caller.not_before_ms += shift_ms;
            caller.not_after_ms += shift_ms;
            let answer =
                call_until(&house.link, path, Some(caller), String::new(), stopping.clone()).await;
            assert_eq!(code(&answer), RefusalCode::CertificateOutOfTime, "{path}");
            assert!(answer.1.contains("set the clocks"), "{answer:?}");
        }
    }
    house.revoke(&house.node.id);
    for path in ["certificate", "register", "assignment", "report", "logs", "registry-credential"] {
        let answer = call(&house.link, path, Some(&id), String::new()).await;
        assert_eq!(code(&answer), RefusalCode::Revoked, "{path}");
    }
}

fn join(node: &str, key: &str, proof: &str) -> String {
    format!(r#"{{"node":"{node}","certificate_request":"{key}","proof":"{proof}"}}"#)
}

#[tokio::test]
async fn the_join_token_admits_and_takes_nobody_over() {
    let house = house();
    let id = house.node.id.to_string();
    let new = "a".repeat(32);
    let link = &house.link;
    let wrong = call(link, "join", None, join(&new, "k", "guess")).await;
    assert_eq!(code(&wrong), RefusalCode::WrongToken);
    assert!(house.store.snapshot().node_identities.get(&NodeId::new(&new)).is_none());
    let joined = call(link, "join", None, join(&new, "k", "token")).await;
    assert_eq!(joined.0, 200, "{joined:?}");
    assert!(joined.1.contains(&format!("{new} k")));
    assert_eq!(call(link, "join", None, join(&new, "k", "token")).await.0, 200, "a lost answer");

    // Who has the token and repeats or makes up a registration of a node that is there.
    let taken = call(link, "join", None, join(&id, "k", "token")).await;
    assert_eq!(code(&taken), RefusalCode::OtherKey);
    assert!(taken.1.contains("deregister-container-instance"), "it says what to do: {taken:?}");
    let ask = format!(r#"{{"node":"{id}","known":{{"tasks":0}}}}"#);
    assert_eq!(call(link, "assignment", Some(&id), ask).await.0, 200, "the node goes on");

    house.revoke(&house.node.id);
    let again = call(link, "join", None, join(&id, "key", "token")).await;
    assert_eq!(code(&again), RefusalCode::Revoked);
    assert_eq!(call(link, "join", None, join(&id, "fresh", "token")).await.0, 200);
    for id in ["", "../x", &"A".repeat(32), &"a".repeat(33)] {
        assert_eq!(call(link, "join", None, join(id, "k", "token")).await.0, 400, "{id}");
    }
    let big = join(&new, &"k".repeat(9_000), "token");
    assert_eq!(call(link, "join", None, big).await.0, 413);
}

#[tokio::test]
async fn no_more_nodes_join_than_there_may_be() {
    let house = house();
    let link = &house.link;
    for number in 1..NODES_MAX {
        let joined = call(link, "join", None, join(&format!("{number:031x}f"), "k", "token")).await;
        assert_eq!(joined.0, 200, "{joined:?}");
    }
    let (one_more, known) = ("e".repeat(32), format!("{:031x}f", 1));
    let refused = call(link, "join", None, join(&one_more, "k", "token")).await;
    assert!(refused.1.contains("there are 8 nodes already"), "{refused:?}");
    assert!(house.store.snapshot().node_identities.get(&NodeId::new(&one_more)).is_none());
    assert_eq!(
        call(link, "join", None, join(&known, "k", "token")).await.0,
        200,
        "it is one of them"
    );
}

#[tokio::test]
async fn a_renewed_key_takes_the_place_of_the_one_before_the_last() {
    let house = house();
    let id = house.node.id.to_string();
    let renew = async |from: &str, to: &str| {
        let (_stop, stopping) = watch::channel(false);
        let body = format!(r#"{{"node":"{id}","certificate_request":"{to}"}}"#);
        call_until(&house.link, "certificate", Some(proven(&id, from)), body, stopping).await.0
    };
    assert_eq!(renew("key", "second").await, 200);
    assert_eq!(renew("key", "second again").await, 200, "the answer was lost");
    assert_eq!(renew("second", "third").await, 403, "that one was never used");
    assert_eq!(renew("second again", "third").await, 200);
    assert_eq!(renew("key", "fourth").await, 403);
    let ask = format!(r#"{{"node":"{id}","known":{{"tasks":0}}}}"#);
    let (_stop, stopping) = watch::channel(false);
    let third = Some(proven(&id, "third"));
    assert_eq!(call_until(&house.link, "assignment", third, ask.clone(), stopping).await.0, 200);
    // Who took the key from an old disk: it is good until the next is used, and then no more.
    assert_eq!(renew("second again", "of the thief").await, 403);
    let keys = house.store.snapshot().node_identities.get(&house.node.id).unwrap().keys.clone();
    assert_eq!(keys, [KeyFingerprint::new("third")]);
}

/// A body that was begun while the node was believed, and ends after it was deregistered.
#[test]
fn a_node_that_was_deregistered_meanwhile_comes_back_by_nothing_that_it_says() {
    let house = house();
    house.revoke(&house.node.id);
    house.write(|tx| {
        tx.update(&house.node.id, |node: &mut Node| {
            (node.accepts_tasks, node.connected) = (false, false);
        });
    });
    let is_revoked = |answer: Result<(), LinkError>| {
        matches!(answer, Err(LinkError::Disbelieved { code: RefusalCode::Revoked, .. }))
    };
    let registered = house.link.register(house.node.registration()).now_or_never().unwrap();
    assert!(is_revoked(registered.map(drop)));
    let mut node = house.node.clone();
    assert!(is_revoked(house.link.report(&node.report()).now_or_never().unwrap().map(drop)));
    let row = house.store.snapshot().nodes.get(&house.node.id).cloned().unwrap();
    assert!(!row.accepts_tasks && !row.connected);
}
