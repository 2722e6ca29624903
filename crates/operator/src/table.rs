//! Rows for a terminal of any width, or for a program.

use std::fmt::Write as _;
use std::io::IsTerminal;

use anyhow::Result;
use serde::Serialize;

/// A cell is never cut to less than this.
const CELL_MIN: usize = 6;
/// Between two columns.
const GAP: usize = 2;
/// What is copied from the terminal is there whole, or of no use. The line is longer than the terminal then.
const WHOLE: [&str; 2] = ["TASK", "PORTS"];
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

/// Columns below their titles. Columns without any content are left out; on a terminal the widest are cut until a row
/// fits.
pub fn table(shape: Shape, titles: &[&str], rows: &[Vec<String>]) -> String {
    let columns: Vec<usize> = (0..titles.len())
        .filter(|column| rows.is_empty() || rows.iter().any(|row| !row[*column].is_empty()))
        .collect();
    let mut widths: Vec<usize> = columns
        .iter()
        .map(|column| {
            let cells = rows.iter().map(|row| row[*column].chars().count());
            cells.max().unwrap_or_default().max(titles[*column].chars().count())
        })
        .collect();
    if let Some(width) = shape.width {
        let is_whole: Vec<bool> =
            columns.iter().map(|column| WHOLE.contains(&titles[*column])).collect();
        fit(&mut widths, &is_whole, width);
    }
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

/// Takes from the widest until all fit, or nothing more can be taken.
fn fit(widths: &mut [usize], is_whole: &[bool], width: usize) {
    loop {
        let all = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let cut = widths.iter_mut().zip(is_whole).filter(|(_, is_whole)| !**is_whole);
        match cut.map(|(width, _)| width).max() {
            Some(widest) if all > width && *widest > CELL_MIN => *widest -= 1,
            _ => return,
        }
    }
}

/// The text in at most so many characters; control characters, which would move the cursor, as spaces.
fn cut(text: &str, width: usize, is_in_front: bool) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
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

    #[test]
    fn a_narrow_terminal_cuts_the_widest() {
        let shape = Shape { width: Some(16), ..Shape::default() };
        check(shape, &["TASK  IMAGE", "4f2a  …long name", "77    b [31m"]);
        let shape = Shape { width: Some(1), ..Shape::default() };
        check(shape, &["TASK  IMAGE", "4f2a  … name", "77    b [31m"]);
    }

    #[test]
    fn what_is_copied_is_there_whole_on_any_terminal() {
        let shape = Shape { width: Some(20), ..Shape::default() };
        let row = ["4f2a5b6c7d8e", "a rather long group", "http://127.0.0.1:8080"];
        let text = table(shape, &["TASK", "GROUP", "PORTS"], &[row.map(str::to_owned).to_vec()]);
        assert_eq!(text.lines().last().unwrap(), "4f2a5b6c7d8e  a rat…  http://127.0.0.1:8080");
    }

    #[test]
    fn titles_alone_when_there_is_nothing() {
        assert_eq!(table(Shape::default(), &["A", "B"], &[]), "A  B\n");
    }
}
