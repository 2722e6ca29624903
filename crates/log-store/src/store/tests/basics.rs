use super::rig::{GROUPS_MAX, NOW, Rig, group, lines, scope, stream};
use crate::error::ShipmentRefusal;
use crate::group::{GroupQuery, NewLogGroup};
use crate::store::{FilterEvents, GetEvents, StreamSelection};
use crate::stream::{StreamOrder, StreamPlace, StreamQuery};
use crate::{LogStoreError, SourceId};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Runs a check with everything in the journal, with a segment for each batch, and after reopening.
fn check_everywhere(prepare: impl Fn(&Rig), check: impl Fn(&Rig)) {
    for seal_bytes in [1 << 20, 1] {
        let directory = tempfile::tempdir().unwrap();
        let rig = Rig::open(directory.path(), seal_bytes).with_streams();
        prepare(&rig);
        check(&rig);
        drop(rig);
        check(&Rig::open(directory.path(), seal_bytes));
    }
}

#[test]
fn events_are_answered_by_time_and_then_as_they_came() {
    check_everywhere(
        |rig| {
            rig.put("a", &[(NOW, "2"), (NOW + 5, "5")]);
            rig.put("a", &[(NOW - 1, "1"), (NOW, "3"), (NOW + 1, "4")]);
            rig.put("b", &[(NOW, "b")]);
        },
        |rig| {
            assert_eq!(rig.messages("a"), ["1", "2", "3", "4", "5"]);
            assert_eq!(rig.filtered(""), ["1", "2", "3", "b", "4", "5"]);
        },
    );
}

#[test]
fn pages_of_a_stream_go_both_ways_and_end_with_the_same_token() {
    check_everywhere(
        |rig| {
            for n in 0..10 {
                rig.put("a", &[(NOW + n, &n.to_string())]);
            }
        },
        |rig| {
            let page = |token: Option<String>, start_from_head| {
                let request =
                    GetEvents { limit: Some(4), token, start_from_head, ..GetEvents::default() };
                let page = rig.get("a", &request);
                let text: String = page.events.iter().map(|event| event.message.as_str()).collect();
                (text, page.next_forward_token, page.next_backward_token)
            };
            let (text, forward, backward) = page(None, false);
            assert_eq!(text, "6789");
            assert_eq!(
                page(Some(forward.clone()), false),
                (String::new(), forward.clone(), {
                    let (_, _, backward) = page(Some(forward.clone()), false);
                    backward
                })
            );
            let (text, _, backward) = page(Some(backward), false);
            assert_eq!(text, "2345");
            let (text, again, backward) = page(Some(backward), false);
            assert_eq!(text, "01");
            let (text, _, same) = page(Some(backward.clone()), false);
            assert_eq!((text.as_str(), &same), ("", &backward));
            assert_eq!(page(Some(again), true).0, "2345");
            let (text, forward, _) = page(None, true);
            assert_eq!(text, "0123");
            assert_eq!(page(Some(forward), true).0, "4567");
        },
    );
}

#[test]
fn a_follower_of_an_empty_stream_sees_what_comes() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1 << 20).with_streams();
    let mut request = GetEvents::default();
    for n in 0..3 {
        let page = rig.get("a", &request);
        let text: Vec<_> = page.events.into_iter().map(|event| event.message).collect();
        assert_eq!(text, if n == 0 { vec![] } else { vec![(n - 1).to_string()] });
        request.token = Some(page.next_forward_token);
        rig.put("a", &[(NOW, &n.to_string())]);
    }
}

#[test]
fn ranges_of_time_end_as_aws_ends_them() {
    check_everywhere(
        |rig| {
            rig.put("a", &[(NOW, "0"), (NOW + 1, "1"), (NOW + 2, "2")]);
        },
        |rig| {
            let (start_ms, end_ms) = (Some(NOW + 1), Some(NOW + 2));
            let page = rig.get("a", &GetEvents { start_ms, end_ms, ..GetEvents::default() });
            assert_eq!(page.events.len(), 1, "GetLogEvents leaves out its end");
            let found =
                rig.filter("", |request| (request.start_ms, request.end_ms) = (start_ms, end_ms));
            assert_eq!(found.events.len(), 2, "FilterLogEvents takes its end");
        },
    );
}

