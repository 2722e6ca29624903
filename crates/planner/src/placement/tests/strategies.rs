//! Strategies and constraints, as a table: instances, tasks that are there, rules -> where the tasks go.

use std::collections::BTreeMap;

use outport_model::placement::{
    BinpackField, PlacementConstraint, PlacementRules, PlacementStrategy, SpreadField,
};

use super::*;

/// The tasks that were there before: group and node to count.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing(pub BTreeMap<(String, NodeId), u32>);

impl PlacedTasks for Standing {
    fn count(&self, group: &str, node: &NodeId) -> u32 {
        self.0.get(&(group.to_owned(), node.clone())).copied().unwrap_or(0)
    }
    fn of_group<'a>(&'a self, group: &'a str) -> Box<dyn Iterator<Item = (&'a NodeId, u32)> + 'a> {
        let of_group = self.0.iter().filter(move |((known, _), _)| known == group);
        Box::new(of_group.map(|((_, node), count)| (node, *count)))
    }
    fn any_group_on(&self, on: &ContainerInstance, will_do: &dyn Fn(&str) -> bool) -> bool {
        self.0.keys().any(|(group, node)| *node == on.node && will_do(group))
    }
    fn running_on(&self, on: &ContainerInstance) -> u32 {
        self.0.iter().filter(|((_, node), _)| *node == on.node).map(|(_, count)| count).sum()
    }
}

/// `spread zone`, `spread host`, `binpack cpu`, `random`, `distinct`, `member EXPRESSION`, with `; ` between; `service` for the
/// strategy of a service that has none.
pub(super) fn rules(text: &str) -> Rules {
    let mut rules = PlacementRules::default();
    for word in text.split("; ").filter(|word| !word.is_empty()) {
        let attribute =
            |name: &str| PlacementStrategy::Spread(SpreadField::Attribute(name.to_owned()));
        match word {
            "service" => return Rules::new("g", &rules, &[]).of_service(),
            "spread zone" => rules.strategy.push(attribute("ecs.availability-zone")),
            "spread rack" => rules.strategy.push(attribute("rack")),
            "spread host" => {
                rules.strategy.push(PlacementStrategy::Spread(SpreadField::InstanceId));
            }
            "binpack cpu" => rules.strategy.push(PlacementStrategy::Binpack(BinpackField::Cpu)),
            "binpack memory" => {
                rules.strategy.push(PlacementStrategy::Binpack(BinpackField::Memory));
            }
            "random" => rules.strategy.push(PlacementStrategy::Random),
            "distinct" => rules.constraints.push(PlacementConstraint::DistinctInstance),
            other => {
                let expression = other.strip_prefix("member ").unwrap().to_owned();
                rules.constraints.push(PlacementConstraint::MemberOf(expression));
            }
        }
    }
    Rules::new("g", &rules, &[])
}

/// `a 1024/2048 zone=x rack=1 g=2 other=1`: also attributes, and how many tasks of which group are there.
pub(super) fn rooms(text: &str) -> (Vec<Room>, Standing) {
    let mut standing = Standing::default();
    let rooms = text.split(", ").map(|text| {
        let is_own = |word: &&str| word.contains('=');
        let words: Vec<&str> = text.split_whitespace().collect();
        let plain: Vec<&str> = words.iter().filter(|word| !is_own(word)).copied().collect();
        let mut room = room(&plain.join(" "), &mut BTreeSet::new());
        let instance = Arc::make_mut(room.instance.as_mut().unwrap());
        for word in words.into_iter().filter(is_own) {
            let (name, value) = word.split_once('=').unwrap();
            match name {
                "zone" => {
                    instance.attributes.push(("ecs.availability-zone".to_owned(), value.to_owned()))
                }
                "rack" => instance.attributes.push(("rack".to_owned(), value.to_owned())),
                group => {
                    let key = (group.to_owned(), room.node.id.clone());
                    standing.0.insert(key, value.parse().unwrap());
                }
            }
        }
        room
    });
    (rooms.collect(), standing)
}

/// Places so many tasks of 100 CPU units and 100 MiB.
pub(super) fn place(
    rooms: &[Room],
    standing: &Standing,
    rules: &Rules,
    count: usize,
    seed: u64,
) -> (Vec<String>, Option<Rejection>) {
    let capacity = EveryNode { rooms: rooms.to_vec(), shown: Rc::default() };
    place_on(&capacity, standing, rules, count, seed)
}

