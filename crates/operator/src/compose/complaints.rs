//! What is wrong with a compose file: all of it at once, each with its line.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

/// A file may be wrong in every line; a person reads as many.
const SHOWN_MAX: usize = 50;

#[derive(Debug, Default)]
pub struct Complaints {
    /// What begins each line: the file's name.
    pub file: String,
    /// Keys that whoever calls can do without.
    ignored: BTreeSet<String>,
    found: Vec<(usize, String)>,
    /// What was ignored, and other things to know.
    pub notes: Vec<String>,
}

impl Complaints {
    pub fn new(file: &str, ignored: &[String]) -> Self {
        let ignored = ignored.iter().cloned().collect();
        Self { file: file.to_owned(), ignored, ..Self::default() }
    }

    pub fn add(&mut self, line: usize, text: impl Into<String>) {
        self.found.push((line, text.into()));
    }

    /// A key that cannot be run: complained about, or noted where it is ignored. `path` ends with the key.
    pub fn not_supported(&mut self, line: usize, path: &str, why: &str) {
        let key = path.rsplit('.').next().unwrap_or(path);
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        if self.ignores(key) {
            self.notes.push(format!("{}:{line}: {path} is ignored", self.file));
        } else {
            let text = format!("{path} is not supported{why}; --ignore {key} starts without it");
            self.add(line, text);
        }
    }

    pub fn ignores(&self, key: &str) -> bool {
        self.ignored.contains(key)
    }

    /// # Errors
    /// When there is any complaint: all of them, in the order of the file.
    pub fn check(&mut self) -> Result<()> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort();
        // An alias has the line of what it stands for, once for each place.
        self.found.dedup();
        let mut lines: Vec<String> = self
            .found
            .iter()
            .take(SHOWN_MAX)
            .map(|(line, text)| format!("{}:{line}: {text}", self.file))
            .collect();
        if self.found.len() > SHOWN_MAX {
            lines.push(format!("and {} more", self.found.len() - SHOWN_MAX));
        }
        bail!("{}", lines.join("\n"))
    }
}