#[test]
fn a_filter_selects_streams_and_goes_on_from_its_token() {
    check_everywhere(
        |rig| {
            for n in 0..20 {
                let name = if n % 2 == 0 { "a" } else { "b" };
                rig.put(name, &[(NOW + n, &format!("{name} {n}"))]);
            }
        },
        |rig| {
            let in_stream = |streams: StreamSelection| {
                rig.filter("", |request| request.streams = streams).events.len()
            };
            assert_eq!(in_stream(StreamSelection::All), 20);
            assert_eq!(in_stream(StreamSelection::Named(vec![stream("a")])), 10);
            assert_eq!(in_stream(StreamSelection::Prefix("b".into())), 10);
            assert_eq!(in_stream(StreamSelection::Prefix("c".into())), 0);
            let mut seen = Vec::new();
            let mut token = None;
            loop {
                let page = rig.filter("-12", |request| {
                    (request.limit, request.token) = (Some(3), token.take());
                });
                seen.extend(page.events.into_iter().map(|found| found.event.timestamp_ms - NOW));
                match page.next_token {
                    Some(next) => token = Some(next),
                    None => break,
                }
            }
            assert_eq!(seen, (0..20).filter(|n| *n != 12).collect::<Vec<_>>());
        },
    );
}

#[test]
fn event_ids_stay_and_differ() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1 << 20).with_streams();
    rig.put("a", &[(NOW, "same"), (NOW, "same")]);
    let ids = |rig: &Rig| -> Vec<String> {
        rig.filter("", |_| ()).events.iter().map(|found| found.event.event_id.to_string()).collect()
    };
    let before = ids(&rig);
    assert_ne!(before[0], before[1]);
    drop(rig);
    let rig = Rig::open(directory.path(), 1);
    rig.put("a", &[(NOW, "seals the journal")]);
    assert_eq!(ids(&rig)[..2], before);
}

#[test]
fn pages_have_at_most_a_mebibyte() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1 << 20).with_streams();
    let large = "x".repeat(400 * 1024);
    for n in 0..4 {
        rig.put("a", &[(NOW + n, &large)]);
    }
    let head = GetEvents { start_from_head: true, ..GetEvents::default() };
    assert_eq!(rig.get("a", &head).events.len(), 2);
    assert_eq!(rig.messages("a").len(), 4);
}

#[test]
fn tokens_of_others_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1 << 20).with_streams();
    let of_b = rig.get("b", &GetEvents::default()).next_forward_token;
    for token in [of_b.as_str(), "", "f/", "x", "f/31/s"] {
        let request = GetEvents { token: Some(token.into()), ..GetEvents::default() };
        let refused = rig.store.get_events(&scope(), &group("g"), &stream("a"), &request);
        assert!(matches!(refused, Err(LogStoreError::InvalidToken)), "{token}");
    }
    let request = FilterEvents {
        streams: StreamSelection::All,
        start_ms: None,
        end_ms: None,
        pattern: crate::FilterPattern::everything(),
        limit: None,
        token: Some("x".into()),
    };
    let refused = rig.store.filter_events(&scope(), &group("g"), &request);
    assert!(matches!(refused, Err(LogStoreError::InvalidToken)));
}

#[test]
fn shipping_is_exactly_once() {
    check_everywhere(
        |rig| {
            assert_eq!(rig.ship(0, 30).unwrap(), 30);
            assert_eq!(rig.ship(0, 30).unwrap(), 30, "a repeat");
            assert_eq!(rig.ship(10, 50).unwrap(), 50, "an overlap");
            assert_eq!(rig.ship(0, 20).unwrap(), 50, "an old repeat");
            assert_eq!(rig.ship(50, 55).unwrap(), 55, "a part without events");
            let gap = rig.ship(60, 90);
            let expected = ShipmentRefusal::Gap { committed: 55 };
            assert!(matches!(gap, Err(LogStoreError::Shipment(refusal)) if refusal == expected));
            assert_eq!(rig.ship(50, 100).unwrap(), 100);
        },
        |rig| {
            assert_eq!(rig.messages("a"), lines(100));
            let source = SourceId::parse("task/app/0").unwrap();
            let cursor = |name: &str| {
                rig.store.source_cursor(&scope(), &group("g"), &stream(name), &source).unwrap()
            };
            assert_eq!(cursor("a"), Some(100));
            assert_eq!(cursor("b"), None, "a cursor belongs to one stream");
            assert_eq!(rig.ship(0, 100).unwrap(), 100);
        },
    );
}

#[test]
fn a_source_may_start_late_once() {
    check_everywhere(
        |rig| {
            let source = SourceId::parse("task/app/0").unwrap();
            let open = |at| rig.store.open_source(&scope(), &group("g"), &stream("a"), &source, at);
            assert_eq!(open(40).unwrap(), 40);
            assert_eq!(open(70).unwrap(), 40);
            assert_eq!(rig.ship(40, 60).unwrap(), 60);
        },
        |rig| assert_eq!(rig.messages("a"), lines(60)[4..]),
    );
}

