//! `cargo xtask demo`: the main job, step by step, on a scratch data directory.
//!
//! Each command is shown as a person would type it, after `eval "$(outport env)"`, with what came of it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::outport::Outport;
use crate::process::{Scratch, command, output, until};
use crate::{interrupt, setup};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 14566);
/// Beside the default: an Outport that runs already is not disturbed.
const VPC_CIDR: &str = "172.30.0.0/16";
const APP_PORT: u16 = 8000;
const SUBNETS: usize = 2;
const SERVICE_TASKS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);
const FETCH_PATIENCE: Duration = Duration::from_secs(2);

/// What the steps share.
struct Stage {
    scratch: PathBuf,
    path: std::ffi::OsString,
    environment: Vec<(String, String)>,
    repository_uri: String,
    network: String,
}

pub fn run_demo(repository: &Path) -> Result<()> {
    interrupt::watch()?;
    setup::require_root()?;
    setup::install_packages(&[])?;
    let programs = setup::python_programs(repository)?;
    say("building outport (the first time takes some minutes)");
    let binary = setup::build_outport(repository, true)?;
    let scratch = Scratch::new("demo")?;
    let data_dir = scratch.path().join("data");

    say(&format!("outport up --listen {ADDRESS} --data-dir {}", data_dir.display()));
    let began = Instant::now();
    let mut outport = Outport::start(&binary, &data_dir, ADDRESS, VPC_CIDR, |_: &mut Command| {})?;
    println!("    {} ({} ms)", outport.ready()?, began.elapsed().as_millis());
    if let Err(error) = steps(repository, &outport, scratch.path(), &programs) {
        eprintln!("{}", outport.log()?);
        return Err(error);
    }
    say("SIGTERM to outport: it takes everything with it");
    outport.stop()?;
    say(&format!("done, {} s after its start", began.elapsed().as_secs()));
    Ok(())
}

fn steps(repository: &Path, outport: &Outport, scratch: &Path, programs: &Path) -> Result<()> {
    let mut stage = Stage {
        scratch: scratch.to_owned(),
        path: setup::path_with(programs)?,
        environment: outport.environment()?,
        repository_uri: String::new(),
        network: String::new(),
    };
    let identity = stage.aws("sts get-caller-identity")?;
    println!("    {}", text(&identity, "/Arn")?);
    push_image(&mut stage, repository)?;
    stage.network = network(&stage)?;
    let first = register(&stage, "1.0")?;
    run_one_task(&stage, &first)?;
    run_service(&stage, &first)
}

fn push_image(stage: &mut Stage, repository: &Path) -> Result<()> {
    let created = stage.aws("ecr create-repository --repository-name app")?;
    stage.repository_uri = text(&created, "/repository/repositoryUri")?;
    println!("    {}", stage.repository_uri);
    setup::build_image(repository, &stage.scratch)?;
    say("aws ecr get-login-password | skopeo login --username AWS --password-stdin …");
    let registry = stage.repository_uri.split('/').next().unwrap_or_default().to_owned();
    stage.shell(&format!(
        "aws ecr get-login-password | \
         skopeo login --authfile auth.json --username AWS --password-stdin {registry}"
    ))?;
    for tag in ["1.0", "2.0"] {
        let (source, target) =
            (format!("oci:image:{tag}"), format!("docker://{}:{tag}", stage.repository_uri));
        say(&format!("skopeo copy {source} {target}"));
        let copy = "skopeo copy --quiet --insecure-policy --authfile auth.json";
        stage.shell(&format!("{copy} {source} {target}"))?;
    }
    Ok(())
}

fn network(stage: &Stage) -> Result<String> {
    let subnets = stage.aws("ec2 describe-subnets")?;
    let subnets = subnets["Subnets"].as_array().context("a new account has subnets")?;
    let ids = subnets.iter().filter_map(|subnet| subnet["SubnetId"].as_str());
    let ids: Vec<&str> = ids.take(SUBNETS).collect();
    println!("    {}", ids.join(" "));
    Ok(format!("awsvpcConfiguration={{subnets=[{}]}}", ids.join(",")))
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
                "awslogs-stream-prefix": "app", "awslogs-create-group": "true" } },
        }],
    });
    std::fs::write(stage.scratch.join("task.json"), definition.to_string())?;
    let answer = stage.aws("ecs register-task-definition --cli-input-json file://task.json")?;
    let revision = &answer["taskDefinition"]["revision"];
    println!("    app:{revision} runs {}:{tag}", stage.repository_uri);
    Ok(format!("app:{revision}"))
}

fn run_one_task(stage: &Stage, definition: &str) -> Result<()> {
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
    let [created, started] = ["/tasks/0/createdAt", "/tasks/0/startedAt"]
        .map(|pointer| text(&described, pointer).and_then(|time| seconds_of_day(&time)));
    println!("    RUNNING {:.3} s after run-task, the pull included", started? - created?);
    show_page(&described["tasks"][0])?;
    for line in stage.aws_text("logs tail /ecs/app")?.lines() {
        println!("    {line}");
    }
    let stream = format!("app/web/{}", arn.rsplit('/').next().unwrap_or_default());
    let events = stage.aws(&format!(
        "logs get-log-events --log-group-name /ecs/app --log-stream-name {stream}"
    ))?;
    println!("    {}", text(&events, "/events/0/message")?);
    stage.aws(&format!("ecs stop-task --task {arn} --reason shown"))?;
    stage.aws_text(&format!("ecs wait tasks-stopped --tasks {arn}"))?;
    let stopped = stage.aws(&format!("ecs describe-tasks --tasks {arn}"))?;
    let stopped = &stopped["tasks"][0];
    println!("    {}, exit code {}", stopped["stopCode"], stopped["containers"][0]["exitCode"]);
    Ok(())
}

