//! `cargo xtask demo`: the main job, step by step, on a scratch data directory.
//!
//! Each command is shown as a person would type it, with what came of it.

mod stage;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use self::stage::{Stage, came, processes_of, say, text};
use crate::outport::Outport;
use crate::process::{Scratch, memory_mib, until};
use crate::steps::Steps;
use crate::{interrupt, setup};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 14566);
/// Beside the default: an Outport that runs already is not disturbed.
const VPC_CIDR: &str = "172.30.0.0/16";
const APP_PORT: u16 = 8000;
const SUBNETS: usize = 2;
const SERVICE_TASKS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);

#[derive(Args)]
pub struct Options {
    /// Leave Outport and the service running at the end, to play with, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// What is said at the end.
#[derive(Default)]
struct Figures {
    ready: Duration,
    idle_mib: f64,
    running_s: f64,
    healed: Duration,
    busy_mib: f64,
}

pub fn run_demo(repository: &Path, options: Options) -> Result<()> {
    const STEPS: usize = 9;
    let began = Instant::now();
    interrupt::watch()?;
    setup::require_root()?;
    let mut steps_said = Steps::new(STEPS);
    let mut step = |what: &str| {
        println!();
        steps_said.begin(what);
    };
    step("what this needs: Debian's packages, the AWS CLI");
    setup::install_packages(&[])?;
    let programs = setup::python_programs(repository)?;
    step("build outport (the first time takes some minutes)");
    let binary = setup::build_outport(repository, true)?;
    let scratch = Scratch::new("demo")?;
    let data_dir = scratch.path().join("data");

    step("start it");
    let program = binary.display();
    let at = data_dir.display();
    say(&format!(
        "OUTPORT_TASK_HEALTHY_AFTER=1 {program} up --listen {ADDRESS} --data-dir {at} --default-vpc-cidr {VPC_CIDR}"
    ));
    let mut figures = Figures::default();
    let started = Instant::now();
    let mut outport = Outport::start(&binary, &data_dir, ADDRESS, VPC_CIDR, |_: &mut Command| {})?;
    let ready = outport.ready()?;
    figures.ready = started.elapsed();
    came(format_args!("{ready} ({} ms)", figures.ready.as_millis()));
    figures.idle_mib = memory_mib(outport.id()?)?.0;
    say(&format!("eval \"$({program} env --data-dir {at})\""));
    let mut stage = Stage {
        scratch: scratch.path().to_owned(),
        path: setup::path_with(&programs)?,
        environment: outport.environment()?,
        repository_uri: String::new(),
        network: String::new(),
    };
    if let Err(error) = steps(&mut stage, repository, &outport, &mut figures, &mut step) {
        interrupt::check()?;
        eprintln!("what outport said:\n{}", outport.log()?);
        for line in stage.stopped_tasks().unwrap_or_default() {
            eprintln!("{line}");
        }
        return Err(error);
    }
    if options.keep {
        keep(&stage, &format!("{program} env --data-dir {at}"))?;
    } else {
        say("aws ecs delete-service --service web --force");
        stage.aws_silently("ecs delete-service --service web --force")?;
    }
    step("stop it: SIGTERM, and it takes everything with it");
    outport.stop()?;
    figures.show();
    println!(
        "\nAll that was made is gone again, {} s after the beginning.",
        began.elapsed().as_secs()
    );
    println!(
        "Next: `sudo {program} up` keeps one running; README.md says how to use it, and\n\
         `cargo xtask demo --keep` leaves this one up to play with."
    );
    Ok(())
}

fn steps(
    stage: &mut Stage,
    repository: &Path,
    outport: &Outport,
    figures: &mut Figures,
    step: &mut impl FnMut(&str),
) -> Result<()> {
    came(text(&stage.aws("sts get-caller-identity")?, "/Arn")?);
    step("push an image, to a registry of its own");
    push_image(stage, repository)?;
    stage.network = network(stage)?;
    step("register a task definition");
    make_execution_role(stage)?;
    let first = register(stage, "1.0")?;
    step("run a task on Fargate");
    figures.running_s = run_one_task(stage, &first)?;
    step("run a service, and bring a new version of it");
    run_service(stage, &first)?;
    step("a crash");
    figures.healed = kill_a_container(stage)?;
    figures.busy_mib = memory_mib(outport.id()?)?.0;
    Ok(())
}

fn push_image(stage: &mut Stage, repository: &Path) -> Result<()> {
    let created = stage.aws("ecr create-repository --repository-name app")?;
    stage.repository_uri = text(&created, "/repository/repositoryUri")?;
    came(&stage.repository_uri);
    setup::build_image(repository, &stage.scratch)?;
    came("an image was built here, of Debian's busybox: it answers with a page");
    let registry = stage.repository_uri.split('/').next().unwrap_or_default().to_owned();
    let login = format!(
        "aws ecr get-login-password | \
         skopeo login --authfile auth.json --username AWS --password-stdin {registry}"
    );
    say(&login);
    stage.shell(&login)?;
    for tag in ["1.0", "2.0"] {
        let target = format!("docker://{}:{tag}", stage.repository_uri);
        let copy =
            format!("skopeo copy --insecure-policy --authfile auth.json oci:image:{tag} {target}");
        say(&copy);
        stage.shell(&copy)?;
    }
    Ok(())
}

fn network(stage: &Stage) -> Result<String> {
    let subnets = stage.aws("ec2 describe-subnets")?;
    let subnets = subnets["Subnets"].as_array().context("a new account has subnets")?;
    let ids = subnets.iter().filter_map(|subnet| subnet["SubnetId"].as_str());
    let ids: Vec<&str> = ids.take(SUBNETS).collect();
    came(ids.join(" "));
    Ok(format!("awsvpcConfiguration={{subnets=[{}]}}", ids.join(",")))
}

/// With the permissions of this role images are pulled and logs are written.
fn make_execution_role(stage: &Stage) -> Result<()> {
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "ecs-tasks.amazonaws.com" },
        "Action": "sts:AssumeRole",
    }] });
    std::fs::write(stage.scratch.join("trust.json"), serde_json::to_string_pretty(&trust)?)?;
    let role = "--role-name ecsTaskExecutionRole";
    let policy = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
    let made = stage
        .aws(&format!("iam create-role {role} --assume-role-policy-document file://trust.json"))?;
    came(text(&made, "/Role/Arn")?);
    stage.aws_text(&format!("iam attach-role-policy {role} --policy-arn {policy}"))?;
    stage.aws_text("logs create-log-group --log-group-name /ecs/app")?;
    Ok(())
}

