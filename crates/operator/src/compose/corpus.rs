//! Compose files as people have them, in `tests/compose/`, each with what becomes of it beside it: `NAME.expected`. A first line
//! `# ignore: KEYS` has it read a second time as with `--ignore KEYS`.
//!
//! `OUTPORT_WRITE_PAGES=1 cargo test -p outport-operator corpus` writes what is expected anew; read the difference.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::ComposeOptions;
use super::definition::{repository, service, task_definition};
use super::project::Project;
use super::variables::Variables;

const FILES_MIN: usize = 12;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose")
}

/// All that a file comes to: refused with each reason, or notes and what would be registered.
fn outcome(name: &str, text: &str, ignore: &[String]) -> String {
    let options = ComposeOptions {
        project: Some("it".to_owned()),
        ignore: ignore.to_vec(),
        ..ComposeOptions::default()
    };
    let values = [("SECRET".to_owned(), "s3".to_owned())];
    let mut variables = Variables { values: values.into(), ..Variables::default() };
    match Project::of(text, name, &directory(), &options, &mut variables) {
        Err(error) => format!("refused\n{error:#}\n").replace(&*directory().to_string_lossy(), "…"),
        Ok(project) => {
            let image = |service: &super::service::Service| match (&service.build, &service.image) {
                (None, Some(image)) => image.clone(),
                _ => repository(&project.name, &service.name),
            };
            let definition = task_definition(&project, "us-east-1", image);
            let mut text = "accepted\n".to_owned();
            project.notes.iter().for_each(|note| writeln!(text, "{note}").unwrap());
            for document in [&definition["containerDefinitions"], &service(&project)] {
                writeln!(text, "{document:#}").unwrap();
            }
            text
        }
    }
}

#[test]
fn files_of_the_wild_are_understood_or_refused_with_every_reason_and_its_line() {
    let entries = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    let files: Vec<PathBuf> = entries.filter(is_yaml).collect();
    assert!(files.len() >= FILES_MIN, "{files:?}");
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut found = outcome(&name, &text, &[]);
        if let Some(keys) = text.lines().next().unwrap().strip_prefix("# ignore: ") {
            let keys: Vec<String> = keys.split(',').map(str::to_owned).collect();
            let more = outcome(&name, &text, &keys);
            write!(found, "\n--ignore {}: {more}", keys.join(",")).unwrap();
        }
        let expected = path.with_extension("expected");
        if std::env::var_os("OUTPORT_WRITE_PAGES").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        let written = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(found, written, "{name}");
    }
}
