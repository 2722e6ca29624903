//! What the program says of itself: completions for shells, and manual pages. They are asked of a program, so they cannot say
//! anything else than it does.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Release, archive};
use crate::process::{command, output};

/// Shells; what their file is called in the tarball, and where Debian's shells look for it.
const COMPLETIONS: [(&str, &str, &str); 3] = [
    ("bash", "outport.bash", "usr/share/bash-completion/completions/outport"),
    ("zsh", "_outport", "usr/share/zsh/vendor-completions/_outport"),
    ("fish", "outport.fish", "usr/share/fish/vendor_completions.d/outport.fish"),
];

pub struct Pages {
    /// In the order of `COMPLETIONS`.
    completions: Vec<String>,
    /// Where the manual pages are, and their names in order.
    directory: PathBuf,
    manual: Vec<String>,
}

impl Pages {
    /// Asks a program that runs on this machine.
    ///
    /// # Errors
    /// When it does not say them.
    pub fn of(program: &Path, scratch: &Path) -> Result<Self> {
        let program = std::path::absolute(program)?;
        let directory = scratch.join("man");
        let ask = |words: &[&std::ffi::OsStr]| -> Result<String> {
            // Nothing of this machine is to be in them.
            output(command(scratch, &program, words).env_clear())
        };
        let mut completions = Vec::new();
        for (shell, ..) in COMPLETIONS {
            let text = ask(&["completions".as_ref(), shell.as_ref()])?;
            ensure!(
                text.contains("outport"),
                "{} completes nothing for {shell}",
                program.display()
            );
            completions.push(text);
        }
        ask(&["man".as_ref(), directory.as_ref()])?;
        let mut manual = Vec::new();
        for entry in directory.read_dir().context("no manual pages were written")? {
            manual.push(entry?.file_name().into_string().ok().context("names of pages are text")?);
        }
        manual.sort();
        Ok(Self { completions, directory, manual })
    }

    /// As they are, below `root`.
    pub fn place(&self, root: &Path) -> Result<()> {
        for ((_, name, _), text) in COMPLETIONS.iter().zip(&self.completions) {
            archive::place(root, &format!("completions/{name}"), 0o644, text)?;
        }
        for name in &self.manual {
            let page = std::fs::read(self.directory.join(name))?;
            archive::place(root, &format!("man/man1/{name}"), 0o644, page)?;
        }
        Ok(())
    }

    /// Where Debian has them; its policy wants manual pages compressed.
    pub fn place_for_debian(&self, root: &Path, release: &Release) -> Result<()> {
        for ((.., path), text) in COMPLETIONS.iter().zip(&self.completions) {
            archive::place(root, path, 0o644, text)?;
        }
        for name in &self.manual {
            let gzip = ["--no-name", "--best", "--stdout", "--"].map(Path::new);
            let mut gzip = command(&release.scratch, "gzip", gzip);
            let page = gzip.arg(self.directory.join(name)).output().context("cannot start gzip")?;
            ensure!(page.status.success(), "gzip of {name} failed ({})", page.status);
            archive::place(root, &format!("usr/share/man/man1/{name}.gz"), 0o644, page.stdout)?;
        }
        Ok(())
    }
}
