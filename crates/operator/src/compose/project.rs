//! A compose file as a project: its name and its services, checked against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::ComposeOptions;
use super::complaints::Complaints;
use super::definition::is_essential;
use super::read::{At, fill};
use super::service::{Condition, Dependency, Restart, Service};
use super::variables::{Variables, env_file};
use super::yaml::{self, FILE_BYTES_MAX, Node, Value};

/// In this order.
const FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// What Docker merges into those; here nothing is.
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];
/// Containers of one task definition, as at AWS.
const SERVICES_MAX: usize = 10;
/// Of a project: it names a family, a service, a log group and repositories.
const NAME_LENGTH_MAX: usize = 63;

#[derive(Debug)]
pub struct Project {
    pub name: String,
    /// What paths are relative to.
    pub directory: PathBuf,
    /// In the order of the file.
    pub services: Vec<Service>,
    /// How many tasks.
    pub replicas: u64,
    /// What whoever calls should know.
    pub notes: Vec<String>,
}

/// Where the file is, and its directory.
fn place(options: &ComposeOptions) -> Result<(PathBuf, PathBuf)> {
    let path = match &options.file {
        Some(file) => file.clone(),
        None => FILES.iter().map(PathBuf::from).find(|path| path.exists()).with_context(|| {
            format!("there is none of {} here: name a file with -f", FILES.join(", "))
        })?,
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    Ok((path, directory))
}

impl Project {
    /// # Errors
    /// All that is wrong with the file, each with its line.
    pub fn read(options: &ComposeOptions) -> Result<Self> {
        let (path, directory) = place(options)?;
        let text = text_of(&path)?;
        let file = path.display().to_string();
        let mut variables = Variables { values: values(&directory)?, ..Variables::default() };
        let mut project = Self::of(&text, &file, &directory, options, &mut variables)?;
        if options.file.is_none() {
            let beside = OVERRIDES.iter().filter(|name| directory.join(name).exists());
            project
                .notes
                .extend(beside.map(|name| format!("{name} is not read: name one file with -f")));
        }
        Ok(project)
    }

    /// Of a text; of the disk only files that it names are read.
    pub fn of(
        text: &str,
        file: &str,
        directory: &Path,
        options: &ComposeOptions,
        variables: &mut Variables,
    ) -> Result<Self> {
        let mut complaints = Complaints::new(file, &options.ignore);
        let mut node = yaml::parse(text).map_err(|error| anyhow!("{file}:{error}"))?;
        if let Value::Map(map) = &mut node.value {
            // They are there for anchors; what stands for one is filled in at its place.
            map.retain(|(key, _)| !key.starts_with("x-"));
        }
        fill(&mut node, variables, &mut complaints);
        let (services, name) = read_file(&node, &mut complaints);
        let services = started(services, &mut complaints);
        let replicas = replicas(&services, &mut complaints);
        check_dependencies(&services, &mut complaints);
        check_ports(&services, &mut complaints);
        check_essential(&services, &mut complaints);
        let mut project = Self {
            name: String::new(),
            directory: directory.to_owned(),
            services,
            replicas,
            notes: Vec::new(),
        };
        project.read_environment(variables, &mut complaints);
        complaints.check()?;
        project.name = project_name(options, name, directory, variables)?;
        project.notes = complaints.notes;
        let missing = variables.missing.iter();
        project
            .notes
            .extend(missing.map(|name| format!("the variable {name} is not set: it is empty")));
        Ok(project)
    }

    /// Only the name, for who asks what became of a project: nothing else of the file is looked at.
    ///
    /// # Errors
    /// When there is no file, it is no YAML, or the name is none.
    pub fn name_of(options: &ComposeOptions) -> Result<String> {
        let (path, directory) = place(options)?;
        let file = path.display().to_string();
        let mut node = yaml::parse(&text_of(&path)?).map_err(|error| anyhow!("{file}:{error}"))?;
        if let Value::Map(map) = &mut node.value {
            map.retain(|(key, _)| key == "name");
        }
        let mut variables = Variables { values: values(&directory)?, ..Variables::default() };
        let mut complaints = Complaints::new(&file, &[]);
        fill(&mut node, &mut variables, &mut complaints);
        let mut at = At::new("the file", &node, &mut complaints);
        let name = at.map().first().and_then(|(key, node)| at.member(key, node).text());
        complaints.check()?;
        project_name(options, name, &directory, &variables)
    }

    /// What files of variables say comes behind what the service says itself.
    fn read_environment(&mut self, variables: &Variables, complaints: &mut Complaints) {
        for service in &mut self.services {
            let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
            for file in &service.env_files {
                let path = self.directory.join(&file.path);
                if !file.is_required && !path.exists() {
                    continue;
                }
                let lines = text_of(&path)
                    .and_then(|text| env_file(&text).with_context(|| path.display().to_string()));
                match lines {
                    Ok(lines) => found.extend(lines),
                    Err(error) => complaints
                        .add(file.line, format!("services.{}.env_file: {error:#}", service.name)),
                }
            }
            found.extend(service.environment.drain(..));
            let value = |(name, value): (String, Option<String>)| {
                let value = value.or_else(|| variables.values.get(&name).cloned())?;
                Some((name, Some(value)))
            };
            service.environment = found.into_iter().filter_map(value).collect();
        }
    }
}

/// The services of the file, and the name that it gives the project.
fn read_file(node: &Node, complaints: &mut Complaints) -> (Vec<Service>, Option<String>) {
    let (mut services, mut name) = (Vec::new(), None);
    let mut at = At::new("the file", node, complaints);
    for (key, node) in at.map() {
        let mut at = At::new(key.clone(), node, at.complaints);
        match &**key {
            "name" => name = at.text(),
            // Docker's own has no meaning any more.
            "version" => {}
            "services" => {
                for (name, node) in at.map() {
                    services.push(Service::read(name, node.line, node, at.complaints));
                }
            }
            "networks" => {
                at.not_supported("the services of a project share one network of their own")
            }
            "volumes" | "secrets" | "configs" => at.not_supported("Outport has no volumes yet"),
            _ => at.not_supported(""),
        }
    }
    if services.is_empty() {
        complaints.add(node.line, "there are no services");
    }
    (services, name)
}

/// Those that start without being asked for.
fn started(services: Vec<Service>, complaints: &mut Complaints) -> Vec<Service> {
    let (with_profiles, mut services): (Vec<_>, Vec<_>) =
        services.into_iter().partition(|service| service.has_profiles);
    for service in &with_profiles {
        let note = format!(
            "{}:{}: services.{} has a profile, and is left out",
            complaints.file, service.line, service.name
        );
        complaints.notes.push(note);
    }
    let there: BTreeSet<String> = services.iter().map(|service| service.name.clone()).collect();
    let without_health = complaints.ignores("healthcheck");
    for service in &mut services {
        for dependency in &mut service.depends_on {
            if without_health && dependency.condition == Condition::Healthy {
                dependency.condition = Condition::Started;
            }
        }
        service
            .depends_on
            .retain(|dependency| dependency.is_required || there.contains(&dependency.on));
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if service.name.is_empty() || !service.name.chars().all(is_name) {
            complaints.add(
                service.line,
                format!(
                    "services.{}: the name of a container has letters, digits, - and _",
                    service.name
                ),
            );
        }
    }
    if services.len() > SERVICES_MAX {
        complaints.add(
            1,
            format!(
                "{} services, and a task has at most {SERVICES_MAX} containers",
                services.len()
            ),
        );
    }
    services
}

/// One task holds all services, so there are as many of each.
fn replicas(services: &[Service], complaints: &mut Complaints) -> u64 {
    let wanted = |service: &Service| service.replicas.unwrap_or(1);
    let first = services.first().map_or(1, wanted);
    for service in services.iter().filter(|service| wanted(service) != first) {
        complaints.add(
            service.line,
            format!(
                "services.{}.deploy.replicas is {}, and {first} for another: a project is one task, so there are as many of each",
                service.name,
                wanted(service)
            ),
        );
    }
    first
}

fn check_dependencies(services: &[Service], complaints: &mut Complaints) {
    let by_name: BTreeMap<&str, &Service> =
        services.iter().map(|service| (&*service.name, service)).collect();
    for service in services {
        for Dependency { on, line, condition, .. } in &service.depends_on {
            let path = format!("services.{}.depends_on.{on}", service.name);
            match by_name.get(&**on) {
                None => complaints
                    .add(*line, format!("{path}: there is no such service, or it has a profile")),
                Some(target) => match condition {
                    Condition::Completed if target.restart == Restart::Always => complaints.add(
                        *line,
                        format!("{path} waits for the end of a service that is always restarted"),
                    ),
                    Condition::Healthy if target.health_check.is_none() => {
                        complaints.add(
                            *line,
                            format!("{path} waits for the health of a service without healthcheck"),
                        );
                    }
                    _ => {}
                },
            }
        }
        if waits_for_itself(service, &by_name) {
            complaints.add(service.line, format!("services.{} depends on itself", service.name));
        }
    }
}

fn waits_for_itself(service: &Service, by_name: &BTreeMap<&str, &Service>) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![service];
    while let Some(service) = next.pop() {
        for dependency in &service.depends_on {
            if let Some(on) = by_name.get(&*dependency.on)
                && seen.insert(&*on.name)
            {
                next.push(on);
            }
        }
    }
    seen.contains(&*service.name)
}

