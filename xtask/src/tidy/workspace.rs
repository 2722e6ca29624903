//! What `cargo metadata` says of the workspace, as the rules need it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::{command, output};

/// The platform that the rules look at: what is built elsewhere only is no part of the program.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The members and every package below them.
pub struct Workspace {
    pub repository: PathBuf,
    packages: BTreeMap<String, Package>,
    members: BTreeSet<String>,
    /// Package to what it is built from, without what only its tests or its build script use.
    graph: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
pub struct Package {
    id: String,
    pub name: String,
    pub version: String,
    pub license: Option<String>,
    /// Where it comes from; `None` for a member.
    pub source: Option<String>,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl Workspace {
    pub fn load(repository: &Path) -> Result<Self> {
        let arguments =
            ["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM];
        let text = output(&mut command(repository, "cargo", arguments))?;
        let metadata: Metadata = serde_json::from_str(&text).context("cargo's metadata")?;
        let normal = |node: &Node| -> BTreeSet<String> {
            let built_in = |dependency: &&NodeDependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind.is_none())
            };
            node.deps.iter().filter(built_in).map(|dependency| dependency.pkg.clone()).collect()
        };
        let graph = metadata.resolve.nodes.iter().map(|node| (node.id.clone(), normal(node)));
        Ok(Self {
            repository: repository.to_owned(),
            graph: graph.collect(),
            packages: metadata.packages.into_iter().map(|p| (p.id.clone(), p)).collect(),
            members: metadata.workspace_members,
        })
    }

    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| self.members.contains(&package.id))
    }

    pub fn foreign(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| !self.members.contains(&package.id))
    }

    /// The names of everything that is built into a package.
    pub fn closure(&self, package: &Package) -> BTreeSet<&str> {
        let mut open = vec![package.id.as_str()];
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.graph.get(id).into_iter().flatten().map(String::as_str));
            }
        }
        seen.remove(package.id.as_str());
        seen.iter().filter_map(|id| Some(self.packages.get(*id)?.name.as_str())).collect()
    }

    /// The members that a member names in its manifest: what it is built from, or what its tests use.
    pub fn arrows<'a>(&'a self, package: &'a Package, of_tests: bool) -> BTreeSet<&'a str> {
        let members: BTreeSet<&str> = self.members().map(|member| member.name.as_str()).collect();
        package
            .dependencies
            .iter()
            .filter(|dependency| (dependency.kind.as_deref() == Some("dev")) == of_tests)
            .map(|dependency| dependency.name.as_str())
            .filter(|name| members.contains(name))
            .collect()
    }
}

impl Package {
    /// The folder of its manifest.
    pub fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}