fn run_service(stage: &Stage, definition: &str) -> Result<()> {
    stage.aws(&format!(
        "ecs create-service --service-name web --desired-count {SERVICE_TASKS} \
         --launch-type FARGATE --task-definition {definition} --network-configuration {}",
        stage.network
    ))?;
    stage.aws_text("ecs wait services-stable --services web")?;
    show_pages(stage)?;

    let second = register(stage, "2.0")?;
    stage.aws(&format!("ecs update-service --service web --task-definition {second}"))?;
    stage.aws_text("ecs wait services-stable --services web")?;
    let tasks = show_pages(stage)?;

    kill_a_container(stage, &tasks[0])?;
    show_pages(stage)?;
    let service = stage.aws("ecs describe-services --services web")?;
    let events = service["services"][0]["events"].as_array().cloned().unwrap_or_default();
    for event in events.iter().rev() {
        println!("    {}", event["message"].as_str().unwrap_or_default());
    }
    stage.aws("ecs delete-service --service web --force")?;
    until("the service's tasks are gone", PATIENCE, || {
        Ok(stage.service_tasks()?.is_empty().then_some(()))
    })
}

/// Kills the processes of a task's container as a crash would, and waits for the task that takes
/// its place.
fn kill_a_container(stage: &Stage, task: &Value) -> Result<()> {
    let arn = text(task, "/taskArn")?;
    let id = arn.rsplit('/').next().unwrap_or_default();
    let group = format!("/{id}/web");
    let processes: Vec<String> = std::fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let groups = std::fs::read_to_string(format!("/proc/{name}/cgroup"));
            groups.is_ok_and(|groups| groups.contains(&group))
        })
        .collect();
    ensure!(!processes.is_empty(), "the container of {id} has no process");
    say(&format!("kill -KILL {}", processes.join(" ")));
    // A process may be gone before its turn, with the first of its container.
    Command::new("kill").arg("-KILL").args(&processes).output()?;
    let began = Instant::now();
    until("a new task takes its place", PATIENCE, || {
        let tasks = stage.service_tasks()?;
        let others = tasks.iter().filter(|task| task["taskArn"] != json!(arn));
        let running = others.filter(|task| task["lastStatus"] == "RUNNING").count();
        Ok((running == SERVICE_TASKS).then_some(()))
    })?;
    println!("    {SERVICE_TASKS} tasks run again after {} ms", began.elapsed().as_millis());
    Ok(())
}

/// The service's tasks, with the page that each serves shown.
fn show_pages(stage: &Stage) -> Result<Vec<Value>> {
    let tasks = stage.service_tasks()?;
    ensure!(tasks.len() == SERVICE_TASKS, "{} tasks run", tasks.len());
    tasks.iter().try_for_each(show_page)?;
    Ok(tasks)
}

fn show_page(task: &Value) -> Result<()> {
    let details = task.pointer("/attachments/0/details").and_then(Value::as_array);
    let address: Ipv4Addr = details
        .into_iter()
        .flatten()
        .find(|detail| detail["name"] == "privateIPv4Address")
        .and_then(|detail| detail["value"].as_str())
        .context("the task has an address")?
        .parse()?;
    say(&format!("curl http://{address}:{APP_PORT}/"));
    // RUNNING says that the container runs; its program may still be about to listen.
    let page = until("the page", PATIENCE, || Ok(fetch(address).ok()))?;
    println!("    {}", page.trim());
    Ok(())
}

/// One GET with the simplest client there is.
fn fetch(address: Ipv4Addr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&(address, APP_PORT).into(), FETCH_PATIENCE)?;
    stream.set_read_timeout(Some(FETCH_PATIENCE))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer of HTTP")?;
    ensure!(head.contains(" 200 "), "{head}");
    Ok(body.to_owned())
}

impl Stage {
    /// Shows and runs a command of the AWS CLI; its JSON answer. Words are split at blanks.
    fn aws(&self, line: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.aws_text(line)?)?)
    }

    fn aws_text(&self, line: &str) -> Result<String> {
        say(&format!("aws {}", line.split_whitespace().collect::<Vec<_>>().join(" ")));
        self.aws_silently(line)
    }

    fn aws_silently(&self, line: &str) -> Result<String> {
        output(&mut self.prepared("aws", line.split_whitespace()))
    }

    fn shell(&self, line: &str) -> Result<String> {
        output(&mut self.prepared("sh", ["-c", line]))
    }

    fn prepared<'a>(&self, program: &str, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut prepared = command(&self.scratch, program, words);
        prepared
            .env("PATH", &self.path)
            .env("AWS_PAGER", "")
            .env("AWS_DEFAULT_OUTPUT", "json")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        prepared
    }

    /// The tasks of the service that should run.
    fn service_tasks(&self) -> Result<Vec<Value>> {
        let listed = self.aws_silently("ecs list-tasks --service-name web")?;
        let listed: Value = serde_json::from_str(&listed)?;
        let arns: Vec<&str> =
            listed["taskArns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let described =
            self.aws_silently(&format!("ecs describe-tasks --tasks {}", arns.join(" ")))?;
        let described: Value = serde_json::from_str(&described)?;
        Ok(described["tasks"].as_array().cloned().unwrap_or_default())
    }
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

fn text(answer: &Value, pointer: &str) -> Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("the answer has {pointer}: {answer}"))?.to_owned())
}

fn say(step: &str) {
    println!("==> {step}");
}
