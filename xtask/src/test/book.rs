//! The pages for users as a book, made by mdBook: that it takes each of them. Links and contents are tidy's.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use pulldown_cmark::{Event, Parser, Tag};

use crate::process::{Scratch, command, find, run};
use crate::setup;

const CONTENTS: &str = "docs/SUMMARY.md";
const VERSION: &str = "0.5.4";

/// mdBook where one is installed, or where `install` has put it.
pub fn installed(repository: &Path) -> Result<Option<PathBuf>> {
    let own = tools(repository)?.join("bin/mdbook");
    Ok(find("mdbook").or_else(|| own.is_file().then_some(own)))
}

/// Builds it into the build directory.
pub fn install(repository: &Path) -> Result<PathBuf> {
    let tools = tools(repository)?;
    println!("    building mdbook {VERSION}");
    // Without what serves and watches: it is to be built once, for a check.
    let install = ["install", "mdbook", "--locked", "--no-default-features", "--version", VERSION];
    run(command(repository, "cargo", install).arg("--root").arg(&tools))?;
    Ok(tools.join("bin/mdbook"))
}

fn tools(repository: &Path) -> Result<PathBuf> {
    Ok(setup::build_directory(repository)?.join("tools"))
}

/// # Errors
/// When mdBook fails, or a page of the contents did not become one of the book.
pub fn build(repository: &Path, mdbook: &Path) -> Result<()> {
    let scratch = Scratch::new("book")?;
    let book = scratch.path().join("book");
    let words = [Path::new("build"), Path::new("docs"), Path::new("--dest-dir"), &book];
    run(&mut command(repository, mdbook, words))?;
    let contents = std::fs::read_to_string(repository.join(CONTENTS)).context(CONTENTS)?;
    let pages = pages(&contents);
    let missing: Vec<_> = pages.iter().filter(|page| !book.join(page).is_file()).collect();
    ensure!(missing.is_empty(), "of {CONTENTS} these are not in the book: {missing:?}");
    println!("    a book of {} pages", pages.len());
    Ok(())
}

/// What the pages of a table of contents become.
fn pages(contents: &str) -> Vec<PathBuf> {
    let links = Parser::new(contents).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => Some(PathBuf::from(&*dest_url)),
        _ => None,
    });
    links.map(|page| page.with_extension("html")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_of_the_contents_becomes_one() {
        let contents =
            "# Summary\n\n[Outport](guide/index.md)\n\n- [Use](use.md)\n  - [More](a/b.md)\n";
        let expected = ["guide/index.html", "use.html", "a/b.html"].map(PathBuf::from);
        assert_eq!(pages(contents), expected);
    }
}
