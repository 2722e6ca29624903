//! `outport export`.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::account::Account;
use super::cli::{self, File};
use super::inputs::{Inputs, Step, inputs};
use super::terraform;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// Inputs for the AWS CLI, and a script.
    Cli,
    Terraform,
}

#[derive(Debug)]
pub struct ExportOptions {
    /// Only of this cluster.
    pub cluster: Option<String>,
    pub all_revisions: bool,
    pub format: ExportFormat,
    /// Made unless it is there and empty.
    pub directory: PathBuf,
}

const NOT_CARRIED: &str = "not-carried.txt";
const README_CLI: &str = "\
`apply.sh` makes all of it where the AWS CLI of your shell points, by the files of this directory in the order of their
numbers; each is an input of one operation (`--cli-input-json`). What is there already is left as it is; of a task
definition each run registers a revision more. What is refused is said at the end, and the exit code is 1 then; the rest is made.

Account, region and registry become those of where it goes. A service's subnets stay where they are there; elsewhere they
become those of the default VPC, or what you say: SUBNETS='subnet-1 subnet-2' SECURITY_GROUPS='sg-1' ./apply.sh
";
const README_TERRAFORM: &str = "\
    terraform init && terraform plan

makes all of it where your environment points. Elsewhere than here set the variables: account, region, and for each subnet
and security group the one to use (networks). For an Outport, `eval \"$(outport env)\"` sets the endpoint.

Where it was exported from all of it is there already: copy adopt/imports.tf.json beside main.tf.json, so that Terraform
takes it as its own instead of making it again.
";

/// Writes what makes the same into a directory; answers what is said at the end. `complain` takes what is not carried.
///
/// # Errors
/// When the API cannot be asked, or refuses; when the directory has something in it, or cannot be written. Nothing is left of
/// what was written then.
pub async fn export(
    account: &Account,
    options: &ExportOptions,
    complain: impl Fn(String),
) -> Result<String> {
    check(&options.directory)?;
    let found = account.read(options.cluster.as_deref(), options.all_revisions).await?;
    let mut inputs = inputs(found);
    if options.format == ExportFormat::Terraform {
        inputs.left.extend(terraform::left(&inputs));
    }
    let (mut files, how) = match options.format {
        ExportFormat::Cli => (cli::files(&inputs), README_CLI),
        ExportFormat::Terraform => (terraform::files(&inputs), README_TERRAFORM),
    };
    files.push(File::new("README.md", readme(&inputs, how)));
    let not_carried: String = inputs.left.iter().map(|left| format!("{left}\n")).collect();
    files.push(File::new(NOT_CARRIED, not_carried));
    write_all(&options.directory, &files)?;
    for left in &inputs.left {
        complain(format!("not carried: {left}"));
    }
    let directory = options.directory.display();
    let next = match options.format {
        ExportFormat::Cli => format!("{directory}/apply.sh makes it where the AWS CLI points"),
        ExportFormat::Terraform => format!("{directory}/README.md says how it is applied"),
    };
    Ok(format!("exported {}; {next}\n", counts(&inputs)))
}

fn readme(inputs: &Inputs, how: &str) -> String {
    let (account, region) = (&inputs.place.account, &inputs.place.region);
    format!(
        "# From {account} in {region}\n\n{}. Images are not in it: `skopeo copy` carries them from registry to \
         registry.\nWhat is not carried stands in {NOT_CARRIED} ({} things).\n\n{how}",
        counts(inputs),
        inputs.left.len()
    )
}

/// Such as `1 cluster, 2 services, …`.
fn counts(inputs: &Inputs) -> String {
    let services = inputs.steps.iter().filter(|step| matches!(step, Step::Service { .. })).count();
    let counts = [
        (inputs.clusters.len(), "cluster", "clusters"),
        (inputs.steps.len() - services, "task definition", "task definitions"),
        (services, "service", "services"),
        (inputs.repositories.len(), "repository", "repositories"),
        (inputs.log_groups.len(), "log group", "log groups"),
    ];
    let counts = counts.map(|(n, one, many)| format!("{n} {}", if n == 1 { one } else { many }));
    counts.join(", ")
}

/// That files can be written there, before anything is read: nothing is made yet.
fn check(directory: &Path) -> Result<()> {
    let cannot = || format!("cannot write to {}", directory.display());
    match fs::read_dir(directory) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                bail!("{} is not empty: export into a new directory", directory.display());
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(cannot),
    }
    // Of a path that is relative the last is empty: the working directory.
    let is_there = |path: &&Path| path.as_os_str().is_empty() || path.exists();
    let nearest = directory.ancestors().find(is_there).unwrap_or(directory);
    let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
    let may = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(nearest, may).with_context(cannot)
}

/// All files, or none: what was made until one fails goes again.
fn write_all(directory: &Path, files: &[File]) -> Result<()> {
    let mut made = Made::default();
    made.directory(directory)?;
    for file in files {
        made.file(directory, file)?;
    }
    made.paths.clear();
    Ok(())
}

/// What was made, each before what is in it. Dropped it is removed.
#[derive(Default)]
struct Made {
    paths: Vec<PathBuf>,
}

impl Made {
    fn directory(&mut self, directory: &Path) -> Result<()> {
        let missing: Vec<&Path> = directory
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .collect();
        for path in missing.into_iter().rev() {
            fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
            self.paths.push(path.to_owned());
        }
        Ok(())
    }

    fn file(&mut self, directory: &Path, file: &File) -> Result<()> {
        let path = directory.join(&file.path);
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        self.paths.push(path.clone());
        write(&path, file).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.paths.iter().rev() {
            // The error that led here is the one to tell.
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
    }
}

/// Environment variables of containers are often secrets: for its owner alone.
fn write(path: &Path, file: &File) -> std::io::Result<()> {
    let mode = if file.is_executable { 0o700 } else { 0o600 };
    // Nothing that somebody else put there meanwhile is written to, or followed.
    let mut made = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    made.write_all(file.text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_all_written_or_none_and_no_directory_stays() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        let file = |path: &str| File::new(path, "x");
        check(&directory).unwrap();
        assert!(!root.path().join("a").exists(), "nothing is made before there is something");
        // A name that is longer than any file's.
        let long = "x".repeat(300);
        let error = write_all(&directory, &[file("one"), file("in/two"), file(&long)]).unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert!(!root.path().join("a").exists());
        write_all(&directory, &[file("one"), file("in/two")]).unwrap();
        assert!(directory.join("in/two").exists());
        assert!(check(&directory).unwrap_err().to_string().contains("is not empty"));
        // What was there before stays.
        let mine = root.path().join("mine");
        fs::create_dir(&mine).unwrap();
        write_all(&mine, &[file(&long)]).unwrap_err();
        assert!(mine.exists());
        fs::write(root.path().join("file"), "x").unwrap();
        check(&root.path().join("file/below")).unwrap_err();
    }
}
