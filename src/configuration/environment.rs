//! Options of the environment: which variables are options, and what is wrong with those that are none.
//!
//! **Invariant:** a variable that is empty says nothing, as in compose files and CI systems, where it stands for "not set".

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::{command, file};

const PREFIX: &str = "OUTPORT_";
/// Read by others: the units of the package, the pytest plugin, our own tests, fail points of a debug build.
const OF_OTHERS: [&str; 7] = [
    "OUTPORT_OPTIONS",
    "OUTPORT_COMMAND",
    "OUTPORT_ENDPOINT",
    "OUTPORT_BINARY",
    "OUTPORT_XTASK",
    "OUTPORT_FAIL_POINTS",
    // Taken before options are read, so that no child has it.
    "OUTPORT_MASTER_KEY",
];

/// The value of a variable; `None` for one that is empty, too.
pub fn value(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// An option whose variable is empty takes nothing of it.
pub fn without_empty(arg: Arg) -> Arg {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    match arg.get_env().is_some_and(is_empty) {
        true => arg.env(Resettable::Reset),
        false => arg,
    }
}

/// The same error, with the variable that has the value if it is not of the command line.
pub fn named(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return error;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let option = argument.split(' ').next().unwrap_or_default().to_owned();
    let is_given = arguments.iter().filter_map(|given| given.to_str()).any(|given| {
        given == option || given.strip_prefix(&*option).is_some_and(|rest| rest.starts_with('='))
    });
    let mut command = command();
    let variable = options(&command)
        .into_iter()
        .find(|known| option.strip_prefix("--") == Some(&known.option))
        .map(|known| known.variable);
    match variable.and_then(|name| Some((value(&name)?, name))) {
        Some((value, name)) if !is_given => {
            let reason = super::reason(&error);
            let text =
                format!("the variable {name} is {value:?}, which {option} does not take: {reason}");
            command.error(error.kind(), text)
        }
        _ => error,
    }
}

/// An option that the environment can say.
struct Known {
    option: String,
    variable: String,
}

fn options(command: &Command) -> Vec<Known> {
    let of = |arg: &Arg| {
        let variable = arg.get_env()?.to_str()?.to_owned();
        Some(Known { option: arg.get_long()?.to_owned(), variable })
    };
    command.get_subcommands().flat_map(Command::get_arguments).filter_map(of).collect()
}

/// Variables that look as if they were options and are none, each with the option's that is most like it.
pub fn unknown_variables() -> Vec<(String, Option<String>)> {
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    unknown(set.filter_map(|(name, _)| name.into_string().ok()))
}

fn unknown(set: impl Iterator<Item = String>) -> Vec<(String, Option<String>)> {
    let command = command();
    let known: Vec<String> = options(&command).into_iter().map(|known| known.variable).collect();
    let is_unknown = |name: &String| {
        name.starts_with(PREFIX) && !known.contains(name) && !OF_OTHERS.contains(&name.as_str())
    };
    let mut found: Vec<_> = set
        .filter(is_unknown)
        .map(|name| {
            // The prefix, which all have, would make all of them alike.
            let likeness =
                |known: &str| file::likeness(&name[PREFIX.len()..], &known[PREFIX.len()..]);
            let known = known.iter().filter(|known| known.starts_with(PREFIX));
            let nearest = file::nearest(known.map(String::as_str), likeness).map(str::to_owned);
            (name, nearest)
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_no_option_is_found_with_the_one_that_was_meant() {
        let set = ["OUTPORT_REGOIN", "OUTPORT_REGION", "OUTPORT_COLOUR", "PATH", "OUTPORT_BINARY"];
        let found = unknown(set.into_iter().map(str::to_owned));
        assert_eq!(
            found,
            [
                ("OUTPORT_COLOUR".to_owned(), None),
                ("OUTPORT_REGOIN".to_owned(), Some("OUTPORT_REGION".to_owned())),
            ]
        );
    }

    #[test]
    fn every_option_of_a_start_is_known() {
        let command = command();
        let known = options(&command);
        let has = |name: &str| known.iter().any(|known| known.variable == name);
        assert!(has("OUTPORT_IMAGES_GIB") && has("OUTPORT_SERVER") && has("OUTPORT_CONFIG"));
    }
}
