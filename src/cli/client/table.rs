//! Tables with aligned columns (pure). Widths are those of a terminal: a wide character takes two columns.

use unicode_width::UnicodeWidthStr;

use super::style::{Style, Tone};

/// Between two columns.
const SPACE: &str = "  ";

/// One value of a table. Its text is on one line and holds no control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub text: String,
    pub tone: Tone,
    /// Numbers are easier to compare at the right.
    pub is_right: bool,
}

/// Writes rows under their headings. A column is as wide as its widest value; nothing is cut, because ids are copied.
pub(super) fn render(headings: &[&str], rows: &[Vec<Cell>], style: Style) -> String {
    let head: Vec<Cell> =
        headings.iter().enumerate().map(|(at, it)| heading(it, at, rows)).collect();
    let widths: Vec<usize> = (0..head.len()).map(|at| column_width(&head, rows, at)).collect();
    let lines = std::iter::once(&head).chain(rows);
    lines.map(|line| render_line(line, &widths, style)).collect()
}

/// A heading stands where the values of its column do.
fn heading(text: &str, at: usize, rows: &[Vec<Cell>]) -> Cell {
    let is_right = rows.first().and_then(|row| row.get(at)).is_some_and(|cell| cell.is_right);
    Cell { text: text.to_owned(), tone: Tone::Heading, is_right }
}

fn column_width(head: &[Cell], rows: &[Vec<Cell>], at: usize) -> usize {
    let cells = std::iter::once(head).chain(rows.iter().map(Vec::as_slice));
    cells.filter_map(|line| Some(line.get(at)?.text.width())).max().unwrap_or(0)
}

fn render_line(cells: &[Cell], widths: &[usize], style: Style) -> String {
    let mut line = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let padding = " ".repeat(width - cell.text.width());
        let text = style.paint(cell.tone, &cell.text);
        let is_last = at + 1 == cells.len();
        match (cell.is_right, is_last) {
            (true, _) => line.extend([&*padding, &*text]),
            (false, true) => line.push_str(&text),
            (false, false) => line.extend([&*text, &*padding]),
        }
        line.push_str(if is_last { "\n" } else { SPACE });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str, is_right: bool) -> Cell {
        Cell { text: text.to_owned(), tone: Tone::Plain, is_right }
    }

    #[test]
    fn columns_are_aligned_also_with_wide_and_combining_characters() {
        let rows = [
            vec![cell("田中太郎", false), cell("7", true), cell("x", false)],
            vec![cell("Zoe\u{301}", false), cell("1200", true), cell("yy", false)],
            vec![cell("👩\u{200d}💻", false), cell("-", true), cell("z", false)],
        ];
        let text = render(&["NAME", "COUNT", "LAST"], &rows, Style::PLAIN);
        assert_eq!(
            text,
            "NAME      COUNT  LAST\n\
             田中太郎      7  x\n\
             Zoe\u{301}        1200  yy\n\
             👩\u{200d}💻            -  z\n"
        );
    }

    #[test]
    fn colours_take_no_room() {
        let row = |tone| vec![Cell { tone, ..cell("live", false) }, cell("x", false)];
        let (plain, coloured) = (row(Tone::Plain), row(Tone::Good));
        let text = render(&["STATUS", "ID"], &[plain, coloured], Style::COLOURED);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "live    x");
        assert_eq!(lines[2], "\u{1b}[32mlive\u{1b}[0m    x");
    }

    #[test]
    fn a_table_without_rows_has_its_headings() {
        assert_eq!(render(&["ID", "STATUS"], &[], Style::PLAIN), "ID  STATUS\n");
    }
}
