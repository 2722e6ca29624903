//! `cargo xtask bench operator`: what a person waits for: `outport run -- true`, from nothing to nothing, and `outport status` and
//! `ps` over ten thousand tasks.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Setting;
use super::api;
use super::figures::Figures;
use super::report::{Figure, Report};
use super::server::Server;
use crate::client::KEY;
use crate::process::Scratch;
use crate::{interrupt, setup};

/// One of those that are prepared.
const CLUSTER: &str = "large";

struct Size {
    runs: usize,
    looks: usize,
    tasks: usize,
}

impl Size {
    fn new(quick: bool) -> Self {
        match quick {
            true => Self { runs: 2, looks: 2, tasks: 500 },
            false => Self { runs: 20, looks: 40, tasks: 10_000 },
        }
    }
}

pub fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    setup::require_root()?;
    let (size, binary) = (Size::new(setting.quick), setting.binary()?);
    let scratch = Scratch::new("bench-operator")?;
    let mut report = Report::default();

    let run = || {
        let mut command = Command::new(&binary);
        command.args(["run", "--", "true"]).env("TMPDIR", scratch.path());
        command
    };
    let took = median(size.runs, run)?;
    report.add(Figure::new("outport run -- true", took, "ms").at_most(400.0));

    let (mut server, _) = Server::start(&binary, &scratch.path().join("data"))?;
    api::prepare(&mut server)?;
    server.stop()?;
    api::make_tasks(setting.repository, &server, &[(CLUSTER, size.tasks)])?;
    server.start_again()?;
    for (word, aim) in [("status", Some(200.0)), ("ps", None)] {
        let url = format!("http://{}", server.address());
        let look = || {
            let mut command = Command::new(&binary);
            command.arg(word).env_remove("OUTPORT_DATA_DIR").env("AWS_ENDPOINT_URL", &url);
            command.env("AWS_REGION", "us-east-1");
            command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", KEY);
            command
        };
        let took = median(size.looks, look)?;
        let figure = Figure::new(format!("outport {word}"), took, "ms").of("tasks", size.tasks);
        report.add(match aim {
            Some(aim) => figure.at_most(aim),
            None => figure,
        });
    }
    server.stop()?;
    Ok(report.into_figures())
}

/// How long a command takes from its start to its end, in milliseconds.
fn median(times: usize, command: impl Fn() -> Command) -> Result<f64> {
    let mut figures = Figures::default();
    for _ in 0..times {
        interrupt::check()?;
        figures.add(once(&mut command())?);
    }
    Ok(figures.percentile_ms(50))
}

fn once(command: &mut Command) -> Result<Duration> {
    let began = Instant::now();
    let done = command.stdin(Stdio::null()).output()?;
    let took = began.elapsed();
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(took)
}