fn place_on(
    capacity: &EveryNode,
    standing: &Standing,
    rules: &Rules,
    count: usize,
    seed: u64,
) -> (Vec<String>, Option<Rejection>) {
    let needs = Requirements {
        launch_type: LaunchType::Ec2,
        architecture: None,
        privileged: false,
        cpu_units: 100,
        memory_mib: 100,
        host_ports: Vec::new(),
        open_ports: 0,
    };
    let scope = Scope::new(AccountId::new("0"), Region::new("us-east-1"));
    let cluster = ClusterName::new("default");
    let pool = pool(needs.launch_type, &scope, &cluster);
    let (settings, troubled) = (Settings::default(), BTreeSet::new());
    let scene = Scene {
        needs: &needs,
        place: Place { pool: &pool, scope: &scope, cluster: &cluster, rules },
        capacity,
        tasks: standing,
        troubled: &troubled,
        settings: &settings,
        seed,
    };
    let mut batch = Batch::new(&scene);
    let mut placed = Vec::new();
    for _ in 0..count {
        let Some(chosen) = batch.pick() else { return (placed, Some(rejection(&batch))) };
        placed.push(batch.candidate(chosen).node.id.to_string());
        let held = Reservation { cpu_units: 100, memory_mib: 100, host_ports: Vec::new() };
        batch.reserve(chosen, &held);
    }
    (placed, None)
}

/// The expected nodes, one a task; behind `|` what is said of the instances when the next one finds no place.
#[track_caller]
fn check(rules_text: &str, nodes: &str, count: usize, expected: &str) {
    let (rooms, standing) = rooms(nodes);
    let (placed, rejection) = place(&rooms, &standing, &rules(rules_text), count, 7);
    let mut actual = placed.join(" ");
    for passed in rejection.iter().flat_map(|rejection| &rejection.instances) {
        actual.push_str(&format!(" | {} {}", passed.id, passed.reason));
    }
    assert_eq!(actual, expected, "{rules_text}");
}

const THREE: &str = "a 1000/1000, b 1000/900, c 1000/800";

#[test]
fn without_a_strategy_the_most_free_memory_comes_first() {
    check("", THREE, 5, "a b a c b");
}

#[test]
fn binpack_fills_the_fullest_that_fits() {
    check("binpack memory", "a 1000/1000, b 1000/250, c 1000/400", 6, "b b c c c c");
    check("binpack memory", "a 1000/1000, b 1000/50", 1, "a");
    check("binpack cpu", "a 300/1000, b 200/1000, c 50/1000", 5, "b b a a a");
    // The same memory: the other resource decides, where it is asked for.
    check("binpack memory; binpack cpu", "a 900/500, b 800/500", 1, "b");
    check("binpack memory", "a 900/500, b 800/500", 1, "a");
}

#[test]
fn spread_counts_the_tasks_of_the_group() {
    check("spread host", THREE, 6, "a b c a b c");
    check("spread host", "a 1000/1000 g=2, b 1000/900 g=1, c 1000/800 other=9", 4, "c b c a");
    check("spread host", "a 1000/1000, b 1000/100, c 1000/800", 5, "a c b a c");
}

#[test]
fn spread_over_an_attribute() {
    let zones = "a 1000/1000 zone=x, b 1000/900 zone=x, c 1000/300 zone=y";
    check("spread zone", zones, 6, "a c b c a c");
    // Zone y is full: the rest goes where there is room.
    check("spread zone", zones, 8, "a c b c a c b a");
    check("spread zone", "a 1000/1000 zone=x g=3, c 1000/300 zone=y g=1", 3, "c c a");
    // Those without the attribute are a place of their own.
    check("spread rack", "a 1000/1000 rack=1, b 1000/900, c 1000/800", 4, "a b a c");
}

#[test]
fn strategies_in_a_chain() {
    let zones = "a 1000/1000 zone=x, b 1000/900 zone=x, c 1000/800 zone=y, d 1000/500 zone=y";
    check("spread zone; spread host", zones, 8, "a c b d a c b d");
    check("spread zone; binpack memory", zones, 4, "d b d b");
    check(
        "spread zone; spread rack",
        "a 900/900 zone=x rack=1, b 900/800 zone=x rack=2, c 900/700 zone=y rack=1",
        4,
        "a c b c",
    );
    // Spread over the hosts first, and among equals over the zones.
    check(
        "spread host; spread zone",
        "a 900/900 zone=x, b 900/800 zone=x, c 900/700 zone=y",
        3,
        "a c b",
    );
    check("binpack memory; spread zone", "a 900/500 zone=x g=1, b 900/500 zone=y", 2, "b b");
}

