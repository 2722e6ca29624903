//! Links of the pages: a relative one leads to a file that is there and, with a `#`, to one of its headings; each page of
//! the guide is in the book's table of contents. What is elsewhere on the web is not looked at: a test has no network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::Offences;
use super::files::all_paths;

/// Whose pages make a book.
const BOOK: &str = "docs";
const CONTENTS: &str = "docs/SUMMARY.md";
/// Pages that have to be in it.
const IN_BOOK: [&str; 2] = ["docs/guide", "docs/operations"];

pub fn check(repository: &Path) -> Result<Offences> {
    let mut pages = BTreeMap::new();
    for path in page_files(repository)? {
        let text = std::fs::read_to_string(repository.join(&path));
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        pages.insert(path, Page::read(&text));
    }
    let mut offences = dead_links(&pages, |path| repository.join(path).exists());
    offences.extend(not_in_contents(&pages));
    Ok(offences)
}

/// Those of the root, and all below the folders with what is written by hand.
fn page_files(repository: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = all_paths(repository)?;
    for entry in std::fs::read_dir(repository)? {
        paths.push(PathBuf::from(entry?.file_name()));
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    Ok(paths)
}

#[derive(Default)]
struct Page {
    links: Vec<String>,
    /// As GitHub and mdBook name them in addresses.
    headings: BTreeSet<String>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.add_heading(&heading.take().unwrap_or_default())
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Text(words) | Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::Html(tag) | Event::InlineHtml(tag) => {
                    // `<a id="name"></a>`
                    let name = tag.split_once(" id=\"").and_then(|(_, rest)| rest.split_once('"'));
                    page.headings.extend(name.map(|(name, _)| name.to_owned()));
                }
                _ => {}
            }
        }
        page
    }

    /// The second of a name gets `-1` behind it.
    fn add_heading(&mut self, words: &str) {
        let kept = |letter: &char| letter.is_alphanumeric() || "-_ ".contains(*letter);
        let name: String =
            words.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
        let numbered = (1..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| !self.headings.contains(name));
        self.headings.extend(free);
    }
}

fn dead_links(pages: &BTreeMap<PathBuf, Page>, exists: impl Fn(&Path) -> bool) -> Offences {
    let mut offences = Vec::new();
    for (path, page) in pages {
        for link in page.links.iter().filter(|link| !is_elsewhere(link)) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                _ => normal(&path.parent().unwrap_or(Path::new("")).join(file)),
            };
            let is_heading = || match pages.get(&target) {
                Some(target) => target.headings.contains(heading),
                None => false,
            };
            if !exists(&target) {
                offences.push(format!("{}: {link} leads nowhere", path.display()));
            } else if !heading.is_empty() && !is_heading() {
                offences.push(format!("{}: {link} names no heading", path.display()));
            }
        }
    }
    offences
}

fn is_elsewhere(link: &str) -> bool {
    ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme))
}

/// Without `..`, as far as there is something to leave.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if normal.pop() => {}
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

fn not_in_contents(pages: &BTreeMap<PathBuf, Page>) -> Offences {
    let contents = Path::new(CONTENTS);
    let Some(listed) = pages.get(contents) else {
        return vec![format!("{CONTENTS} is missing")];
    };
    let listed: BTreeSet<PathBuf> =
        listed.links.iter().map(|link| normal(&Path::new(BOOK).join(link))).collect();
    pages
        .keys()
        .filter(|path| {
            IN_BOOK.iter().any(|folder| path.starts_with(folder)) && !listed.contains(*path)
        })
        .map(|path| format!("{} is not in {CONTENTS}", path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(texts: &[(&str, &str)]) -> BTreeMap<PathBuf, Page> {
        texts.iter().map(|(path, text)| (PathBuf::from(path), Page::read(text))).collect()
    }

    #[track_caller]
    fn check(texts: &[(&str, &str)], expected: &[&str]) {
        let pages = pages(texts);
        assert_eq!(dead_links(&pages, |path| pages.contains_key(path)), expected);
    }

    #[test]
    fn a_link_leads_to_a_page_and_to_its_heading() {
        let target = ("docs/b.md", "# In a `minute`: 2\n## Twice\n## Twice\n");
        check(&[("a.md", "[b](docs/b.md) [h](docs/b.md#in-a-minute-2)"), target], &[]);
        check(
            &[("docs/c.md", "[b](b.md#twice-1) [up](../docs/b.md) [own](#top)\n# Top"), target],
            &[],
        );
        check(&[("a.md", "[b](b.md)"), target], &["a.md: b.md leads nowhere"]);
        check(
            &[("a.md", "| [b](docs/b.md#twice-2) |\n|---|\n"), target],
            &["a.md: docs/b.md#twice-2 names no heading"],
        );
        check(&[("a.md", "<a id=\"x\"></a>\n\n[x](#x)")], &[]);
        check(&[("a.md", "[web](https://example.org/x#y) `[code](none.md)`")], &[]);
    }

    #[test]
    fn each_page_of_the_guide_is_in_its_contents() {
        let check = |texts: &[(&str, &str)], expected: &[&str]| {
            assert_eq!(not_in_contents(&pages(texts)), expected);
        };
        let contents = (CONTENTS, "[a](guide/a.md) [m](guide/../operations/m.md)");
        check(&[contents, ("docs/guide/a.md", ""), ("docs/operations/m.md", "")], &[]);
        check(&[contents, ("docs/design/0001-x.md", "")], &[]);
        check(&[contents, ("docs/guide/b.md", "")], &["docs/guide/b.md is not in docs/SUMMARY.md"]);
    }
}
