//! Rows for a terminal of any width, or for a program.

use std::fmt::Write as _;
use std::io::IsTerminal;

use anyhow::Result;
use serde::Serialize;

/// A cell is never cut to less than this.
const CELL_MIN: usize = 10;
/// Sentences, and to what they are cut at most.
const TEXTS: [&str; 4] = ["WHY", "WHAT", "LAST EVENT", "EVENT, NEWEST FIRST"];
const TEXT_MIN: usize = 20;
/// Between two columns.
const GAP: usize = 2;
/// What is copied from the terminal is there whole, or of no use; so are times.
const WHOLE: [&str; 5] = ["TASK", "STOPPED TASK", "INSTANCE", "PORTS", "TIME (UTC)"];
/// Columns that a narrow terminal does without, in this order.
const LEFT_OUT_FIRST: [&str; 3] = ["DIGEST", "ADDRESS", "IMAGE"];
/// Text behind a beginning is never a narrower column than this.
const PARAGRAPH_MIN: usize = 20;
/// Before text that goes on below its beginning.
const INDENT_NARROW: usize = 4;
/// The end tells more than the beginning.
const CUT_IN_FRONT: [&str; 1] = ["IMAGE"];

/// How answers are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    pub is_json: bool,
    /// Of the terminal; `None` when it goes to a file or a program: nothing is cut then.
    pub width: Option<usize>,
    pub has_colours: bool,
}

impl Shape {
    /// As standard output takes it. Colours only on a terminal, and not where `NO_COLOR` is set.
    pub fn of_stdout(is_json: bool) -> Self {
        let stdout = std::io::stdout();
        let is_terminal = stdout.is_terminal();
        let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|size| size.ws_col > 0);
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            is_json,
            width: size.filter(|_| is_terminal).map(|size| usize::from(size.ws_col)),
            has_colours: is_terminal && !no_colour,
        }
    }
}

/// JSON for programs, with a line's end.
pub fn json(value: &impl Serialize) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Columns below their titles. Columns without any content are left out. On a terminal, until a row fits: the widest are cut, but
/// never below what can be read; then columns that `outport describe` and `--json` have too are left out; and where that is not enough
/// either, each row is a block of its own with a line for each column, wrapped.
pub fn table(shape: Shape, titles: &[&str], rows: &[Vec<String>]) -> String {
    let mut columns: Vec<usize> = (0..titles.len())
        .filter(|column| rows.is_empty() || rows.iter().any(|row| !row[*column].is_empty()))
        .collect();
    let all = columns.clone();
    let widths = loop {
        if let Some(widths) = fitting(shape, titles, rows, &columns) {
            break widths;
        }
        let dispensable = |title: &str| columns.iter().position(|at| titles[*at] == title);
        match LEFT_OUT_FIRST.into_iter().find_map(dispensable) {
            Some(at) => columns.remove(at),
            None => return blocks(shape, titles, rows, &all),
        };
    };
    let mut text = String::new();
    let mut line = |cell: &dyn Fn(usize) -> String, is_title: bool| {
        let cells: Vec<String> = columns
            .iter()
            .zip(&widths)
            .map(|(column, width)| {
                let is_in_front = CUT_IN_FRONT.contains(&titles[*column]);
                format!("{:width$}", cut(&cell(*column), *width, is_in_front))
            })
            .collect();
        let cells = cells.join("  ");
        let cells = cells.trim_end();
        let _ = match is_title && shape.has_colours {
            true => writeln!(text, "\x1b[1m{cells}\x1b[0m"),
            false => writeln!(text, "{cells}"),
        };
    };
    line(&|column| titles[column].to_owned(), true);
    for row in rows {
        line(&|column| row[column].clone(), false);
    }
    text
}