#[test]
fn services_are_spread_over_zones_then_instances() {
    let zones = "a 1000/1000 zone=x, b 1000/900 zone=x, c 1000/800 zone=y";
    check("service", zones, 4, "a c b c");
}

#[test]
fn distinct_instance() {
    check(
        "distinct",
        THREE,
        4,
        "a b c | i-a DistinctInstance placement constraint unsatisfied. \
         | i-b DistinctInstance placement constraint unsatisfied. \
         | i-c DistinctInstance placement constraint unsatisfied.",
    );
    check("distinct; binpack memory", "a 1000/1000, b 1000/900 other=1, c 1000/800 g=1", 2, "b a");
}

#[test]
fn member_of() {
    check("member attribute:rack == 1", "a 1000/1000, b 1000/900 rack=1", 2, "b b");
    check(
        "member attribute:rack == 1; member attribute:ecs.availability-zone == y",
        "a 1000/1000 rack=1 zone=x, b 10/900 rack=1 zone=y",
        1,
        " | i-a MemberOf placement constraint unsatisfied. | i-b RESOURCE:CPU",
    );
    // An expression that this version does not understand is no permission.
    check(
        "member something == else",
        "a 1000/1000",
        1,
        " | i-a MemberOf placement constraint unsatisfied.",
    );
    check("member task:group == other", "a 1000/1000, b 1000/900 other=1", 1, "b");
    check("member runningTasksCount < 2", "a 1000/1000 other=2, b 1000/900 other=1", 1, "b");
}

/// What a batch places counts at once.
#[test]
fn tasks_of_the_batch_keep_each_other_away() {
    check("member not(task:group == g)", "a 1000/1000, b 1000/900", 2, "a b");
    check(
        "member not(task:group == g)",
        "a 1000/1000",
        2,
        "a | i-a MemberOf placement constraint unsatisfied.",
    );
}

/// Each of the nodes gets its share, whatever came before.
#[test]
fn random_gives_every_node_its_share() {
    let nodes: Vec<String> = (0..4).map(|n| format!("n{n} 99999/{}", 99_999 - n)).collect();
    let (rooms, standing) = rooms(&nodes.join(", "));
    let mut all: BTreeMap<String, u32> = BTreeMap::new();
    let mut firsts: BTreeMap<String, u32> = BTreeMap::new();
    let mut repeated = 0;
    for seed in 0..100 {
        let (placed, _) = place(&rooms, &standing, &rules("random"), 40, seed);
        *firsts.entry(placed[0].clone()).or_default() += 1;
        repeated += placed.windows(2).filter(|pair| pair[0] == pair[1]).count();
        placed.into_iter().for_each(|node| *all.entry(node).or_default() += 1);
    }
    // 1,000 and 25 each, 975 times the same again; the bounds are some five deviations away.
    assert!(all.values().all(|count| (860..1_140).contains(count)), "{all:?}");
    assert!(firsts.values().all(|count| (5..50).contains(count)), "{firsts:?}");
    assert!((840..1_110).contains(&repeated), "{repeated}");
}

/// How many nodes a batch of 100 tasks looks at, of 2,000: a few for each task, or all of them once.
#[test]
fn a_batch_looks_at_no_node_twice() {
    let zone = |number: usize| ["x", "y", "z"][number % 3];
    let nodes = (0..2_000).map(|n| format!("n{n:04} 9999/{} zone={}", 9_999 - n, zone(n)));
    let (rooms, empty) = rooms(&nodes.collect::<Vec<_>>().join(", "));
    let everywhere: BTreeMap<(String, NodeId), u32> =
        rooms.iter().map(|room| (("g".to_owned(), room.node.id.clone()), 1)).collect();
    let everywhere = Standing(everywhere);
    for (strategy, standing, most) in [
        ("", &empty, 101),
        ("distinct", &empty, 101),
        ("spread host", &empty, 101),
        ("member attribute:ecs.availability-zone == z", &empty, 303),
        ("service", &empty, 2_000),
        ("spread host", &everywhere, 2_000),
        ("binpack memory", &empty, 2_000),
        ("random", &empty, 2_000),
    ] {
        let capacity = EveryNode { rooms: rooms.clone(), shown: Rc::default() };
        let (placed, _) = place_on(&capacity, standing, &rules(strategy), 100, 1);
        assert_eq!(placed.len(), 100);
        let shown = capacity.shown.get();
        assert!(shown <= most, "{strategy}: {shown}");
    }
}