#[test]
fn what_is_deleted_is_gone_and_starts_afresh() {
    check_everywhere(
        |rig| {
            rig.ship(0, 30).unwrap();
            rig.put("b", &[(NOW, "b")]);
            rig.store.delete_stream(&scope(), &group("g"), &stream("a")).unwrap();
            rig.store.create_stream(&scope(), &group("g"), &stream("a")).unwrap();
        },
        |rig| {
            assert!(rig.messages("a").is_empty());
            assert_eq!(rig.filtered(""), ["b"]);
            let source = SourceId::parse("task/app/0").unwrap();
            let cursor = rig.store.source_cursor(&scope(), &group("g"), &stream("a"), &source);
            assert_eq!(cursor.unwrap(), None);
        },
    );
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1).with_streams();
    rig.put("a", &[(NOW, "x")]);
    rig.store.delete_group(&scope(), &group("g")).unwrap();
    let gone = rig.store.group(&scope(), &group("g"));
    assert!(matches!(gone, Err(LogStoreError::GroupNotFound)));
    assert_eq!(rig.store.maintain().unwrap().removed_segments, 1);
    let rig = rig.with_streams();
    assert!(rig.filtered("").is_empty());
    assert_eq!(rig.store.group(&scope(), &group("g")).unwrap().stored_bytes, 0);
}

#[test]
fn retention_hides_at_once_and_frees_in_upkeep() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1).with_streams();
    rig.put("a", &[(NOW - 5 * DAY, "old")]);
    rig.put("a", &[(NOW, "new")]);
    rig.store.set_retention(&scope(), &group("g"), Some(3)).unwrap();
    assert_eq!(rig.messages("a"), ["new"]);
    assert_eq!(rig.filtered(""), ["new"]);
    let done = rig.store.maintain().unwrap();
    assert_eq!((done.expired_blocks, done.removed_segments), (1, 1));
    rig.store.set_retention(&scope(), &group("g"), None).unwrap();
    assert_eq!(rig.messages("a"), ["new"]);
    assert_eq!(std::fs::read_dir(directory.path().join("segments")).unwrap().count(), 1);
}

#[test]
fn a_mostly_dead_segment_is_rewritten() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 20_000).with_streams();
    let noise = |seed: u64| -> String {
        (0..600).map(|n| format!("{:x}", (seed + n) * 2_654_435_761 % 65_521)).collect()
    };
    rig.put("b", &[(NOW, "stays")]);
    for n in 0..10 {
        rig.put("a", &[(NOW, &noise(n * 7919))]);
    }
    rig.store.delete_stream(&scope(), &group("g"), &stream("a")).unwrap();
    assert_eq!(rig.store.maintain().unwrap().rewritten_segments, 1);
    assert_eq!(rig.store.maintain().unwrap().rewritten_segments, 0);
    assert_eq!(rig.messages("b"), ["stays"]);
}

#[test]
fn a_journal_does_not_keep_events_for_days() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1 << 20).with_streams();
    rig.put("a", &[(NOW, "x")]);
    rig.store.maintain().unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("segments")).unwrap().count(), 0);
    rig.advance(2 * DAY);
    rig.store.maintain().unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("segments")).unwrap().count(), 1);
    assert_eq!(rig.messages("a"), ["x"]);
}

#[test]
fn groups_are_described_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1 << 20);
    for name in ["/ecs/Web", "/ecs/api", "/ecs/job", "other"] {
        rig.store.create_group(&scope(), NewLogGroup::named(group(name))).unwrap();
    }
    let again = rig.store.create_group(&scope(), NewLogGroup::named(group("other")));
    assert!(matches!(again, Err(LogStoreError::GroupExists)));
    let names = |query: GroupQuery, limit| {
        let page = rig.store.describe_groups(&scope(), &query, limit).unwrap();
        let names: Vec<_> = page.groups.iter().map(|group| group.name.to_string()).collect();
        (names.join(" "), page.more)
    };
    let prefix = |text: &str| GroupQuery { prefix: Some(text.into()), ..GroupQuery::default() };
    assert_eq!(
        names(GroupQuery::default(), 50),
        ("/ecs/Web /ecs/api /ecs/job other".into(), false)
    );
    assert_eq!(names(prefix("/ecs/"), 2), ("/ecs/Web /ecs/api".into(), true));
    let after = GroupQuery { after: Some("/ecs/api".into()), ..prefix("/ecs/") };
    assert_eq!(names(after, 2), ("/ecs/job".into(), false));
    let pattern = |text: &str| GroupQuery { pattern: Some(text.into()), ..GroupQuery::default() };
    assert_eq!(names(pattern("Web"), 50), ("/ecs/Web".into(), false));
    assert_eq!(names(pattern("WEB"), 50), (String::new(), false));
    let elsewhere =
        outport_model::Scope { region: outport_model::Region::new("eu-west-1"), ..scope() };
    assert!(rig.store.group(&elsewhere, &group("other")).is_err());
}

