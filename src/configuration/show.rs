//! `outport config show`: what a start would take for each option, and where that comes from.
//!
//! **Invariant:** no secret is printed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};
use outport_service_ec2::default_vpc;

use super::{Configured, FILE, configured, file_of, is_secret};
use crate::command_line::{Command, ConfigShow, DATA_DIR};
use crate::control_plane::check_options;
use crate::installation::{DEFAULT_ACCOUNT_ID, DEFAULT_CLUSTER, DEFAULT_REGION};
use crate::output;
use crate::settings::Settings;

const NOT_GIVEN: &str = "-";
const COMMAND: &str = "up";

/// An option as it is shown.
struct Row {
    name: String,
    value: String,
    source: String,
}

/// Prints it.
///
/// # Errors
/// When the file or an option is wrong, or what the data directory keeps cannot be read.
pub fn show(options: &ConfigShow) -> Result<()> {
    let Configured { command_line, matches, command, entries } = configured(&arguments(options))?;
    // What a start would refuse is refused here, in the same words.
    match &command_line.command {
        Command::Up(up) => check_options(&up.control_plane)?,
        Command::Server(server) => check_options(&server.control_plane)?,
        _ => {}
    }
    let (name, given) = matches.subcommand().context("no command was given")?;
    let data_dir = given.get_one::<PathBuf>("data_dir").cloned();
    let settings = Settings::read(&data_dir.unwrap_or_else(|| DATA_DIR.into()))?;
    let sub = command.find_subcommand(name).context("no such command")?;
    let mut rows = Vec::new();
    for arg in sub.get_arguments() {
        let Some(name) =
            arg.get_long().filter(|name| !["help", "version", "config"].contains(name))
        else {
            continue;
        };
        let id = arg.get_id().as_str();
        let value = if is_secret(name) && given.contains_id(id) {
            "(not shown)".to_owned()
        } else {
            value_of(given, id).unwrap_or_else(|| NOT_GIVEN.to_owned())
        };
        let entry = entries.iter().find(|entry| entry.name == name);
        let source = match (given.value_source(id), entry) {
            (Some(ValueSource::CommandLine), _) => "flag".to_owned(),
            (Some(ValueSource::EnvVariable), _) => format!("env {}", environment_name(arg)),
            (Some(ValueSource::DefaultValue), Some(entry)) if same(given, id, &entry.values) => {
                format!("file {}", entry.place())
            }
            _ => "default".to_owned(),
        };
        rows.push(with_stored(Row { name: name.to_owned(), value, source }, &settings));
    }
    for (name, nearest) in super::unknown_variables() {
        let nearest =
            nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
        output::complain(format_args!(
            "the environment has {name}, and no option is called so{nearest}"
        ));
    }
    let file = match file_of(given)? {
        Some(path) => format!("configuration file: {}\n", path.display()),
        None => format!("configuration file: none ({FILE} is not there)\n"),
    };
    output::answer(&format!("{file}{}", table(&rows))).context("cannot print")
}

/// The command line that is asked about.
fn arguments(options: &ConfigShow) -> Vec<OsString> {
    let mut arguments = vec![OsString::from("outport")];
    let names_command = options.arguments.first().and_then(|first| first.to_str());
    if !names_command.is_some_and(|first| super::CONFIGURABLE.contains(&first)) {
        arguments.push(COMMAND.into());
    }
    arguments.extend(options.arguments.iter().cloned());
    arguments
}

fn value_of(given: &ArgMatches, id: &str) -> Option<String> {
    if let Ok(Some(address)) = given.try_get_one::<SocketAddr>(id) {
        return Some(address.to_string());
    }
    if let Ok(Some(flag)) = given.try_get_one::<bool>(id) {
        return Some(flag.to_string());
    }
    let raw = given.get_raw(id)?.map(|value| value.to_string_lossy().into_owned());
    Some(raw.collect::<Vec<_>>().join(","))
}

/// Whether a default is the file's: a line that gave way to another option is not taken.
fn same(given: &ArgMatches, id: &str, values: &[String]) -> bool {
    let raw = given.get_raw(id).into_iter().flatten();
    raw.map(|value| value.to_string_lossy().into_owned()).eq(values.iter().cloned())
}

fn environment_name(arg: &Arg) -> String {
    arg.get_env().unwrap_or_default().to_string_lossy().into_owned()
}

/// What the first start fixed fills a gap, and refuses what contradicts it.
fn with_stored(row: Row, settings: &Settings) -> Row {
    let (stored, default) = match row.name.as_str() {
        "account-id" => (&settings.account_id, DEFAULT_ACCOUNT_ID.to_owned()),
        "region" => (&settings.region, DEFAULT_REGION.to_owned()),
        "cluster" => (&settings.cluster, DEFAULT_CLUSTER.to_owned()),
        "default-vpc-cidr" => (
            &settings.default_vpc_cidr,
            format!("{}, or another one that is free", default_vpc::DEFAULT_CIDR),
        ),
        _ => return row,
    };
    match stored {
        None if row.value == NOT_GIVEN => Row { value: default, ..row },
        Some(stored) if row.value == NOT_GIVEN => {
            Row { value: stored.clone(), source: "stored".to_owned(), ..row }
        }
        Some(stored) if *stored != row.value => {
            let source = format!("{}; refused, since {stored} is stored", row.source);
            Row { source, ..row }
        }
        _ => row,
    }
}

fn table(rows: &[Row]) -> String {
    let width = |text: fn(&Row) -> &str| {
        rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0)
    };
    let (names, values) = (width(|row| &row.name), width(|row| &row.value));
    let line =
        |row: &Row| format!("{:<names$}  {:<values$}  {}\n", row.name, row.value, row.source);
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, stored: Option<&str>, expected: &str) {
        let settings = Settings { cluster: stored.map(str::to_owned), ..Settings::default() };
        let source = if value == NOT_GIVEN { "default" } else { "flag" };
        let row = Row { name: "cluster".into(), value: value.into(), source: source.into() };
        assert_eq!(table(&[with_stored(row, &settings)]), expected);
    }

    #[test]
    fn what_is_stored_fills_a_gap_and_refuses_a_contradiction() {
        check("-", None, "cluster  default  default\n");
        check("-", Some("edge"), "cluster  edge  stored\n");
        check("edge", Some("edge"), "cluster  edge  flag\n");
        check("mine", Some("edge"), "cluster  mine  flag; refused, since edge is stored\n");
    }
}
