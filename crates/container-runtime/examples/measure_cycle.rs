//! Measures create + start + wait + remove of `/bin/true`, in turn with `runc run` of the same root.
//!
//! `measure_cycle <shim binary> <static busybox> [runs]`, as root. Prints medians and tenths.
#![allow(clippy::disallowed_methods, reason = "what an example makes is no secret")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints what it measured")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use outport_container_runtime::{ContainerSpec, Rootfs, Runtime, RuntimeSettings};

const RUNS_DEFAULT: usize = 50;
const RUNC: &str = "/usr/sbin/runc";
const WAIT: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let shim = args.next().ok_or("which shim?")?;
    let busybox = args.next().ok_or("which busybox?")?;
    let runs = args.next().map_or(Ok(RUNS_DEFAULT), |text| text.parse())?;
    let name = format!("outport-measure-{}", std::process::id());
    let base = std::env::temp_dir().join(&name);
    let layer = base.join("layer");
    for directory in ["bin", "proc", "sys", "dev", "etc"] {
        fs::create_dir_all(layer.join(directory))?;
    }
    fs::copy(busybox, layer.join("bin/true"))?;
    let runtime = Runtime::new(RuntimeSettings {
        root_dir: base.join("data"),
        run_dir: Path::new("/run").join(&name),
        cgroup_root: name.clone(),
        shim_binary: PathBuf::from(shim),
        shim_args: Vec::new(),
        allow_privileged: false,
    })?;
    let bundle = runc_bundle(&base, &layer)?;
    let mut steps: [Vec<Duration>; 6] = Default::default();
    for run in 0..runs {
        let times = cycle(&runtime, &format!("r{run}"), &layer)?;
        steps.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
        if let Some(bundle) = &bundle {
            let begun = Instant::now();
            let run = Command::new(RUNC)
                .args(["run", "--bundle"])
                .arg(bundle)
                .arg(format!("runc-{name}"))
                .stdin(Stdio::null())
                .status()?;
            assert!(run.success());
            steps[5].push(begun.elapsed());
        }
    }
    for (name, times) in
        ["create", "start", "wait", "remove", "all", "runc run"].iter().zip(&mut steps)
    {
        times.sort_unstable();
        if let Some(median) = times.get(times.len() / 2) {
            let (low, high) = (times[times.len() / 10], times[times.len() * 9 / 10]);
            println!("{name:9} p50 {median:9.2?}   p10 {low:9.2?}   p90 {high:9.2?}");
        }
    }
    runtime.remove_all()?;
    fs::remove_dir_all(Path::new("/run").join(&name))?;
    fs::remove_dir_all(base)?;
    Ok(())
}

fn cycle(runtime: &Runtime, name: &str, layer: &Path) -> Result<[Duration; 5], Failure> {
    let begun = Instant::now();
    let rootfs = Rootfs::Layers(vec![layer.to_owned()]);
    let shim = runtime.create("measure", name, ContainerSpec::new(rootfs, vec!["true".into()]))?;
    let created = begun.elapsed();
    shim.start()?;
    let started = begun.elapsed();
    shim.wait(WAIT)?.ok_or("it does not end")?;
    let ended = begun.elapsed();
    runtime.remove("measure", name)?;
    let removed = begun.elapsed();
    Ok([created, started - created, ended - started, removed - ended, removed])
}

/// runc's own default document, for the same root.
fn runc_bundle(base: &Path, layer: &Path) -> Result<Option<PathBuf>, Failure> {
    if !Path::new(RUNC).exists() {
        return Ok(None);
    }
    let bundle = base.join("bundle");
    fs::create_dir_all(&bundle)?;
    let made = Command::new(RUNC).args(["spec", "--bundle"]).arg(&bundle).status()?;
    assert!(made.success());
    let config = bundle.join("config.json");
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&config)?)?;
    document["process"]["args"] = serde_json::json!(["/bin/true"]);
    document["process"]["terminal"] = serde_json::json!(false);
    document["root"]["path"] = serde_json::json!(layer);
    fs::write(config, document.to_string())?;
    Ok(Some(bundle))
}
