//! Output to log and to reader, through rotation, floods and full buffers.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use outport_container_runtime::{LogContent, LogCursor, LogMode, LogReader, LogStream, LogWatch};

use crate::host::{Host, TASK, ended, until};

#[test]
fn both_streams_long_lines_and_an_unfinished_one() {
    let host = Host::new();
    let mut spec = host
        .shell("echo out; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf end");
    spec.log.line_bytes_max = 16 << 10;
    let (_, output) = host.run("mixed", spec);
    assert_eq!(output, format!("out\n{}\nend\n", "x".repeat(40_000)));
    let errors: Vec<_> =
        host.lines("mixed").into_iter().filter(|(of, _)| *of == LogStream::Stderr).collect();
    assert_eq!(errors, [(LogStream::Stderr, "err".to_owned())]);
    let mut reader = host.reader("mixed");
    let mut pieces = Vec::new();
    let mut last_time = 0;
    while let Some(frame) = reader.next().unwrap() {
        assert!(frame.time_ns >= last_time);
        last_time = frame.time_ns;
        if let LogContent::Line { stream: LogStream::Stdout, partial, bytes } = frame.content {
            pieces.push((bytes.len(), partial));
        }
    }
    assert_eq!(pieces, [(3, false), (16384, true), (16384, true), (7232, false), (3, false)]);
}

#[test]
fn a_reader_follows_through_rotation_and_from_any_cursor() {
    let host = Host::new();
    let mut spec = host.shell("seq 1 20000");
    spec.log.segment_bytes_max = 50_000;
    let shim = host.create("seq", spec);
    let dir = host.runtime.log_dir(TASK, "seq").unwrap();
    let watch = LogWatch::new().unwrap();
    watch.add(&dir).unwrap();
    shim.start().unwrap();
    let mut cursor = LogCursor::default();
    let mut expected = 1_u32;
    until("all lines are read", || {
        watch.changes().unwrap();
        // A new reader each time: as after a crash of the agent.
        let mut reader = LogReader::new(&dir, cursor);
        for _ in 0..777 {
            let Some(frame) = reader.next().unwrap() else { break };
            let LogContent::Line { bytes, .. } = frame.content else { panic!("no line") };
            assert_eq!(String::from_utf8(bytes).unwrap(), expected.to_string());
            expected += 1;
            cursor = frame.next;
        }
        expected == 20_001
    });
    assert!(cursor.segment > 5, "{cursor:?}");
    assert_eq!(ended(&shim).dropped_log_lines, 0);
}

#[test]
fn a_full_buffer_drops_and_counts() {
    let host = Host::new();
    let mut spec = host.shell("seq 1 200000");
    spec.log.mode = LogMode::NonBlocking { unshipped_bytes_max: 100_000 };
    spec.log.segment_bytes_max = 30_000;
    let (record, _) = host.run("flood", spec);
    assert_eq!(record.exit_code, Some(0));
    let (mut lines, mut dropped) = (0, 0);
    let mut reader = host.reader("flood");
    while let Some(frame) = reader.next().unwrap() {
        match frame.content {
            LogContent::Line { bytes, .. } => {
                lines += 1;
                assert_eq!(String::from_utf8(bytes).unwrap(), (lines + dropped).to_string());
            }
            LogContent::Dropped { lines, .. } => dropped += lines,
            LogContent::Damaged { .. } => panic!("{frame:?}"),
        }
    }
    assert_eq!((lines + dropped, dropped), (200_000, record.dropped_log_lines));
    assert!(dropped > 100_000);
    let on_disk = disk_bytes(&host, "flood");
    assert!(on_disk < 140_000, "{on_disk} bytes");
}

/// A shim works for its container on the host's account: what it may be made to do has a bound, however fast lines come
/// and whatever becomes of them.
#[test]
fn a_flood_of_empty_lines_costs_the_host_little() {
    const SECONDS: u64 = 3;
    let modes = [
        LogMode::NonBlocking { unshipped_bytes_max: 100_000 },
        LogMode::NonBlocking { unshipped_bytes_max: 64 << 20 },
        LogMode::KeepNewest { total_bytes_max: 8 << 20 },
    ];
    for (number, mode) in modes.into_iter().enumerate() {
        let host = Host::new();
        let name = format!("flood{number}");
        // Whole reads of nothing but newlines.
        let mut spec = host.shell("tr '\\0' '\\n' < /dev/zero");
        spec.log.mode = mode;
        let shim = host.start(&name, spec);
        let begun = std::time::Instant::now();
        until("some seconds have passed", || begun.elapsed() > Duration::from_secs(SECONDS));
        let (used, passed) = (processor_time(shim.shim_pid()), begun.elapsed());
        shim.kill().unwrap();
        let record = ended(&shim);
        let until_its_end = begun.elapsed();
        // An emulated processor takes twenty times as long for a line.
        let is_emulated = std::env::var_os("OUTPORT_TEST_EMULATED").is_some();
        assert!(is_emulated || used < passed / 2, "{mode:?}: {used:?} of {passed:?}");
        let (mut frames, mut dropped) = (0, 0);
        let mut reader = host.reader(&name);
        while let Some(frame) = reader.next().unwrap() {
            match frame.content {
                LogContent::Line { .. } => frames += 1,
                LogContent::Dropped { lines, .. } => dropped += lines,
                LogContent::Damaged { .. } => panic!("{frame:?}"),
            }
        }
        assert_eq!(dropped, record.dropped_log_lines, "{mode:?}");
        let lines_max = 209_716 * (until_its_end.as_secs() + 2) + (64 << 10);
        assert!(frames > 0 && frames < lines_max, "{mode:?}: {frames}");
    }
}

