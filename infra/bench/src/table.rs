//! Markdown tables whose source is aligned too.

use std::fmt;

/// A table; its first column is text, the others are numbers and stand to the right.
#[derive(Debug)]
pub struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    /// A table with the names of its columns.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        Self {
            lines: vec![columns.iter().map(|&name| name.to_owned()).collect()],
        }
    }

    /// Adds a row. Cells that it lacks are empty.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.lines.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |line: &'_ [String], at: usize| line.get(at).cloned().unwrap_or_default();
        let width = |at: usize| {
            let cells = self.lines.iter().map(|line| cell(line, at).chars().count());
            cells.max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, line) in self.lines.iter().enumerate() {
            for (at, &width) in widths.iter().enumerate() {
                let text = cell(line, at);
                if at == 0 {
                    write!(f, "| {text:<width$} |")?;
                } else {
                    write!(f, " {text:>width$} |")?;
                }
            }
            writeln!(f)?;
            if number == 0 {
                for (at, &width) in widths.iter().enumerate() {
                    if at == 0 {
                        write!(f, "|{:-<1$}|", "", width + 2)?;
                    } else {
                        write!(f, "{:-<1$}:|", "", width + 1)?;
                    }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["class", "p50"]);
        table.row(["one word", "1.23"]);
        table.row(["two"]);
        let expected = "\
| class    |  p50 |
|----------|-----:|
| one word | 1.23 |
| two      |      |
";
        assert_eq!(table.to_string(), expected);
    }
}