/// Registers a task definition of the image; its family and revision.
fn register(stage: &Stage, tag: &str) -> Result<String> {
    let definition = json!({
        "family": "app", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
        "cpu": "256", "memory": "512",
        "executionRoleArn": "arn:aws:iam::000000000000:role/ecsTaskExecutionRole",
        "containerDefinitions": [{
            "name": "web", "image": format!("{}:{tag}", stage.repository_uri),
            "portMappings": [{ "containerPort": APP_PORT }],
            "logConfiguration": { "logDriver": "awslogs", "options": {
                "awslogs-group": "/ecs/app", "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": "app" } },
        }],
    });
    let definition = serde_json::to_string_pretty(&definition)?;
    std::fs::write(stage.scratch.join("task.json"), &definition)?;
    if tag == "1.0" {
        say("cat task.json");
        definition.lines().for_each(came);
    } else {
        came(format_args!("task.json as before, with the image's tag {tag}"));
    }
    let answer = stage.aws("ecs register-task-definition --cli-input-json file://task.json")?;
    let revision = &answer["taskDefinition"]["revision"];
    came(format_args!("app:{revision} runs {}:{tag}", stage.repository_uri));
    Ok(format!("app:{revision}"))
}

/// Runs, looks at and stops it; how many seconds it took to be RUNNING.
fn run_one_task(stage: &Stage, definition: &str) -> Result<f64> {
    let answer = stage.aws(&format!(
        "ecs run-task --launch-type FARGATE --task-definition {definition} \
         --network-configuration {}",
        stage.network
    ))?;
    ensure!(answer["failures"] == json!([]), "it was not placed: {}", answer["failures"]);
    let arn = text(&answer, "/tasks/0/taskArn")?;
    stage.aws_text(&format!("ecs wait tasks-running --tasks {arn}"))?;
    let described = stage.aws(&format!("ecs describe-tasks --tasks {arn}"))?;
    // By its own times: the waiter looks every 6 s only.
    let task = &described["tasks"][0];
    let running_s = seconds(task, "/startedAt")? - seconds(task, "/createdAt")?;
    came(format_args!("RUNNING {running_s:.3} s after run-task, the pull included"));
    let page = stage.page(task)?;
    say(&format!("curl {}", page.url));
    came(page.text);
    stage.aws_text("logs tail /ecs/app")?.lines().for_each(came);
    let stream = format!("app/web/{}", arn.rsplit('/').next().unwrap_or_default());
    let events = stage.aws(&format!(
        "logs get-log-events --log-group-name /ecs/app --log-stream-name {stream}"
    ))?;
    came(text(&events, "/events/0/message")?);
    stage.aws(&format!("ecs stop-task --task {arn} --reason shown"))?;
    stage.aws_text(&format!("ecs wait tasks-stopped --tasks {arn}"))?;
    let stopped = stage.aws(&format!("ecs describe-tasks --tasks {arn}"))?;
    let stopped = &stopped["tasks"][0];
    came(format_args!(
        "{}, exit code {}",
        text(stopped, "/stopCode")?,
        stopped["containers"][0]["exitCode"]
    ));
    Ok(running_s)
}

