//! Shapes as stored text.

use outport_aws_wire::{Document, Node, from_json, to_json};

use crate::sample::{Sample, full};

#[test]
fn stored_shapes_read_back_equal() {
    let mut sample = full();
    // What a request may not hold, a stored value may: the limits can have changed since.
    sample.names = Some(vec!["x".repeat(100); 10]);
    sample.ratio = Some(f64::NAN);
    sample.document =
        Some(Document(Node::List(vec![Node::Null, Node::Integer(7), Node::Number(0.5)])));
    let text = to_json(&sample);
    let read: Sample = from_json(&text).unwrap();
    assert_eq!(read, sample);
    assert_eq!(to_json(&read), text);
}

#[test]
fn an_older_or_newer_text_is_read() {
    let read: Sample = from_json(r#"{"count":3,"addedLater":{"x":[]}}"#).unwrap();
    assert_eq!(read, Sample { count: Some(3), ..Sample::default() });
}

#[test]
fn a_broken_text_is_refused() {
    for text in ["[]", "{", r#"{"count":"3"}"#, r#"{"colour":"GREEN"}"#] {
        assert!(from_json::<Sample>(text).is_err(), "{text}");
    }
}

#[test]
fn equality_looks_at_every_member() {
    assert_eq!(full(), full());
    assert_ne!(full(), Sample { flag: Some(true), ..full() });
    assert_ne!(Sample { names: Some(Vec::new()), ..Sample::default() }, Sample::default());
}
