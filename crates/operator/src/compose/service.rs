//! A service of a compose file. Source: Compose Specification, "Services top-level element", "Deploy specification".

use super::complaints::Complaints;
use super::read::At;
use super::short::{self, Port};
use super::yaml::{Node, Value};

/// The longest that Amazon ECS waits between SIGTERM and SIGKILL.
const STOP_TIMEOUT_S_MAX: u64 = 120;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    pub name: String,
    pub line: usize,
    pub image: Option<String>,
    pub build: Option<Build>,
    pub entrypoint: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    /// `None`: whatever the environment says.
    pub environment: Vec<(String, Option<String>)>,
    pub env_files: Vec<EnvFile>,
    pub ports: Vec<Port>,
    /// Those that only other services reach.
    pub expose: Vec<Port>,
    pub depends_on: Vec<Dependency>,
    pub health_check: Option<HealthCheck>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub labels: Vec<(String, Option<String>)>,
    pub memory_mib: Option<u64>,
    pub memory_reservation_mib: Option<u64>,
    pub cpu_units: Option<u64>,
    pub reserved_cpu_units: Option<u64>,
    pub replicas: Option<u64>,
    pub restart: Restart,
    /// Further names by which others reach it.
    pub aliases: Vec<String>,
    pub init: bool,
    pub read_only: bool,
    pub stop_grace_s: Option<u64>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// It does not start without being asked for.
    pub has_profiles: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Build {
    pub context: String,
    pub dockerfile: Option<String>,
    pub target: Option<String>,
    pub arguments: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EnvFile {
    pub path: String,
    pub is_required: bool,
    pub line: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    pub on: String,
    pub condition: Condition,
    pub is_required: bool,
    pub line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    Started,
    Healthy,
    Completed,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthCheck {
    pub test: Vec<String>,
    pub interval_s: Option<u64>,
    pub timeout_s: Option<u64>,
    pub start_period_s: Option<u64>,
    pub retries: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Nothing is said: a service is meant to go on.
    #[default]
    Unsaid,
    Always,
    /// It may end, and nothing else does.
    No,
}

impl Service {
    pub fn read(name: &str, line: usize, node: &Node, complaints: &mut Complaints) -> Self {
        let mut service = Self { name: name.to_owned(), line, ..Self::default() };
        let mut at = At::new(format!("services.{name}"), node, complaints);
        for (key, node) in at.map() {
            if at.complaints.ignores(key) {
                let text = format!("{}.{key}", at.path);
                at.complaints.not_supported(node.line, &text, "");
                continue;
            }
            let mut at = at.member(key, node);
            if !service.take_process(key, &mut at) && !service.take_surroundings(key, &mut at) {
                refuse(key, &mut at);
            }
        }
        if service.image.is_none() && service.build.is_none() {
            complaints.add(line, format!("services.{name} has neither image nor build"));
        }
        service
    }

    /// What runs, and as whom.
    fn take_process(&mut self, key: &str, at: &mut At<'_>) -> bool {
        match key {
            "image" => self.image = at.text(),
            "build" => self.build = build(at),
            "command" => self.command = command(at),
            "entrypoint" => self.entrypoint = command(at),
            "environment" => self.environment = at.pairs(),
            "env_file" => self.env_files = env_files(at),
            "user" => self.user = at.text(),
            "working_dir" => self.working_dir = at.text(),
            "labels" => self.labels = at.pairs(),
            "init" => self.init = at.flag(),
            "read_only" => self.read_only = at.flag(),
            "cap_add" => self.cap_add = at.texts(),
            "cap_drop" => self.cap_drop = at.texts(),
            "mem_limit" => self.memory_mib = at.parsed("a size such as 512m", short::mebibytes),
            "mem_reservation" => {
                self.memory_reservation_mib = at.parsed("a size such as 512m", short::mebibytes);
            }
            "cpus" => self.cpu_units = at.parsed("a number of processors", short::cpu_units),
            _ => return false,
        }
        true
    }

    /// How it stands among others.
    fn take_surroundings(&mut self, key: &str, at: &mut At<'_>) -> bool {
        match key {
            "ports" => self.ports = ports(at),
            "expose" => {
                let texts = at.texts();
                let ports = texts.iter().filter_map(|text| {
                    let ports = short::ports(text);
                    if ports.is_none() {
                        at.wrong(&format!("has {text:?}, and that is no port"));
                    }
                    ports
                });
                self.expose = ports.flatten().collect();
            }
            "depends_on" => self.depends_on = depends_on(at),
            "healthcheck" => self.health_check = health_check(at),
            "container_name" => self.aliases.extend(at.text()),
            "deploy" => self.take_deploy(at),
            "restart" => self.restart = restart(at),
            "stop_grace_period" => {
                self.stop_grace_s = at.parsed("a time such as 10s", short::seconds);
                if self.stop_grace_s.is_some_and(|seconds| seconds > STOP_TIMEOUT_S_MAX) {
                    at.wrong("is more than the 2m that Amazon ECS waits at most");
                }
            }
            "profiles" => self.has_profiles = !at.texts().is_empty(),
            _ if key.starts_with("x-") => {}
            _ => return false,
        }
        true
    }

    fn take_deploy(&mut self, at: &mut At<'_>) {
        for (key, node) in at.map() {
            let mut at = at.member(key, node);
            match &**key {
                "replicas" => {
                    self.replicas = at.parsed("a number", |text| text.parse().ok());
                }
                "mode" if at.text().as_deref() == Some("replicated") => {}
                "resources" => self.take_resources(&mut at),
                _ => at.not_supported(""),
            }
        }
    }

    fn take_resources(&mut self, at: &mut At<'_>) {
        for (kind, node) in at.map() {
            let mut at = at.member(kind, node);
            for (key, node) in at.map() {
                let mut at = at.member(key, node);
                let size = |at: &mut At<'_>| at.parsed("a size such as 512m", short::mebibytes);
                let units = |at: &mut At<'_>| at.parsed("a number of processors", short::cpu_units);
                match (&**kind, &**key) {
                    ("limits", "memory") => self.memory_mib = size(&mut at),
                    ("limits", "cpus") => self.cpu_units = units(&mut at),
                    ("reservations", "memory") => self.memory_reservation_mib = size(&mut at),
                    ("reservations", "cpus") => self.reserved_cpu_units = units(&mut at),
                    _ => at.not_supported(""),
                }
            }
        }
    }
}

/// Why not, for keys that people have.
fn refuse(key: &str, at: &mut At<'_>) {
    at.not_supported(match key {
        "volumes" | "volumes_from" | "tmpfs" | "secrets" | "configs" => {
            "Outport has no volumes yet"
        }
        "networks" | "links" | "network_mode" | "external_links" => {
            "the services of a project share one network of their own"
        }
        "hostname" | "extra_hosts" | "dns" | "dns_search" => {
            "tasks with a network of their own take the names of that"
        }
        "extends" => "write its keys here, or use an anchor",
        _ => "",
    });
}

fn build(at: &mut At<'_>) -> Option<Build> {
    if let Value::Text(context) = &at.node.value {
        return Some(Build { context: context.clone(), ..Build::default() });
    }
    let mut build = Build { context: ".".to_owned(), ..Build::default() };
    for (key, node) in at.map() {
        let mut at = at.member(key, node);
        match &**key {
            "context" => build.context = at.text().unwrap_or_default(),
            "dockerfile" => build.dockerfile = at.text(),
            "target" => build.target = at.text(),
            "args" => build.arguments = at.pairs(),
            _ => at.not_supported(""),
        }
    }
    if build.context.contains("://") || build.context.starts_with("git@") {
        at.wrong("names a repository: build it, and name its image");
    }
    Some(build)
}

fn command(at: &mut At<'_>) -> Option<Vec<String>> {
    let words = match &at.node.value {
        Value::Null => return None,
        Value::Text(_) => at.parsed("what a shell could split", short::words)?,
        _ => at.texts(),
    };
    if words.is_empty() {
        at.wrong("is empty, and a task definition cannot take away what the image says");
        return None;
    }
    Some(words)
}

fn env_files(at: &mut At<'_>) -> Vec<EnvFile> {
    let nodes = match &at.node.value {
        Value::List(list) => list.as_slice(),
        _ => std::slice::from_ref(at.node),
    };
    let mut files = Vec::new();
    for node in nodes {
        let mut at = At::new(at.path.clone(), node, at.complaints);
        let mut file = EnvFile { path: String::new(), is_required: true, line: node.line };
        if let Value::Map(map) = &node.value {
            for (key, node) in map {
                let mut at = at.member(key, node);
                match &**key {
                    "path" => file.path = at.text().unwrap_or_default(),
                    "required" => file.is_required = at.flag(),
                    _ => at.not_supported(""),
                }
            }
        } else {
            file.path = at.text().unwrap_or_default();
        }
        files.push(file);
    }
    files
}

fn ports(at: &mut At<'_>) -> Vec<Port> {
    let mut ports = Vec::new();
    for node in at.list() {
        let mut at = At::new(at.path.clone(), node, at.complaints);
        let Value::Map(map) = &node.value else {
            ports.extend(at.parsed("a port as 8080:80", short::ports).into_iter().flatten());
            continue;
        };
        let (mut target, mut published, mut protocol) = (None, None, "tcp".to_owned());
        for (key, node) in map {
            let mut at = at.member(key, node);
            match &**key {
                "target" => target = at.text(),
                "published" => published = at.text(),
                "protocol" => protocol = at.text().unwrap_or_default(),
                "name" | "app_protocol" | "host_ip" | "mode" => {}
                _ => at.not_supported(""),
            }
        }
        match short::ports(&format!("{}/{protocol}", target.unwrap_or_default())) {
            Some(found) => ports.extend(found.into_iter().map(|port| {
                let asked = published.as_deref().and_then(|text| short::asked(text, 0));
                Port { published: published.clone(), asked, ..port }
            })),
            None => at.wrong("has an entry without a target port"),
        }
    }
    ports
}

fn depends_on(at: &mut At<'_>) -> Vec<Dependency> {
    let dependency = |on: &str, line| Dependency {
        on: on.to_owned(),
        condition: Condition::Started,
        is_required: true,
        line,
    };
    if let Value::List(list) = &at.node.value {
        let texts = at.texts();
        return texts.iter().zip(list).map(|(on, node)| dependency(on, node.line)).collect();
    }
    let mut dependencies = Vec::new();
    for (on, node) in at.map() {
        let mut at = at.member(on, node);
        let mut dependency = dependency(on, node.line);
        for (key, node) in at.map() {
            let mut at = at.member(key, node);
            match &**key {
                "condition" => {
                    let condition = |text: &str| match text {
                        "service_started" => Some(Condition::Started),
                        "service_healthy" => Some(Condition::Healthy),
                        "service_completed_successfully" => Some(Condition::Completed),
                        _ => None,
                    };
                    dependency.line = node.line;
                    let found = at.parsed("a condition of the Compose Specification", condition);
                    dependency.condition = found.unwrap_or(Condition::Started);
                }
                "required" => dependency.is_required = at.flag(),
                "restart" => {}
                _ => at.not_supported(""),
            }
        }
        dependencies.push(dependency);
    }
    dependencies
}

/// Source of the ranges: botocore's documentation of `HealthCheck`.
fn health_check(at: &mut At<'_>) -> Option<HealthCheck> {
    let mut check = HealthCheck::default();
    let mut is_off = false;
    for (key, node) in at.map() {
        let mut at = at.member(key, node);
        let mut within = |most: std::ops::RangeInclusive<u64>| {
            let seconds = at.parsed("a time such as 30s", short::seconds)?;
            if !most.contains(&seconds) {
                let (least, most) = most.into_inner();
                at.wrong(&format!("is not between {least}s and {most}s, as Amazon ECS takes it"));
            }
            Some(seconds)
        };
        match &**key {
            "interval" => check.interval_s = within(5..=300),
            "timeout" => check.timeout_s = within(2..=60),
            "start_period" => check.start_period_s = within(0..=300),
            "retries" => {
                let retries = |text: &str| text.parse().ok().filter(|n| (1..=10).contains(n));
                check.retries = at.parsed("a number from 1 to 10", retries);
            }
            "disable" => is_off = at.flag(),
            "test" => {
                check.test = match &node.value {
                    Value::Text(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
                    _ => at.texts(),
                };
                is_off |= check.test.first().is_some_and(|first| first == "NONE");
            }
            _ => at.not_supported(""),
        }
    }
    if is_off {
        return None;
    }
    if !check.test.first().is_some_and(|first| first == "CMD" || first == "CMD-SHELL") {
        at.wrong("has no test, or one that begins neither with CMD nor with CMD-SHELL");
    }
    Some(check)
}

fn restart(at: &mut At<'_>) -> Restart {
    let restart = |text: &str| match text {
        "always" | "unless-stopped" => Some(Restart::Always),
        "no" | "false" => Some(Restart::No),
        _ => None,
    };
    at.parsed("always, unless-stopped or no", restart).unwrap_or_default()
}
