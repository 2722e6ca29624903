//! Whose place goes to whom.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::PaceLimit;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn slots() -> Arc<Slots> {
    let pace = PaceLimit { grace: Duration::from_secs(20), bytes_per_second_min: 1000 };
    Slots::new(&Limits {
        strangers_max: 4,
        strangers_per_peer_max: 2,
        callers_max: 2,
        nodes_max: 2,
        upgraded_max: 1,
        handshakes_max: 2,
        http2_strangers_max: 1,
        first_byte_timeout: Duration::from_secs(10),
        head_timeout: Duration::from_secs(5),
        stranger_idle_timeout: Duration::from_secs(15),
        idle_timeout: Duration::from_secs(120),
        answer_pace: pace,
        ..Limits::default()
    })
}

fn remote(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

fn ended(slot: &Slot) -> bool {
    slot.0.end_signal.must_end.load(Ordering::Acquire)
}

/// Seconds since an arbitrary beginning.
struct Time(Instant);

impl Time {
    fn at(&self, seconds: u64) -> Instant {
        self.0 + Duration::from_secs(seconds)
    }
}

fn time() -> Time {
    Time(Instant::now())
}

#[test]
fn the_stranger_that_came_first_leaves_however_busy_it_keeps() {
    let (slots, time) = (slots(), time());
    let four: Vec<Slot> = (0..4).map(|at| slots.admit(LOOPBACK, None, time.at(at))).collect();
    four[0].ready(false, time.at(4));
    four[0].received(time.at(5));
    drop(four[0].request(false, time.at(6)));
    // The end of a handshake is an arrival.
    four[1].handshake(time.at(1));
    four[1].ready(false, time.at(7));
    let newcomers: Vec<Slot> = (8..10).map(|at| slots.admit(LOOPBACK, None, time.at(at))).collect();
    let gone: Vec<bool> = four.iter().map(ended).collect();
    assert_eq!(gone, [true, false, true, false]);
    assert!(!newcomers.iter().any(ended));
    assert_eq!(slots.count(Rank::Stranger), 4);
    drop((four, newcomers));
    assert_eq!(slots.count(Rank::Stranger), 0);
    let table = slots.table();
    assert_eq!((table.strangers.length, table.strangers.of.len()), (0, 0));
}

#[test]
fn the_peer_that_has_most_loses_first() {
    let time = time();
    let slots = Slots::new(&Limits {
        strangers_max: 6,
        handshakes_max: 4,
        http2_strangers_max: 3,
        ..Limits::default()
    });
    let admit = |peer, at| slots.admit(remote(peer), None, time.at(at));
    let modest: Vec<Slot> = vec![admit(2, 0), admit(3, 1)];
    let greedy: Vec<Slot> = (2..6).map(|at| admit(1, at)).collect();
    let newcomer = admit(4, 7);
    let gone = |slots: &[Slot]| slots.iter().map(ended).collect::<Vec<_>>();
    assert_eq!(gone(&greedy), [true, false, false, false]);
    modest.iter().chain(&greedy[1..]).for_each(|slot| slot.handshake(time.at(8)));
    assert_eq!(gone(&greedy), [true, true, false, false]);
    modest.iter().chain(&greedy[2..]).for_each(|slot| slot.ready(true, time.at(9)));
    assert_eq!(gone(&greedy), [true, true, true, false]);
    assert!(!modest.iter().chain([&newcomer]).any(ended));
}

#[tokio::test(start_paused = true)]
async fn who_comes_waits_for_who_has_to_go() {
    let time = time();
    let slots = Slots::new(&Limits { strangers_max: 1, leaving_max: 2, ..Limits::default() });
    let mut all: Vec<Slot> = (0..3).map(|at| slots.admit(LOOPBACK, None, time.at(at))).collect();
    let begun = tokio::time::Instant::now();
    // One that does not go keeps others waiting, and not out.
    slots.let_leave().await;
    assert_eq!(begun.elapsed(), LEAVE_PATIENCE);
    drop(all.remove(0));
    slots.let_leave().await;
    assert_eq!(begun.elapsed(), LEAVE_PATIENCE);
}

#[test]
fn one_peer_from_elsewhere_displaces_only_itself() {
    let (slots, time) = (slots(), time());
    let other = slots.admit(remote(2), None, time.at(0));
    let own: Vec<Slot> = (1..4).map(|at| slots.admit(remote(1), None, time.at(at))).collect();
    assert!(!ended(&other));
    assert_eq!(own.iter().map(ended).collect::<Vec<_>>(), [true, false, false]);
    // A /64 is one peer.
    let address = |text: &str| Peer::of(text.parse().unwrap());
    assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
    assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
    assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
}

#[test]
fn who_has_proven_itself_does_not_lose_its_place_to_strangers() {
    let (slots, time) = (slots(), time());
    let caller = slots.admit(LOOPBACK, None, time.at(0));
    caller.prove(Rank::Caller);
    let node = slots.admit(LOOPBACK, None, time.at(0));
    node.prove(Rank::Node);
    // A node may also call; it stays a node.
    node.prove(Rank::Caller);
    let _strangers: Vec<Slot> =
        (1..100).map(|at| slots.admit(LOOPBACK, None, time.at(at))).collect();
    assert!(!ended(&caller) && !ended(&node));
    assert_eq!((caller.rank(), node.rank()), (Some(Rank::Caller), Some(Rank::Node)));
    let counts = [Rank::Stranger, Rank::Caller, Rank::Node].map(|rank| slots.count(rank));
    assert_eq!(counts, [4, 1, 1]);
}

#[test]
fn a_caller_displaces_the_one_that_has_been_idle_longest() {
    let (slots, time) = (slots(), time());
    let caller = |at: u64| {
        let slot = slots.admit(LOOPBACK, None, time.at(at));
        slot.ready(false, time.at(at));
        slot.prove(Rank::Caller);
        slot
    };
    let (first, second) = (caller(0), caller(1));
    let busy = first.request(false, time.at(2));
    let third = caller(3);
    assert_eq!([&first, &second, &third].map(ended), [false, true, false]);
    // All are busy: the next stays a stranger, and nobody is cut.
    let also_busy = third.request(false, time.at(4));
    let fourth = caller(5);
    assert_eq!(fourth.rank(), Some(Rank::Stranger));
    assert_eq!([&first, &third, &fourth].map(ended), [false; 3]);
    drop((busy, also_busy));
    fourth.prove(Rank::Caller);
    assert_eq!(fourth.rank(), Some(Rank::Caller));
}

#[test]
fn upgrades_and_handshakes_have_limits_of_their_own() {
    let (slots, time) = (slots(), time());
    let (first, second) =
        (slots.admit(LOOPBACK, None, time.at(0)), slots.admit(LOOPBACK, None, time.at(0)));
    assert!(first.upgrade() && !second.upgrade());
    assert_eq!(slots.sweep(time.at(100_000)), 1);
    assert!(!ended(&first) && ended(&second));

    let shaking: Vec<Slot> = (0..3)
        .map(|at| {
            let slot = slots.admit(LOOPBACK, None, time.at(at));
            slot.handshake(time.at(at));
            slot
        })
        .collect();
    assert_eq!(shaking.iter().map(ended).collect::<Vec<_>>(), [true, false, false]);
    shaking[1].ready(true, time.at(5));
    shaking[2].ready(true, time.at(6));
    assert_eq!(shaking.iter().map(ended).collect::<Vec<_>>(), [true, true, false]);
}

/// After how many seconds a connection that has come so far is ended.
fn check_deadline(come_so_far: impl FnOnce(&Slot, &Time), expected: Option<u64>) {
    let (slots, time) = (slots(), time());
    let slot = slots.admit(LOOPBACK, None, time.at(0));
    come_so_far(&slot, &time);
    let found = (0..1000).find(|at| {
        slots.sweep(time.at(*at));
        ended(&slot)
    });
    assert_eq!(found, expected);
}

#[test]
fn every_step_has_its_time() {
    check_deadline(|_, _| {}, Some(10));
    check_deadline(|slot, time| slot.handshake(time.at(3)), Some(13));
    check_deadline(|slot, time| slot.ready(false, time.at(1)), Some(16));
    let head = |slot: &Slot, time: &Time| {
        slot.ready(false, time.at(1));
        // Drips.
        (2..200).for_each(|at| slot.received(time.at(at)));
    };
    check_deadline(head, Some(7));
    // HTTP/2 sends bytes that are no head.
    let pings = |slot: &Slot, time: &Time| {
        slot.ready(true, time.at(1));
        (2..200).for_each(|at| slot.received(time.at(at)));
    };
    check_deadline(pings, Some(16));
    let proven = |slot: &Slot, time: &Time| {
        slot.ready(false, time.at(1));
        slot.prove(Rank::Caller);
    };
    check_deadline(proven, Some(121));
    // The time of a request is its body's and its answer's.
    let busy = |slot: &Slot, time: &Time| std::mem::forget(slot.request(false, time.at(1)));
    check_deadline(busy, None);
    let unread = |slot: &Slot, time: &Time| {
        std::mem::forget(slot.request(false, time.at(1)));
        slot.write_waits(time.at(2));
    };
    check_deadline(unread, Some(22));
    let read_slowly = |slot: &Slot, time: &Time| {
        std::mem::forget(slot.request(false, time.at(1)));
        slot.write_waits(time.at(2));
        assert!(!slot.wrote(3000, time.at(12)));
        slot.write_waits(time.at(12));
    };
    check_deadline(read_slowly, Some(25));
}

#[test]
fn without_descriptors_a_stranger_goes_first_and_nobody_who_is_busy() {
    let (slots, time) = (slots(), time());
    let caller = slots.admit(LOOPBACK, None, time.at(0));
    caller.prove(Rank::Caller);
    let stranger = slots.admit(LOOPBACK, None, time.at(1));
    assert!(slots.end_one() && ended(&stranger) && !ended(&caller));
    let busy = caller.request(false, time.at(2));
    assert!(!slots.end_one());
    drop(busy);
    assert!(slots.end_one() && ended(&caller));
}

#[test]
fn a_node_that_is_believed_no_more_is_a_stranger_again() {
    let (slots, time) = (slots(), time());
    let node = slots.admit(remote(1), None, time.at(0));
    node.ready(true, time.at(0));
    node.prove(Rank::Node);
    assert_eq!((slots.count(Rank::Node), slots.count(Rank::Stranger)), (1, 0));
    let other = slots.admit(remote(2), None, time.at(1));
    other.ready(true, time.at(1));
    node.withdraw(Rank::Node, time.at(2));
    assert!(!ended(&node) && ended(&other), "it is answered, as who comes among strangers is");
    assert_eq!((slots.count(Rank::Node), slots.count(Rank::Stranger)), (0, 1));
    node.withdraw(Rank::Node, time.at(3));
    assert!(!ended(&node), "it is none any more");
    node.prove(Rank::Caller);
    node.withdraw(Rank::Node, time.at(4));
    assert_eq!(node.rank(), Some(Rank::Caller));
}

#[test]
fn requests_of_a_stranger_have_turns_until_one_proves_who_sent_it() {
    let time = time();
    let slots = Slots::new(&Limits {
        stranger_requests_at_once: 2,
        stranger_request_interval: Duration::from_secs(10),
        ..Limits::default()
    });
    let slot = slots.admit(LOOPBACK, None, time.at(0));
    let waits: Vec<u64> = [0, 0, 0, 1, 40].map(|at| slot.turn(time.at(at)).as_secs()).into();
    // Two at once; one more in each interval.
    assert_eq!(waits, [0, 0, 10, 19, 0]);
    slot.prove(Rank::Caller);
    assert_eq!(slot.turn(time.at(41)), Duration::ZERO);
}