#[test]
fn streams_are_described_in_both_orders() {
    check_everywhere(
        |rig| {
            for name in ["c", "d"] {
                rig.store.create_stream(&scope(), &group("g"), &stream(name)).unwrap();
            }
            rig.put("c", &[(NOW + 1, "x")]);
            rig.put("a", &[(NOW + 2, "x")]);
            rig.put("b", &[(NOW + 3, "x"), (NOW + 9, "x")]);
        },
        |rig| {
            let names = |order, descending| {
                let mut query = StreamQuery { order, descending, ..StreamQuery::default() };
                let mut names = String::new();
                loop {
                    let page =
                        rig.store.describe_streams(&scope(), &group("g"), &query, 3).unwrap();
                    page.streams.iter().for_each(|stream| names.push_str(stream.name.as_str()));
                    query.after = page.streams.last().map(StreamPlace::behind);
                    if !page.more {
                        return names;
                    }
                    names.push(' ');
                }
            };
            assert_eq!(names(StreamOrder::Name, false), "abc d");
            assert_eq!(names(StreamOrder::Name, true), "dcb a");
            assert_eq!(names(StreamOrder::LastEventTime, true), "bac d");
            assert_eq!(names(StreamOrder::LastEventTime, false), "dca b");
            let b = rig.store.stream(&scope(), &group("g"), &stream("b")).unwrap();
            assert_eq!((b.first_event_ms, b.last_event_ms), (Some(NOW + 3), Some(NOW + 9)));
            assert_eq!(b.last_ingestion_ms, Some(NOW));
            let bytes = rig.store.group(&scope(), &group("g")).unwrap().stored_bytes;
            assert_eq!(bytes, 4 * 27);
        },
    );
}

#[test]
fn tags_are_kept_and_limited() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1 << 20).with_streams();
    let tags = |n: usize| (0..n).map(|n| (format!("k{n}"), "v".to_owned())).collect();
    rig.store.set_group_tags(&scope(), &group("g"), tags(50)).unwrap();
    let one_more = [("more".to_owned(), "v".to_owned())].into();
    let refused = rig.store.set_group_tags(&scope(), &group("g"), one_more);
    assert!(matches!(refused, Err(LogStoreError::TooManyTags { max: 50 })));
    rig.store.remove_group_tags(&scope(), &group("g"), &["k7".into(), "no".into()]).unwrap();
    drop(rig);
    let rig = Rig::open(directory.path(), 1 << 20);
    let left = rig.store.group_tags(&scope(), &group("g")).unwrap();
    assert_eq!((left.len(), left.contains_key("k7")), (49, false));
    rig.put("a", &[(NOW, "the streams are still there")]);
}

#[test]
fn one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1 << 20);
    let second = super::rig::try_open(directory.path(), 1 << 20);
    assert!(second.is_err_and(|error| error.is_fault()));
    rig.store.close();
    let refused = rig.with_streams_and_put();
    assert!(matches!(refused, Err(LogStoreError::Closed)));
}

impl Rig {
    fn with_streams_and_put(self) -> Result<u64, LogStoreError> {
        self.with_streams().ship(0, 10)
    }
}

#[test]
fn many_appenders_share_writes_and_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 20_000).with_streams();
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let rig = &rig;
            threads.spawn(move || {
                for n in 0..25 {
                    rig.put("a", &[(NOW + n, &format!("{thread}.{n} {}", "x".repeat(200)))]);
                }
            });
        }
    });
    let check = |rig: &Rig| {
        let mut messages = rig.messages("a");
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), 200);
    };
    check(&rig);
    assert!(rig.store.commit_number() <= 200);
    drop(rig);
    check(&Rig::open(directory.path(), 20_000));
}

#[test]
fn a_number_of_log_groups_is_taken_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::open(directory.path(), 1 << 20);
    let create = |number: u64| {
        rig.store.create_group(&scope(), NewLogGroup::named(group(&format!("g{number}"))))
    };
    for number in 0..GROUPS_MAX {
        create(number).unwrap();
    }
    assert!(matches!(create(GROUPS_MAX), Err(LogStoreError::TooManyGroups { max: GROUPS_MAX })));
    rig.store.delete_group(&scope(), &group("g0")).unwrap();
    create(GROUPS_MAX).unwrap();
}
