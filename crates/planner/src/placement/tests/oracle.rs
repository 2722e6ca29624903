//! What a batch places against a look at every node for every task.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::strategies::{Standing, place, rooms, rules};
use super::*;

/// By the strategies in words: the score of a node, smaller is better.
fn score(words: &[&str], rooms: &[Room], standing: &Standing, of: usize) -> Vec<u64> {
    let value = |room: &Room, name: &str| {
        let attributes = &room.instance.as_ref().unwrap().attributes;
        attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let tasks = |like: &dyn Fn(&Room) -> bool| {
        let alike = rooms.iter().filter(|room| like(room));
        alike.map(|room| u64::from(standing.count("g", &room.node.id))).sum::<u64>()
    };
    let mut spread_by: Vec<&str> = Vec::new();
    let mut scores = Vec::new();
    for word in words {
        let room = &rooms[of];
        scores.push(match *word {
            "spread zone" | "spread rack" => {
                spread_by.push(match *word {
                    "spread zone" => "ecs.availability-zone",
                    _ => "rack",
                });
                tasks(&|other: &Room| {
                    spread_by.iter().all(|name| value(other, name) == value(room, name))
                })
            }
            "spread host" => tasks(&|other: &Room| other.node.id == room.node.id),
            "binpack cpu" => room.candidate().free_cpu_units(),
            "binpack memory" => room.candidate().free_memory_mib(),
            other => panic!("{other}"),
        });
    }
    scores
}

const WORDS: [&str; 5] =
    ["spread zone", "spread rack", "spread host", "binpack cpu", "binpack memory"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Each place is one with the best score of all that fit, given those before it; and all that can be placed are.
    #[test]
    fn every_place_is_the_best(
        nodes in prop::collection::vec((1_u32..6, 1_u32..6, 0_u8..4, 0_u8..4, 0_u32..3), 1..7),
        chain in prop::collection::vec(0_usize..5, 0..4),
        is_distinct: bool,
    ) {
        let mut words: Vec<&str> = Vec::new();
        for index in chain {
            if !words.contains(&WORDS[index]) {
                words.push(WORDS[index]);
            }
        }
        let texts = nodes.iter().enumerate().map(|(n, (cpu, memory, zone, rack, tasks))| {
            let zone = if *zone == 0 { String::new() } else { format!(" zone={zone}") };
            let rack = if *rack == 0 { String::new() } else { format!(" rack={rack}") };
            let tasks = if *tasks == 0 { String::new() } else { format!(" g={tasks}") };
            format!("n{n} {}/{}{zone}{rack}{tasks}", cpu * 100, memory * 100)
        });
        let (mut rooms, mut standing) = rooms(&texts.collect::<Vec<_>>().join(", "));
        let mut text = words.join("; ");
        if is_distinct {
            text.push_str("; distinct");
        }
        let (placed, rejection) = place(&rooms, &standing, &rules(&text), 40, 1);
        prop_assert!(rejection.is_some(), "nothing takes 40 tasks");
        let fits = |room: &Room, standing: &Standing| {
            let candidate = room.candidate();
            candidate.free_cpu_units() >= 100 && candidate.free_memory_mib() >= 100
                && !(is_distinct && standing.count("g", &room.node.id) > 0)
        };
        for node in placed {
            let of = rooms.iter().position(|room| room.node.id.as_str() == node).unwrap();
            prop_assert!(fits(&rooms[of], &standing));
            let all = (0..rooms.len()).filter(|index| fits(&rooms[*index], &standing));
            let best = all.map(|index| score(&words, &rooms, &standing, index)).min().unwrap();
            prop_assert_eq!(score(&words, &rooms, &standing, of), best, "{} on {}", &text, node);
            let held = Reservation { cpu_units: 100, memory_mib: 100, host_ports: Vec::new() };
            rooms[of].used.add(&held);
            *standing.0.entry(("g".to_owned(), rooms[of].node.id.clone())).or_default() += 1;
        }
        prop_assert!(!rooms.iter().any(|room| fits(room, &standing)), "all that fit were placed");
    }

    /// With room for all of them, the most and the fewest tasks of any two zones are at most one apart.
    #[test]
    fn zones_are_balanced(zones in prop::collection::vec(0_u8..3, 1..8), count in 1_usize..60) {
        let texts = zones.iter().enumerate();
        let texts = texts.map(|(n, zone)| format!("n{n} 99999/{} zone={zone}", 9_000 + n * 1_000));
        let (rooms, standing) = rooms(&texts.collect::<Vec<_>>().join(", "));
        let (placed, _) = place(&rooms, &standing, &rules("service"), count, 1);
        let mut of_zones: BTreeMap<u8, usize> = zones.iter().map(|zone| (*zone, 0)).collect();
        for node in placed {
            *of_zones.get_mut(&zones[node[1..].parse::<usize>().unwrap()]).unwrap() += 1;
        }
        let (most, fewest) = (of_zones.values().max().unwrap(), of_zones.values().min().unwrap());
        prop_assert!(most - fewest <= 1, "{of_zones:?}");
    }
}