fn run_service(stage: &Stage, definition: &str) -> Result<()> {
    stage.aws(&format!(
        "ecs create-service --service-name web --desired-count {SERVICE_TASKS} \
         --launch-type FARGATE --task-definition {definition} --network-configuration {}",
        stage.network
    ))?;
    wait_until_stable(stage)?;
    let second = register(stage, "2.0")?;
    stage.aws(&format!("ecs update-service --service web --task-definition {second}"))?;
    wait_until_stable(stage)
}

fn wait_until_stable(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    stage.aws_text("ecs wait services-stable --services web")?;
    let seconds = began.elapsed().as_secs();
    came(format_args!("stable ({seconds} s; the AWS CLI looks every 15 s only)"));
    show_pages(stage)
}

/// What each of the service's tasks answers.
fn show_pages(stage: &Stage) -> Result<()> {
    let tasks = stage.service_tasks()?;
    ensure!(tasks.len() == SERVICE_TASKS, "{} tasks run", tasks.len());
    for task in &tasks {
        let page = stage.page(task)?;
        came(format_args!("{}  {}", page.url, page.text));
    }
    Ok(())
}

/// Kills the processes of a task's container as a crash would, and waits for the task that takes its place; how long
/// that took.
fn kill_a_container(stage: &Stage) -> Result<Duration> {
    let tasks = stage.service_tasks()?;
    let arn = text(tasks.first().context("the service has tasks")?, "/taskArn")?;
    let id = arn.rsplit('/').next().unwrap_or_default();
    let processes = processes_of(id, "web")?;
    ensure!(!processes.is_empty(), "the container of {id} has no process");
    came(format_args!("the processes of the container of task {id} are killed"));
    say(&format!("kill -KILL {}", processes.join(" ")));
    // A process may be gone before its turn, with the first of its container.
    Command::new("kill").arg("-KILL").args(&processes).output()?;
    until("a new task takes its place", PATIENCE, || {
        let tasks = stage.service_tasks()?;
        let others = tasks.iter().filter(|task| task["taskArn"] != json!(arn));
        let running = others.filter(|task| task["lastStatus"] == "RUNNING").count();
        Ok((running == SERVICE_TASKS).then_some(()))
    })?;
    // By the tasks' own times: each call of the AWS CLI takes about a second.
    let ended = seconds(&stage.task(&arn)?, "/executionStoppedAt")?;
    let started = stage
        .service_tasks()?
        .iter()
        .map(|task| seconds(task, "/startedAt"))
        .collect::<Result<Vec<_>>>()?;
    let healed =
        Duration::from_secs_f64((started.into_iter().fold(ended, f64::max) - ended).max(0.0));
    came(format_args!("{SERVICE_TASKS} tasks run again after {} ms", healed.as_millis()));
    show_pages(stage)?;
    let service = stage.aws("ecs describe-services --services web")?;
    let events = service["services"][0]["events"].as_array().cloned().unwrap_or_default();
    for event in events.iter().rev() {
        came(event["message"].as_str().unwrap_or_default());
    }
    Ok(healed)
}

/// Waits until the person who watches has had enough.
fn keep(stage: &Stage, environment: &str) -> Result<()> {
    println!("\nIt is yours until Ctrl-C. In another shell, as root:");
    println!("    eval \"$({environment})\"");
    println!("    aws ecs list-tasks --service-name web");
    for task in stage.service_tasks()? {
        println!("    curl {}", stage.page(&task)?.url);
    }
    while interrupt::check().is_ok() {
        std::thread::sleep(POLL);
    }
    Ok(())
}

impl Figures {
    fn show(&self) {
        println!("\n    ready after                 {:>7} ms", self.ready.as_millis());
        println!(
            "    a task RUNNING after        {:>7.0} ms, its image pulled",
            self.running_s * 1000.0
        );
        println!("    healed after a crash in     {:>7} ms", self.healed.as_millis());
        println!("    memory when idle            {:>7.0} MiB", self.idle_mib);
        println!("    with a service of {SERVICE_TASKS} tasks   {:>7.0} MiB", self.busy_mib);
    }
}

fn seconds(task: &Value, pointer: &str) -> Result<f64> {
    seconds_of_day(&text(task, pointer)?)
}

/// Of a time as the AWS CLI prints it, `2030-01-31T23:59:59.999000+00:00`.
fn seconds_of_day(time: &str) -> Result<f64> {
    let (_, clock) = time.split_once('T').context("a time of day")?;
    let clock = clock.split(['+', 'Z']).next().unwrap_or_default();
    let mut seconds = 0.0;
    for part in clock.split(':') {
        seconds = seconds * 60.0 + part.parse::<f64>().with_context(|| time.to_owned())?;
    }
    Ok(seconds)
}
