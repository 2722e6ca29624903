//! An Outport of a campaign's own that takes tasks, with the demonstration's image in its registry.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Course;
use crate::process::Scratch;
use crate::setup;
use crate::subject::Subject;

/// Dropped, it leaves nothing on the host.
pub struct Stage {
    // Before the scratch directory, which it lives in.
    pub subject: Subject,
    /// The pushed image's reference.
    pub image: String,
    /// A subnet of the default VPC.
    pub subnet: String,
    /// Removed with it.
    _scratch: Scratch,
}

impl Course<'_> {
    /// The program to try. Also installs the packages that running it needs.
    pub fn binary(&self) -> Result<PathBuf> {
        setup::require_root()?;
        setup::install_packages(&[])?;
        match &self.binary {
            Some(binary) => Ok(binary.clone()),
            None => setup::build_outport(self.repository, false),
        }
    }

    /// Starts an Outport with more options, waits until it takes tasks, and pushes the image.
    pub fn stage(&self, options: &[&str]) -> Result<Stage> {
        self.stage_with(options, &[])
    }

    /// The same with more environment.
    pub fn stage_with(&self, options: &[&str], environment: &[(&str, &str)]) -> Result<Stage> {
        let scratch = Scratch::new("campaign")?;
        let data_dir = scratch.path().join("data");
        self.stage_in(scratch, &data_dir, options, environment)
    }

    /// The same on a data directory that is there already.
    pub fn stage_at(&self, data_dir: &Path, options: &[&str]) -> Result<Stage> {
        self.stage_in(Scratch::new("campaign")?, data_dir, options, &[])
    }

    fn stage_in(
        &self,
        scratch: Scratch,
        data_dir: &Path,
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Stage> {
        let binary = self.binary()?;
        let layout = setup::build_image(self.repository, scratch.path())?;
        let (mut subject, _) = Subject::start_in(&binary, data_dir, options, environment)?;
        subject.ready()?;
        let image = subject.push(&layout, "1.0")?;
        let subnet = subject.subnet()?;
        Ok(Stage { subject, image, subnet, _scratch: scratch })
    }
}
