//! Columns that line up.

use crate::visible::one_line;

/// Lines of a table: each column as wide as its widest cell, two spaces between, nothing after the last.
pub(crate) fn lines<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| one_line(cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        assert_eq!(lines(&[row("é", "1"), row("name", "22"), row("x", "")]), ["é     1", "name  22", "x"]);
        assert_eq!(lines(&[row("a\nb", "c")]), ["a\u{fffd}b  c"], "a cell is one line");
        assert!(lines::<2>(&[]).is_empty());
    }
}
