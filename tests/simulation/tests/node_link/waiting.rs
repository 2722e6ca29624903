//! Nodes that wait: for news, in numbers, and for those that say nothing.

use super::*;

/// Whatever a node does: without a length, longer than its call, and of the longest in great number, waiting,
/// dripping or both.
#[tokio::test]
async fn no_node_keeps_another_waiting() {
    const LONGEST: usize = 16 << 20;
    let house = house();
    let (hostile, honest) = ("e".repeat(32), house.node.id.to_string());
    house.know(&NodeId::new(&hostile), "key");
    let mut second = Speaker::new(2);
    second.id = NodeId::new(&hostile);
    house.link.register(second.registration()).await.unwrap();
    let (_stop, stopping) = watch::channel(false);
    let router = router(house.link.clone(), stopping);
    let of = |node: &str| Some(proven(node, "key"));
    let unsaid = request("assignment", of(&hostile), None, Body::empty());
    assert_eq!(answer(router.clone(), unsaid).await.0, 411);
    let long = request("assignment", of(&hostile), Some(LONGEST), Body::empty());
    assert_eq!(answer(router.clone(), long).await.0, 413, "it is not asked what the route takes");

    let known = 1_u64 << 40;
    let poll = |node: &str| {
        let ask = format!(r#"{{"node":"{node}","known":{{"tasks":{known}}}}}"#);
        request("assignment", of(node), Some(ask.len()), ask.into())
    };
    let told: Assignment =
        serde_json::from_str(&answer(router.clone(), poll(&hostile)).await.1).unwrap();
    let told = told.tasks.unwrap();
    let mut held = Vec::new();
    for number in 0..64 {
        // It waits for news; padded, so that it costs all that its route takes.
        let ask = format!(r#"{{"node":"{hostile}","known":{{"tasks":{}}}}}"#, told.generation);
        let padding = " ".repeat((64 << 10) - ask.len());
        let ask = ask + &padding;
        held.push(request("assignment", of(&hostile), Some(ask.len()), ask.into()));
        let never = Body::from_stream(stream::pending::<Result<String, Infallible>>());
        let path = ["report", "logs"][number % 2];
        held.push(request(path, of(&hostile), Some(LONGEST), never));
    }
    let held: Vec<_> =
        held.into_iter().map(|one| tokio::spawn(answer(router.clone(), one))).collect();
    for _ in 0..held.len() {
        tokio::task::yield_now().await;
    }
    let report = serde_json::to_string(&house.node.clone().report()).unwrap();
    let heard = async {
        let length = Some(report.len());
        let report = request("report", of(&honest), length, report.clone().into());
        (answer(router.clone(), report).await.0, answer(router.clone(), poll(&honest)).await.0)
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), heard).await;
    assert_eq!(heard.expect("before any of the others ends"), (204, 200));
    assert!(held.iter().all(|one| !one.is_finished()));
}

#[tokio::test]
async fn a_waiting_node_is_told_of_a_new_task() {
    let house = house();
    let id = house.node.id.to_string();
    let known = house.ask(0).unwrap().generation;
    let ask = format!(r#"{{"node":"{id}","known":{{"tasks":{known}}}}}"#);
    let link = house.link.clone();
    let waiting = tokio::spawn(async move { call(&link, "assignment", Some(&id), ask).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    house.run_task(0);
    let (status, body) = waiting.await.unwrap();
    assert_eq!(status, 200);
    assert!(body.contains(house.only_task().id.as_str()));
}

#[tokio::test]
async fn a_waiting_node_is_told_that_it_was_deregistered() {
    let house = house();
    let id = house.node.id.to_string();
    let known = house.ask(0).unwrap().generation;
    let ask = format!(r#"{{"node":"{id}","known":{{"tasks":{known}}}}}"#);
    let link = house.link.clone();
    let waiting = tokio::spawn(async move { call(&link, "assignment", Some(&id), ask).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    house.revoke(&house.node.id);
    let answer = tokio::time::timeout(Duration::from_millis(POLL_MS_MAX / 2), waiting).await;
    assert_eq!(code(&answer.unwrap().unwrap()), RefusalCode::Revoked);
}

#[tokio::test]
async fn a_waiting_node_is_let_go_when_the_control_plane_stops() {
    let house = house();
    let id = house.node.id.to_string();
    let known = house.ask(0).unwrap().generation;
    let ask = format!(r#"{{"node":"{id}","known":{{"tasks":{known}}}}}"#);
    let (stop, stopping) = watch::channel(false);
    let link = house.link.clone();
    let caller = Some(proven(&id, "key"));
    let waiting =
        tokio::spawn(async move { call_until(&link, "assignment", caller, ask, stopping).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    stop.send_replace(true);
    // Well before it would have ended by itself.
    let answer = tokio::time::timeout(Duration::from_millis(POLL_MS_MAX / 2), waiting).await;
    assert_eq!(answer.unwrap().unwrap().0, 204);
}
