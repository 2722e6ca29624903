//! `outport import`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Left;
use super::account::{Account, Service};
use super::elsewhere::moved;
use super::images::{self, Copier, Image};
use super::inputs::{Inputs, LogGroup, NO_DEFINITION, Place, Policy, SOURCE_TAG, Step, inputs};
use crate::api::Endpoint;
use crate::value::{list, name_of, text};

/// As many as a resource can have.
const TAGS_MAX: usize = 50;
/// As many as a service takes.
const SUBNETS_MAX: usize = 16;
/// Bytes of a digest: enough to tell two inputs of one revision apart.
const DIGEST_LENGTH: usize = 8;

#[derive(Debug)]
pub struct ImportOptions {
    /// Only of this cluster.
    pub cluster: Option<String>,
    /// All active revisions, not only the newest of each family and those of services.
    pub all_revisions: bool,
    /// Also copy the images of its registry that the definitions name.
    pub images: bool,
    /// Only say what would be made.
    pub dry_run: bool,
}

/// What is handed in beside what is asked.
pub struct Surroundings<'a> {
    /// What of a task definition this version does not run.
    pub not_run: &'a dyn Fn(&Value) -> Vec<String>,
    /// Why this version would not register a task definition in an account, as the API says it.
    pub refusal: &'a dyn Fn(&Value, &str) -> Option<String>,
    /// Takes each line as it comes.
    pub say: &'a dyn Fn(&str) -> io::Result<()>,
}

struct Import<'a> {
    there: Account,
    here: Account,
    from: Place,
    to: Place,
    options: &'a ImportOptions,
    surroundings: Surroundings<'a>,
    /// Of the default VPC.
    subnets: Vec<String>,
    /// ARNs there of revisions that are not run here, and of those that are not made.
    not_run: BTreeSet<String>,
    refused: BTreeSet<String>,
    made: usize,
    left: Vec<Left>,
}

/// Makes here what is there; what is here already is left as it is.
///
/// # Errors
/// When one of the two cannot be asked. What is refused of a single thing is said among what is not carried; when anything
/// that was asked for is not made as a whole, or in a dry run would not be, this ends with an error too.
pub async fn import(
    there: Account,
    here: &Endpoint,
    options: &ImportOptions,
    surroundings: Surroundings<'_>,
) -> Result<()> {
    let here = Account::of(here)?;
    let to = here.place(&[]).await?;
    let url = there.ecs.endpoint.url.trim_end_matches('/');
    if url == here.ecs.endpoint.url.trim_end_matches('/') {
        // Its revisions would be made a second time: none of them came from there.
        bail!(
            "{url} is where it would go, too: --data-dir or AWS_ENDPOINT_URL says which Outport that is"
        );
    }
    (surroundings.say)(&format!("reading {url}\n"))?;
    let found = there.read(options.cluster.as_deref(), options.all_revisions).await?;
    let mut inputs = inputs(found);
    let subnets = here.ecs.subnets().await?;
    let mut import = Import {
        there,
        here,
        from: inputs.place.clone(),
        to,
        options,
        surroundings,
        subnets: subnets.into_iter().take(SUBNETS_MAX).collect(),
        not_run: BTreeSet::new(),
        refused: BTreeSet::new(),
        made: 0,
        left: std::mem::take(&mut inputs.left),
    };
    import.clusters(&inputs.clusters).await?;
    import.repositories(&inputs.repositories).await?;
    import.policies(&inputs.policies).await?;
    for group in &inputs.log_groups {
        import.log_group(group).await?;
    }
    import.images(&inputs).await?;
    import.steps(&inputs.steps).await?;
    import.end()
}