/// Amazon ECS ends a task with its last essential container, so there has to be one.
fn check_essential(services: &[Service], complaints: &mut Complaints) {
    if let Some(first) = services.first()
        && !services.iter().any(|service| is_essential(services, service))
    {
        complaints.add(
            first.line,
            "no service goes on: each has `restart: \"no\"`, or another one waits for its end",
        );
    }
}

/// The services share the task's ports.
fn check_ports(services: &[Service], complaints: &mut Complaints) {
    let mut taken: BTreeMap<(u16, bool), &str> = BTreeMap::new();
    for service in services {
        for port in service.ports.iter().chain(&service.expose) {
            let owner = taken.entry((port.number, port.is_udp)).or_insert(&service.name);
            if *owner != service.name {
                complaints.add(
                    service.line,
                    format!(
                        "services.{} and services.{owner} both have the port {}: the services of a project share one network, so \
                         each listens on a port of its own",
                        service.name, port.number
                    ),
                );
            }
        }
    }
}

/// Source: Docker's "Specify a project name": command line, environment, file, directory.
fn project_name(
    options: &ComposeOptions,
    of_file: Option<String>,
    directory: &Path,
    variables: &Variables,
) -> Result<String> {
    let said = options
        .project
        .clone()
        .or_else(|| variables.values.get("COMPOSE_PROJECT_NAME").cloned())
        .filter(|name| !name.is_empty())
        .or(of_file);
    let name = match said {
        Some(name) => name,
        None => name_of_directory(directory)?,
    };
    check_name(&name)?;
    Ok(name)
}