/// The widths of columns with which a row fits, if there are any.
fn fitting(
    shape: Shape,
    titles: &[&str],
    rows: &[Vec<String>],
    columns: &[usize],
) -> Option<Vec<usize>> {
    let natural = |column: &usize| {
        let cells = rows.iter().map(|row| row[*column].chars().count());
        cells.max().unwrap_or_default().max(titles[*column].chars().count())
    };
    let mut widths: Vec<usize> = columns.iter().map(natural).collect();
    // Titles alone are no row.
    let Some(width) = shape.width.filter(|_| !rows.is_empty()) else { return Some(widths) };
    loop {
        let all = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        if all <= width {
            return Some(widths);
        }
        let is_whole = |column: &usize| WHOLE.contains(&titles[*column]);
        let cut = widths.iter_mut().zip(columns).filter(|(_, column)| !is_whole(column));
        let widest = cut.map(|(width, _)| width).max()?;
        if *widest <= CELL_MIN {
            return None;
        }
        *widest -= 1;
        let is_unreadable = |(column, width): (&usize, &usize)| {
            TEXTS.contains(&titles[*column]) && *width < TEXT_MIN.min(natural(column))
        };
        if columns.iter().zip(&widths).any(is_unreadable) {
            return None;
        }
    }
}

/// Each row by itself, with a line between.
fn blocks(shape: Shape, titles: &[&str], rows: &[Vec<String>], columns: &[usize]) -> String {
    let block = |row: &Vec<String>| {
        let named: Vec<(&str, String)> =
            columns.iter().map(|column| (titles[*column], row[*column].clone())).collect();
        fields(shape, &named)
    };
    rows.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// A name and a value a line, wrapped on a terminal; what has no value is left out.
pub fn fields(shape: Shape, rows: &[(&str, String)]) -> String {
    let shown: Vec<_> = rows.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line =
        |(name, value): &&(&str, String)| paragraph(shape, &format!("{name:<width$}  "), value);
    shown.iter().map(line).collect()
}

/// A line that begins with `begin`; on a terminal the text behind that is wrapped at words and goes on below itself. Where
/// that would be too narrow a column it goes on a line of its own below. Words longer than a line are left whole.
pub fn paragraph(shape: Shape, begin: &str, text: &str) -> String {
    let text = plain(text);
    let indent = begin.chars().count();
    let Some(width) = shape.width.filter(|width| indent + text.chars().count() > *width) else {
        return format!("{}\n", format!("{begin}{text}").trim_end());
    };
    let is_narrow = width < indent + PARAGRAPH_MIN;
    let indent = if is_narrow { INDENT_NARROW } else { indent };
    let mut lines = Vec::new();
    let mut line = begin.to_owned();
    if is_narrow && !begin.trim().is_empty() {
        lines.push(begin.trim_end().to_owned());
    }
    if is_narrow {
        line = " ".repeat(indent.min(begin.len()));
    }
    let mut has_word = false;
    for word in text.split_whitespace() {
        let length = line.chars().count() + usize::from(has_word) + word.chars().count();
        if has_word && length > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent.min(begin.len()))));
            has_word = false;
        }
        if has_word {
            line.push(' ');
        }
        line.push_str(word);
        has_word = true;
    }
    lines.push(line);
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Control characters, which would move the cursor, as spaces.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text in at most so many characters.
fn cut(text: &str, width: usize, is_in_front: bool) -> String {
    let text = plain(text);
    let length = text.chars().count();
    if length <= width {
        return text;
    }
    let kept = width.saturating_sub(1);
    match is_in_front {
        true => std::iter::once('…').chain(text.chars().skip(length - kept)).collect(),
        false => text.chars().take(kept).chain(std::iter::once('…')).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        [["4f2a", "", "an image with a long name"], ["77", "", "b\x1b[31m"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec()
    }

    #[track_caller]
    fn check(shape: Shape, expected: &[&str]) {
        let text = table(shape, &["TASK", "HEALTH", "IMAGE"], &rows());
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn columns_without_content_are_left_out_and_no_control_character_passes() {
        check(
            Shape::default(),
            &["TASK  IMAGE", "4f2a  an image with a long name", "77    b [31m"],
        );
    }

    fn on(width: usize) -> Shape {
        Shape { width: Some(width), ..Shape::default() }
    }

    #[test]
    fn a_narrow_terminal_cuts_the_widest() {
        let rows: Vec<Vec<String>> = [["4f2a", "a message of some length"], ["77", "b"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec();
        let shown = |title, width| table(on(width), &["TASK", title], &rows);
        assert_eq!(shown("GROUP", 16), "TASK  GROUP\n4f2a  a message…\n77    b\n");
        // Below that nothing could be read of it.
        let blocks =
            "TASK   4f2a\nGROUP\n    a message\n    of some\n    length\n\nTASK   77\nGROUP  b\n";
        assert_eq!(shown("GROUP", 15), blocks);
        // Of a sentence more is needed.
        assert!(shown("WHY", 26).starts_with("TASK  WHY\n4f2a  a message of some l…\n"));
        assert!(shown("WHY", 25).starts_with("TASK  4f2a\nWHY"));
    }

    #[test]
    fn what_others_show_too_is_left_out_before_rows_become_blocks() {
        let row =
            ["4f2a5b6c7d8e", "registry.example.com/app:1.0", "172.31.0.5", "http://127.0.0.1:8080"];
        let rows = [row.map(str::to_owned).to_vec()];
        let shown = |width| table(on(width), &["TASK", "IMAGE", "ADDRESS", "PORTS"], &rows);
        assert_eq!(
            shown(50),
            "TASK          IMAGE          PORTS\n\
             4f2a5b6c7d8e  ….com/app:1.0  http://127.0.0.1:8080\n"
        );
        assert_eq!(shown(40), "TASK          PORTS\n4f2a5b6c7d8e  http://127.0.0.1:8080\n");
        // With all of them again.
        let blocks = shown(34);
        for cell in row {
            assert!(blocks.contains(cell), "{blocks}");
        }
    }

    #[test]
    fn what_is_copied_is_there_whole_on_any_terminal() {
        let row = ["4f2a5b6c7d8e", "a rather long group", "http://127.0.0.1:8080"];
        let rows = [row.map(str::to_owned).to_vec()];
        for width in [20, 1] {
            let text = table(on(width), &["TASK", "GROUP", "PORTS"], &rows);
            for word in [row[0], row[2]] {
                assert!(
                    text.lines().any(|line| line.split_whitespace().any(|it| it == word)),
                    "{text}"
                );
            }
        }
    }

    /// What is said of a paragraph at a width.
    #[track_caller]
    fn wraps(width: usize, begin: &str, expected: &[&str]) {
        let text = "images that no task uses go first";
        assert_eq!(paragraph(on(width), begin, text).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn text_is_wrapped_below_itself_or_where_there_is_room() {
        wraps(60, "logs  1 MiB  ", &["logs  1 MiB  images that no task uses go first"]);
        wraps(
            34,
            "logs  1 MiB  ",
            &["logs  1 MiB  images that no task", "             uses go first"],
        );
        wraps(
            30,
            "logs  1 MiB  ",
            &["logs  1 MiB", "    images that no task uses", "    go first"],
        );
        wraps(20, "", &["images that no task", "uses go first"]);
        let arn = "arn:aws:ecs:us-east-1:000000000000:task/default/4f2a";
        assert_eq!(paragraph(on(20), "", arn), format!("{arn}\n"));
        assert_eq!(paragraph(Shape::default(), "a  ", "b\u{1b}[2J"), "a  b [2J\n");
    }

    #[test]
    fn titles_alone_when_there_is_nothing() {
        assert_eq!(table(Shape::default(), &["A", "B"], &[]), "A  B\n");
        assert_eq!(table(on(1), &["A", "B"], &[]), "A  B\n");
    }
}