/// What a process has used of the processors so far.
fn processor_time(pid: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    // The kernel shows hundredths of a second, whatever it counts in.
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_blocked_container_goes_on_when_the_log_is_shipped() {
    let host = Host::new();
    let mut spec = host.shell("seq 1 50000; echo done > /tmp/done");
    spec.log.mode = LogMode::Blocking { unshipped_bytes_max: 100_000 };
    spec.log.segment_bytes_max = 30_000;
    let shim = host.start("blocked", spec);
    let dir = host.runtime.log_dir(TASK, "blocked").unwrap();
    assert!(shim.wait(Duration::from_millis(300)).unwrap().is_none(), "it was not blocked");
    assert!(disk_bytes(&host, "blocked") < 400_000);
    let mut reader = LogReader::new(&dir, LogCursor::default());
    let mut lines = 0_u32;
    until("all lines are shipped", || {
        while let Some(frame) = reader.next().unwrap() {
            let LogContent::Line { bytes, .. } = frame.content else { panic!("no line") };
            lines += 1;
            assert_eq!(String::from_utf8(bytes).unwrap(), lines.to_string());
        }
        reader.cursor().mark_shipped(&dir).unwrap();
        lines == 50_000
    });
    assert_eq!(ended(&shim).exit_code, Some(0));
    // Short lines grow by their frames: one read beyond the cap is several times its size.
    assert!(disk_bytes(&host, "blocked") < 800_000);
}

#[test]
fn a_log_that_nobody_ships_keeps_the_newest() {
    let host = Host::new();
    let mut spec = host.shell("seq 1 100000");
    spec.log.mode = LogMode::KeepNewest { total_bytes_max: 100_000 };
    spec.log.segment_bytes_max = 20_000;
    let (_, output) = host.run("newest", spec);
    assert!(output.ends_with("99999\n100000\n"));
    assert!(disk_bytes(&host, "newest") < 160_000);
}

/// A name, and what is done to a file.
type Damage = (&'static str, fn(&Path));

/// What can be read behind it comes, and nothing twice, whatever is done to the file of a container that runs on.
#[test]
fn a_container_whose_log_is_damaged_is_heard_again() {
    let host = Host::new();
    let damages: [Damage; 3] = [
        ("flipped", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(&bytes, 0).unwrap();
        }),
        ("emptied", |path| drop(std::fs::File::create(path).unwrap())),
        ("removed", |path| std::fs::remove_file(path).unwrap()),
    ];
    for (name, damage) in damages {
        let spec =
            host.shell("trap 'echo 2; echo 3; exit' TERM; echo 1; while :; do sleep 0.01; done");
        let shim = host.start(name, spec);
        let dir = host.runtime.log_dir(TASK, name).unwrap();
        let mut reader = LogReader::new(&dir, LogCursor::default());
        until("the first line is there", || reader.next().unwrap().is_some());
        damage(&dir.join("0000000000000001.log"));
        let mut reader = LogReader::new(
            &dir,
            match name {
                // Before it was delivered.
                "flipped" => LogCursor::default(),
                _ => reader.cursor(),
            },
        );
        shim.signal(15).unwrap();
        ended(&shim);
        reader.set_ended();
        let mut seen = Vec::new();
        while let Some(frame) = reader.next().unwrap() {
            seen.push(match frame.content {
                LogContent::Line { bytes, .. } => String::from_utf8(bytes).unwrap(),
                LogContent::Damaged { .. } => "!".to_owned(),
                LogContent::Dropped { .. } => panic!("{frame:?}"),
            });
        }
        assert_eq!(seen, ["!", "2", "3"], "{name}");
    }
}

fn disk_bytes(host: &Host, name: &str) -> u64 {
    let dir = host.runtime.log_dir(TASK, name).unwrap();
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    // A segment may be deleted while it is looked at.
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