impl Import<'_> {
    fn say(&self, line: &str) -> Result<()> {
        Ok((self.surroundings.say)(&format!("{line}\n"))?)
    }

    fn is_there(&self, what: &str) -> Result<()> {
        self.say(&format!("is here already  {what}"))
    }

    /// The answer; `None` when it was refused, or only would be made.
    async fn make(
        &mut self,
        what: &str,
        service: Service,
        operation: &str,
        input: &Value,
    ) -> Result<Option<Value>> {
        if self.options.dry_run {
            self.made += 1;
            self.say(&format!("would make       {what}"))?;
            return Ok(None);
        }
        match self.here.call(service, operation, input).await {
            Ok(answer) => {
                self.made += 1;
                self.say(&format!("made             {what}"))?;
                Ok(Some(answer))
            }
            Err(error) => self.refused(what, error).map(|()| None),
        }
    }

    /// What is refused is left behind; where nobody answers nothing more can be made.
    fn refused(&mut self, what: &str, error: anyhow::Error) -> Result<()> {
        if error.to_string().starts_with("no answer from") {
            return Err(error);
        }
        let mut why = format!("{error:#}");
        // ECR says no more than that.
        if why.contains("Invalid repository policy provided") {
            why.push_str(
                ". Users and roles that it names have to be here: make them, and import again",
            );
        }
        self.left.push(Left::not_made(what, why));
        Ok(())
    }

    async fn clusters(&mut self, clusters: &[Value]) -> Result<()> {
        for input in clusters {
            let name = text(input, "clusterName");
            let what = format!("cluster {name}");
            let described = json!({ "clusters": [name] });
            let described = self.here.call(Service::Ecs, "DescribeClusters", &described).await?;
            if list(&described, "clusters").iter().any(|one| text(one, "status") == "ACTIVE") {
                self.is_there(&what)?;
            } else {
                self.make(&what, Service::Ecs, "CreateCluster", input).await?;
            }
        }
        Ok(())
    }

    async fn repositories(&mut self, repositories: &[Value]) -> Result<()> {
        let here = self.here.pages(Service::Ecr, "DescribeRepositories", "repositories", json!({}));
        let here = here.await?;
        for input in repositories {
            let what = format!("repository {}", text(input, "repositoryName"));
            if here.iter().any(|one| one["repositoryName"] == input["repositoryName"]) {
                self.is_there(&what)?;
            } else {
                self.make(&what, Service::Ecr, "CreateRepository", input).await?;
            }
        }
        Ok(())
    }

    /// Of repositories that have none here.
    async fn policies(&mut self, policies: &[Policy]) -> Result<()> {
        for Policy { kind, input } in policies {
            let what = format!("{} {}", kind.noun(), text(input, "repositoryName"));
            match self.here.policy(input, *kind).await {
                Ok(Value::Null) => {}
                // In a dry run nobody makes the repository.
                Err(error) if error.to_string().contains("RepositoryNotFound") => {}
                Ok(_) => {
                    self.is_there(&what)?;
                    continue;
                }
                Err(error) => {
                    self.refused(&what, error)?;
                    continue;
                }
            }
            let mut input = input.clone();
            moved(&mut input, &self.from, &self.to);
            self.make(&what, Service::Ecr, kind.put(), &input).await?;
        }
        Ok(())
    }

    async fn log_group(&mut self, group: &LogGroup) -> Result<()> {
        let name = text(&group.input, "logGroupName");
        let what = format!("log group {name}");
        let here = self.here.log_group(name).await?;
        match &here {
            Some(_) => self.is_there(&what)?,
            None => {
                self.make(&what, Service::Logs, "CreateLogGroup", &group.input).await?;
            }
        }
        let is_kept_for = here.and_then(|group| group["retentionInDays"].as_i64());
        match (group.retention_days, is_kept_for) {
            (Some(days), None) => {
                let input = json!({ "logGroupName": name, "retentionInDays": days });
                let what = format!("retention of {name}: {days} days");
                self.make(&what, Service::Logs, "PutRetentionPolicy", &input).await?;
            }
            (Some(there), Some(here)) if there != here => {
                let why = format!("it is {here} days here and left so");
                self.left.push(Left::new(format!("retention of {name}, {there} days"), why));
            }
            _ => {}
        }
        Ok(())
    }

    async fn images(&mut self, inputs: &Inputs) -> Result<()> {
        let named = images::named(inputs);
        if named.is_empty() {
            return Ok(());
        }
        if !self.options.images {
            let what = format!("images of the registry there ({})", named.len());
            self.left.push(Left::new(what, "--images copies them"));
            return Ok(());
        }
        let mut wanted = Vec::new();
        for image in named {
            match images::digest(&self.there, &image).await {
                Ok(Some(digest)) => match images::digest(&self.here, &image).await {
                    Ok(Some(here)) if here == digest => self.is_there(&image.to_string())?,
                    // The repository is not here in a dry run, or was refused.
                    _ => wanted.push(image),
                },
                Ok(None) => self.left.push(Left::not_made(image.to_string(), "it is not there")),
                Err(error) => self.refused(&image.to_string(), error)?,
            }
        }
        self.copy(&wanted).await
    }

    async fn copy(&mut self, wanted: &[Image]) -> Result<()> {
        if self.options.dry_run {
            self.made += wanted.len();
            return wanted
                .iter()
                .try_for_each(|image| self.say(&format!("would copy       {image}")));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let (mut copied, mut left) = (0, Vec::new());
        match Copier::new(&self.there, &self.here).await {
            Ok(copier) => {
                for image in wanted {
                    match copier.copy(image).await {
                        Ok(()) => {
                            copied += 1;
                            self.say(&format!("copied           {image}"))?;
                        }
                        Err(error) => {
                            left.push(Left::not_made(image.to_string(), format!("{error:#}")));
                        }
                    }
                }
            }
            Err(error) => {
                let what = format!("images of the registry there ({})", wanted.len());
                left.push(Left::not_made(what, format!("{error:#}")));
            }
        }
        self.made += copied;
        self.left.append(&mut left);
        Ok(())
    }

    async fn steps(&mut self, steps: &[Step]) -> Result<()> {
        // The revision here of each that is there.
        let mut revisions: BTreeMap<String, String> = BTreeMap::new();
        let (mut family, mut of_family) = (String::new(), Vec::new());
        let mut registered = "";
        for step in steps {
            match step {
                Step::Register { arn, input } => {
                    registered = arn;
                    if family != text(input, "family") {
                        text(input, "family").clone_into(&mut family);
                        of_family = self.here.revisions(&family).await?;
                    }
                    if let Some(here) = self.definition(arn, input, &of_family).await? {
                        revisions.insert(arn.clone(), here);
                    }
                }
                Step::Service { cluster, input } => {
                    let definition = revisions.get(registered).cloned();
                    self.service(cluster, input, definition).await?;
                }
            }
        }
        Ok(())
    }

    /// The ARN of the revision here, if there is one now.
    async fn definition(
        &mut self,
        arn: &str,
        input: &Value,
        of_family: &[Value],
    ) -> Result<Option<String>> {
        let what = format!("task definition {}", name_of(arn));
        let mark = mark(arn, input);
        let mut input = input.clone();
        moved(&mut input, &self.from, &self.to);
        let not_run = (self.surroundings.not_run)(&input);
        if !not_run.is_empty() {
            let why = format!("kept and shown, but not run here: {}", not_run.join(", "));
            self.left.push(Left::new(&*what, why));
            self.not_run.insert(arn.to_owned());
        }
        let has_mark = |one: &&Value| {
            let mut tags = list(one, "tags").iter();
            tags.any(|tag| text(tag, "key") == SOURCE_TAG && text(tag, "value") == mark)
        };
        if let Some(here) = of_family.iter().find(has_mark) {
            self.is_there(&what)?;
            return Ok(Some(text(&here["taskDefinition"], "taskDefinitionArn").to_owned()));
        }
        let mut tags = list(&input, "tags").to_vec();
        if tags.len() >= TAGS_MAX {
            // Another run would not know it.
            let why = format!("it has {TAGS_MAX} tags and none is free for {SOURCE_TAG}");
            return Ok(self.refuse_definition(arn, &what, why));
        }
        tags.push(json!({ "key": SOURCE_TAG, "value": mark }));
        input["tags"] = tags.into();
        // Judged before it is asked for, so that a dry run says the same.
        if let Some(why) = (self.surroundings.refusal)(&input, &self.to.account) {
            return Ok(self.refuse_definition(arn, &what, why));
        }
        let made = self.make(&what, Service::Ecs, "RegisterTaskDefinition", &input).await?;
        if made.is_none() && !self.options.dry_run {
            self.refused.insert(arn.to_owned());
        }
        Ok(made.map(|made| text(&made["taskDefinition"], "taskDefinitionArn").to_owned()))
    }

    /// Its services are not made either.
    fn refuse_definition(&mut self, arn: &str, what: &str, why: String) -> Option<String> {
        self.left.push(Left::not_made(what, why));
        self.refused.insert(arn.to_owned());
        None
    }

    async fn service(
        &mut self,
        cluster: &str,
        input: &Value,
        definition: Option<String>,
    ) -> Result<()> {
        let name = text(input, "serviceName");
        let what = format!("service {name} of {cluster}");
        if let Some(here) = self.service_here(cluster, name).await? {
            self.is_there(&what)?;
            if here["desiredCount"] != input["desiredCount"] {
                let (there, here) = (&input["desiredCount"], &here["desiredCount"]);
                let why = format!("it is {here} here and left so");
                self.left.push(Left::new(format!("{what}: desiredCount {there}"), why));
            }
            if definition.is_some_and(|definition| here["taskDefinition"] != *definition) {
                let why = format!(
                    "it runs {} here and is left so",
                    name_of(text(&here, "taskDefinition"))
                );
                self.left.push(Left::new(format!("{what}: taskDefinition"), why));
            }
            return Ok(());
        }
        let mut input = input.clone();
        input["cluster"] = json!(cluster);
        let there = text(&input, "taskDefinition");
        let why = match (self.not_run.contains(there), self.refused.contains(there)) {
            (_, true) => Some(NO_DEFINITION),
            (true, false) => Some("its task definition is not run here"),
            (false, false) => None,
        };
        if let Some(why) = why {
            self.left.push(Left::not_made(what, why));
            return Ok(());
        }
        // In a dry run there is none.
        if let Some(definition) = definition {
            input["taskDefinition"] = json!(definition);
        }
        self.network(&mut input, &what);
        self.make(&what, Service::Ecs, "CreateService", &input).await?;
        Ok(())
    }

    async fn service_here(&self, cluster: &str, name: &str) -> Result<Option<Value>> {
        let input = json!({ "cluster": cluster, "services": [name] });
        match self.here.call(Service::Ecs, "DescribeServices", &input).await {
            Ok(answer) => {
                let mut services = list(&answer, "services").iter();
                Ok(services.find(|one| text(one, "status") == "ACTIVE").cloned())
            }
            // In a dry run nobody makes the cluster.
            Err(error) if error.to_string().starts_with("ClusterNotFound") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Subnets and groups of the default VPC instead of those there.
    fn network(&mut self, input: &mut Value, what: &str) {
        let awsvpc = &mut input["networkConfiguration"]["awsvpcConfiguration"];
        let Some(members) = awsvpc.as_object_mut() else {
            if let Some(members) = input.as_object_mut() {
                members.remove("networkConfiguration");
            }
            return;
        };
        members.insert("subnets".to_owned(), json!(self.subnets));
        if members.remove("securityGroups").is_some_and(|groups| super::inputs::is_used(&groups)) {
            let what = format!("{what}: securityGroups");
            self.left.push(Left::new(what, "the default VPC's is taken; groups do not filter yet"));
        }
    }

    fn end(&self) -> Result<()> {
        if !self.left.is_empty() {
            self.say("\nnot carried:")?;
            for left in &self.left {
                self.say(&format!("  {left}"))?;
            }
        }
        let made = if self.options.dry_run { "would be made" } else { "made" };
        self.say(&format!("\n{} {made}, {} not carried", self.made, self.left.len()))?;
        let whole: Vec<&str> =
            self.left.iter().filter(|left| left.is_not_made).map(|left| &*left.what).collect();
        match whole.is_empty() {
            true => Ok(()),
            false => bail!("asked for and not made, with the reasons above: {}", whole.join(", ")),
        }
    }
}

/// Says of a revision here which one it was there: account, region, number, and a digest of what it says, so that
/// another account of the same number is told apart.
fn mark(arn: &str, input: &Value) -> String {
    let mut parts = arn.split(':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let revision = name_of(arn).rsplit(':').next().unwrap_or_default();
    let mut input = input.clone();
    input.sort_all_objects();
    let digest = hex::encode(&Sha256::digest(input.to_string())[..DIGEST_LENGTH]);
    format!("{account}/{region}/{revision} {digest}")
}
