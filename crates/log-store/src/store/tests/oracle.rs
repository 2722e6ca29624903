//! Random work on a store and on a plain list, compared after every step.

use std::path::PathBuf;

use proptest::prelude::*;

use super::rig::{NOW, Rig, group, lines, scope, stream};
use crate::store::{GetEvents, StreamSelection};

#[derive(Clone, Debug)]
enum Step {
    Put { to_b: bool, events: Vec<(i64, u8)> },
    Ship { back: u64, length: u64 },
    Reopen { crash: bool },
    DeleteAndCreateB,
    Maintain,
}

fn step() -> impl Strategy<Value = Step> {
    let events = prop::collection::vec((0i64..50, 0u8..6), 1..6);
    prop_oneof![
        5 => (any::<bool>(), events).prop_map(|(to_b, events)| Step::Put { to_b, events }),
        4 => (0u64..4, 1u64..6).prop_map(|(back, length)| Step::Ship { back, length }),
        2 => any::<bool>().prop_map(|crash| Step::Reopen { crash }),
        1 => Just(Step::DeleteAndCreateB),
        1 => Just(Step::Maintain),
    ]
}

/// What the store should hold: time, order of arrival, stream, message.
#[derive(Default)]
struct Oracle {
    events: Vec<(i64, usize, &'static str, String)>,
    arrived: usize,
    crashes: usize,
    shipped: u64,
}

impl Oracle {
    fn add(&mut self, at: i64, name: &'static str, message: String) {
        self.arrived += 1;
        self.events.push((at, self.arrived, name, message));
    }

    fn messages(&self, wanted: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let mut events = self.events.clone();
        events.sort();
        let wanted = events.into_iter().filter(|(_, _, name, message)| wanted(name, message));
        wanted.map(|(_, _, _, message)| message).collect()
    }
}

const WORDS: [&str; 6] = ["alpha beta", "beta", "ERROR beta", "gamma", "ERROR", "größe alpha"];

fn apply(
    step: &Step,
    rig: &mut Rig,
    directory: &mut PathBuf,
    oracle: &mut Oracle,
    seal_bytes: u64,
) {
    match step {
        Step::Put { to_b, events } => {
            let name = if *to_b { "b" } else { "a" };
            let mut events: Vec<(i64, &str)> =
                events.iter().map(|(at, word)| (NOW + at, WORDS[usize::from(*word)])).collect();
            events.sort_by_key(|(at, _)| *at);
            rig.put(name, &events);
            for (at, message) in events {
                oracle.add(at, name, message.to_owned());
            }
        }
        Step::Ship { back, length } => {
            let from = oracle.shipped.saturating_sub(back * 10);
            let to = from + length * 10;
            let committed = rig.ship(from, to).unwrap();
            assert_eq!(committed, oracle.shipped.max(to));
            for (line, message) in lines(to).into_iter().enumerate() {
                if line as u64 * 10 >= oracle.shipped {
                    oracle.add(NOW + line as i64, "a", message);
                }
            }
            oracle.shipped = committed;
        }
        Step::Reopen { crash } => {
            // A crash is a copy of the files at this instant, opened instead.
            oracle.crashes += 1;
            let next = directory.with_extension(oracle.crashes.to_string());
            if *crash {
                super::crashes::copy_directory(directory, &next);
                *rig = Rig::open(&next, seal_bytes);
                *directory = next;
            } else {
                let aside = tempfile::tempdir().unwrap();
                *rig = Rig::open(aside.path(), seal_bytes);
                *rig = Rig::open(directory, seal_bytes);
            }
        }
        Step::DeleteAndCreateB => {
            rig.store.delete_stream(&scope(), &group("g"), &stream("b")).unwrap();
            rig.store.create_stream(&scope(), &group("g"), &stream("b")).unwrap();
            oracle.events.retain(|(_, _, name, _)| *name != "b");
        }
        Step::Maintain => drop(rig.store.maintain().unwrap()),
    }
}

fn compare(rig: &Rig, oracle: &Oracle) {
    for name in ["a", "b"] {
        assert_eq!(rig.messages(name), oracle.messages(|of, _| of == name));
        let last = GetEvents { limit: Some(3), ..GetEvents::default() };
        let expected = oracle.messages(|of, _| of == name);
        let tail: Vec<String> =
            rig.get(name, &last).events.into_iter().map(|e| e.message).collect();
        assert_eq!(tail, expected[expected.len().saturating_sub(3)..]);
    }
    for (pattern, word) in [("", ""), ("ERROR", "ERROR"), ("größe", "größe"), ("absent", "absent")]
    {
        assert_eq!(rig.filtered(pattern), oracle.messages(|_, message| message.contains(word)));
    }
    let in_b = rig.filter("beta -ERROR", |request| {
        request.streams = StreamSelection::Prefix("b".into());
    });
    let in_b: Vec<String> = in_b.events.into_iter().map(|found| found.event.message).collect();
    let expected = oracle.messages(|of, message| {
        of == "b" && message.contains("beta") && !message.contains("ERROR")
    });
    assert_eq!(in_b, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_answers_as_a_list_would(
        steps in prop::collection::vec(step(), 1..14),
        seal_bytes in prop_oneof![Just(1u64), Just(300), Just(1 << 20)],
    ) {
        let root = tempfile::tempdir().unwrap();
        let mut directory = root.path().join("store");
        let mut rig = Rig::open(&directory, seal_bytes).with_streams();
        let mut oracle = Oracle::default();
        for step in &steps {
            apply(step, &mut rig, &mut directory, &mut oracle, seal_bytes);
        }
        compare(&rig, &oracle);
    }
}