fn name_of_directory(directory: &Path) -> Result<String> {
    let directory = directory.canonicalize()?;
    let name = directory.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_part = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    Ok(name.chars().filter(is_part).collect::<String>().trim_start_matches(['-', '_']).to_owned())
}

/// # Errors
/// Says what a name may be.
pub fn check_name(name: &str) -> Result<()> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !begins_well || !name.chars().all(is_part) || name.len() > NAME_LENGTH_MAX {
        bail!(
            "{name:?} cannot name a project: a name has up to {NAME_LENGTH_MAX} small letters, digits, - and _, and begins with \
             one of the first two; give one with -p"
        );
    }
    Ok(())
}

/// The environment, and the file `.env` for what it has not.
fn values(directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let path = directory.join(".env");
    if path.exists() {
        let shown = || path.display().to_string();
        let mut found = Variables::default();
        for (name, value) in env_file(&text_of(&path)?).with_context(shown)? {
            found.values.insert(name, value.unwrap_or_default());
        }
        values = found.values;
    }
    // What is no text names nothing that a compose file could.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    values.extend(environment);
    Ok(values)
}

fn text_of(path: &Path) -> Result<String> {
    let unreadable = || format!("cannot read {}", path.display());
    ensure!(!path.exists() || path.is_file(), "{} is no file", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(unreadable)?;
    ensure!(text.len() as u64 <= FILE_BYTES_MAX, "{} has more than 1 MiB", path.display());
    Ok(text)
}
