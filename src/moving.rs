//! `outport export` and `outport import`: which of the two is read, and where it goes.

use std::path::PathBuf;

use anyhow::{Context, Result};
use outport_model::{AccountId, Region, Scope};
use outport_operator::{
    Account, Endpoint, ExportOptions, ImportOptions, SourceOptions, Surroundings, source,
};
use outport_service_ecs::task_definition::{not_run, refusal};

use crate::command_line::{Export, ExportFormat, From, Import, Which};
use crate::operator::{endpoint, runtime};
use crate::output;

pub fn export(options: Export) -> Result<()> {
    let Export { directory, format, from, data_dir } = options;
    let account = match there(&from) {
        Some(there) => source(&there)?,
        None => Account::of(&here(data_dir)?)?,
    };
    let options = ExportOptions {
        cluster: from.cluster,
        all_revisions: from.all_revisions,
        format: match format {
            ExportFormat::Cli => outport_operator::ExportFormat::Cli,
            ExportFormat::Terraform => outport_operator::ExportFormat::Terraform,
        },
        directory,
    };
    let done = outport_operator::export(&account, &options, output::complain);
    let said = runtime()?.block_on(done)?;
    Ok(output::answer(&said)?)
}

pub fn import(options: Import) -> Result<()> {
    let Import { from, images, dry_run, data_dir } = options;
    let there = there(&from).context(
        "say what is read: --profile PROFILE or --region REGION for an account, or --from-endpoint URL",
    )?;
    let there = source(&there)?;
    let here = here(data_dir)?;
    let (cluster, all_revisions) = (from.cluster, from.all_revisions);
    let options = ImportOptions { cluster, all_revisions, images, dry_run };
    let region = Region::new(&*here.region);
    let surroundings = Surroundings {
        not_run: &not_run,
        refusal: &|definition, account| {
            refusal(definition, &Scope::new(AccountId::new(account), region.clone()))
        },
        say: &output::part_of_answer,
    };
    runtime()?.block_on(outport_operator::import(there, &here, &options, surroundings))
}

/// What the options name, if they do.
fn there(from: &From) -> Option<SourceOptions> {
    let (endpoint, profile) = (from.from_endpoint.clone(), from.profile.clone());
    let region = from.region.clone();
    let is_named = endpoint.is_some() || profile.is_some() || region.is_some();
    is_named.then_some(SourceOptions { endpoint, profile, region })
}

fn here(data_dir: Option<PathBuf>) -> Result<Endpoint> {
    endpoint(&Which { data_dir })
}
