//! What a trail is told of calls.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outport_front_door::{AuditSink, EndedCall, FrontDoor};
use support::{NOW_MS, Sent, builder, builder_and_behind};

#[derive(Default)]
struct Told(Mutex<Vec<EndedCall>>);

impl AuditSink for Told {
    fn record(&self, ended: EndedCall) {
        self.0.lock().unwrap().push(ended);
    }
}

fn door() -> (FrontDoor, Arc<Told>) {
    let told = Arc::new(Told::default());
    let (builder, _) = builder();
    (builder.audit(told.clone()).build().unwrap(), told)
}

/// What is told of one request.
async fn told_of(sent: Sent) -> Option<EndedCall> {
    let (door, told) = door();
    sent.answer(&door).await;
    let mut told = std::mem::take(&mut *told.0.lock().unwrap());
    assert!(told.len() <= 1, "{told:?}");
    told.pop()
}

fn code(ended: &EndedCall) -> Option<&str> {
    ended.error.as_ref().map(|(code, _)| code.as_str())
}

#[tokio::test]
async fn a_call_is_told_with_what_was_asked() {
    let sent = Sent::ecs("ListClusters", r#"{"nextToken":"n"}"#).signed("ecs");
    let ended = told_of(sent).await.unwrap();
    assert_eq!((ended.service, ended.operation), ("ecs", "ListClusters"));
    assert_eq!((ended.is_read_only, ended.ended_at_ms), (true, NOW_MS));
    assert_eq!(ended.parameters.as_deref(), Some(r#"{"nextToken":"n"}"#));
    assert_eq!(ended.response, None);
    assert_eq!(ended.error, None);
    let [answer] = ended.answers.as_slice() else { panic!("{ended:?}") };
    assert_eq!((answer.action, answer.resource.as_str()), ("ecs:ListClusters", "*"));
    assert!(answer.is_allowed);
    assert_eq!(ended.call.access_key_id.as_str(), "test");
}

#[tokio::test]
async fn a_call_that_fails_is_told_with_why() {
    let ended = told_of(Sent::ecs("CreateCluster", "{}").signed("ecs")).await.unwrap();
    assert_eq!(code(&ended), Some("AccessDeniedException"));
    assert_eq!(ended.answers.len(), 1);
    assert!(!ended.answers[0].is_allowed);
    let ended = told_of(Sent::ecs("DescribeClusters", "{}").signed("ecs")).await.unwrap();
    let (_, message) = ended.error.unwrap();
    assert!(!message.contains("secret"), "{message}");
    // Not built, and not understood.
    let ended = told_of(Sent::ecs("CreateTaskSet", "{}").signed("ecs")).await.unwrap();
    assert_eq!((ended.operation, ended.parameters.is_some()), ("CreateTaskSet", false));
    let ended = told_of(Sent::ecs("ListClusters", "{").signed("ecs")).await.unwrap();
    assert_eq!(code(&ended), Some("SerializationException"));
}

/// The client goes away while the operation runs: what it did is told all the same.
#[tokio::test]
async fn a_change_is_told_with_its_answer_whether_somebody_waits_or_not() {
    let told = Arc::new(Told::default());
    let (builder, behind) = builder_and_behind();
    let door = builder.audit(told.clone()).build().unwrap();
    let sent = Sent::ecs("UpdateCluster", "{}").signed("ecs");
    let answering = tokio::spawn(async move { sent.answer(&door).await });
    until(|| behind.calls.load(Ordering::SeqCst) == 1).await;
    answering.abort();
    drop(answering.await);
    assert!(told.0.lock().unwrap().is_empty());
    behind.held.add_permits(1);
    until(|| !told.0.lock().unwrap().is_empty()).await;
    let ended = told.0.lock().unwrap().pop().unwrap();
    assert_eq!((ended.operation, ended.is_read_only), ("UpdateCluster", false));
    assert_eq!(ended.response.as_deref(), Some("{}"));
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
}

#[tokio::test]
async fn strangers_are_not_told_of() {
    for sent in [
        Sent::ecs("ListClusters", "{}"),
        Sent::ecs("ListClusters", "{}").signed("sts"),
        Sent::ecs("NoSuchOperation", "{}").signed("ecs"),
        Sent::new("GET", "/_outport/health"),
        // Taken without a signature, and nobody's.
        Sent::form("Action=AssumeRoleWithWebIdentity&Version=2011-06-15"),
    ] {
        assert!(told_of(sent.clone()).await.is_none(), "{sent:?}");
    }
}
