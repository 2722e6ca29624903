//! `cargo xtask tidy`: the rules of the house that a machine can check.
//!
//! **Invariant**: every rule is also a test of this package, so `cargo test` is enough to know.

mod dependencies;
mod files;
mod licence;
mod links;
mod packages;
mod purity;
mod workspace;

use std::path::Path;

use anyhow::{Result, bail};

use workspace::Workspace;

/// What a rule found wrong, one line each.
type Offences = Vec<String>;

/// Checks every rule; fails with all that was found, and lists the long files.
pub fn run(repository: &Path) -> Result<()> {
    let workspace = Workspace::load(repository)?;
    let mut offences = dependencies::check(&workspace);
    offences.extend(purity::check(&workspace));
    offences.extend(packages::check(&workspace));
    offences.extend(files::check_names(repository)?);
    offences.extend(crate::events::check(repository)?);
    offences.extend(crate::metrics::check(repository)?);
    offences.extend(files::check_invariants(&workspace)?);
    offences.extend(links::check(repository)?);
    for (file, lines) in files::long(repository)? {
        println!("{lines:>6} lines: {file}");
    }
    for offence in &offences {
        println!("{offence}");
    }
    if !offences.is_empty() {
        bail!("{} offences against the rules of the house", offences.len());
    }
    println!("tidy");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: impl FnOnce(&Workspace) -> Result<Offences>) {
        let workspace = Workspace::load(&crate::repository()).unwrap();
        let offences = rule(&workspace).unwrap();
        assert!(offences.is_empty(), "{}", offences.join("\n"));
    }

    #[test]
    fn dependencies_point_down() {
        check(|workspace| Ok(dependencies::check(workspace)));
    }

    #[test]
    fn pure_crates_are_pure() {
        check(|workspace| Ok(purity::check(workspace)));
    }

    #[test]
    fn foreign_packages_are_welcome() {
        check(|workspace| Ok(packages::check(workspace)));
    }

    #[test]
    fn names_say_what_is_inside() {
        check(|_| files::check_names(&crate::repository()));
    }

    #[test]
    fn links_lead_somewhere() {
        check(|_| links::check(&crate::repository()));
    }

    #[test]
    fn every_line_of_the_log_has_an_event() {
        check(|_| crate::events::check(&crate::repository()));
    }

    #[test]
    fn every_metric_is_described() {
        check(|_| crate::metrics::check(&crate::repository()));
    }

    #[test]
    fn every_crate_states_its_invariant() {
        check(files::check_invariants);
    }
}
