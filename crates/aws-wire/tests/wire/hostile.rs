//! Random and damaged requests: never a panic, never more memory than the bytes warrant.

use outport_aws_wire::{Protocol, Request, Shape};
use proptest::prelude::*;

use crate::decoding::read;
use crate::sample::{Demand, SERVICE, Sample, full};

const PROTOCOLS: [Protocol; 5] =
    [Protocol::Json10, Protocol::Json11, Protocol::Query, Protocol::Ec2, Protocol::Cbor];

fn survives(body: &[u8]) {
    for protocol in PROTOCOLS {
        if let Ok(sample) = read::<Sample>(protocol, body) {
            round_trips(&sample);
        }
        let _ = read::<Demand>(protocol, body);
    }
}

/// Whatever was read can be written in every protocol.
fn round_trips(shape: &dyn Shape) {
    for protocol in PROTOCOLS {
        let request =
            Request { service: &SERVICE, protocol, operation: "Call", body: b"", request_id: "r" };
        let body = request.success(shape).body;
        if protocol.is_form() {
            roxmltree::Document::parse(std::str::from_utf8(&body).unwrap()).unwrap();
        }
    }
}

fn bodies() -> Vec<Vec<u8>> {
    let written = PROTOCOLS.map(|protocol| {
        let request =
            Request { service: &SERVICE, protocol, operation: "Call", body: b"", request_id: "r" };
        request.success(&full()).body
    });
    let forms = [
        &b"names.member.1=aa&names.member.2=bb&tags.entry.1.key=k&tags.entry.1.value=v&child.flag=true&at=2026-01-02"[..],
        b"Names.1=aa&Children.1.Count=2&Children.2.Child.Bytes=AP8H&Ratio=1e5",
    ];
    written.into_iter().chain(forms.map(<[u8]>::to_vec)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&body);
    }

    #[test]
    fn random_text_is_survived(body in "[\\[\\]{}\",:a-c0-9.=&%+\\\\ue-]{0,200}") {
        survives(body.as_bytes());
    }

    #[test]
    fn damaged_requests_are_survived(
        which in 0usize..7,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let mut body = bodies().swap_remove(which);
        for (place, byte, kind) in damage {
            if body.is_empty() {
                break;
            }
            let place = place.index(body.len());
            match kind {
                0 => body[place] = byte,
                1 => body.insert(place, byte),
                _ => body.truncate(place),
            }
        }
        survives(&body);
    }
}

/// The count of values is limited, so this bounds the memory of a request: 200 000 values take less than 12 MiB
/// beside the body that they point into.
#[test]
fn a_value_is_small() {
    assert!(size_of::<outport_aws_wire::Node<'_>>() <= 32);
}
