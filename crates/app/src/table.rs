//! Tables for people: columns as wide as their widest cell, numbers to the right.

/// Rows of cells, of which some columns stand to the left and the others to the right.
pub(crate) struct Table {
    left: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose columns stand to the left where `left` is true.
    pub(crate) fn new(left: &[bool]) -> Self {
        Self { left: left.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, of as many cells as there are columns or fewer.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.map(str::to_owned).to_vec());
    }

    /// As [`Table::row`], where the number of columns is not known before.
    pub(crate) fn row_of(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, each with its line end.
    pub(crate) fn lines(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.left.len()).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), left) in row.iter().zip(&widths).zip(&self.left) {
                let space = " ".repeat(width - cell.chars().count());
                let gap = if line.is_empty() { "" } else { "  " };
                let (before, behind) = if *left { ("", &*space) } else { (&*space, "") };
                line += &format!("{gap}{before}{cell}{behind}");
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[true, false, true]);
        table.row(["name", "bytes", "what"]);
        table.row(["ä", "1", "x"]);
        table.row(["longest", "12345678", ""]);
        let want = "name        bytes  what\n\
                    ä               1  x\n\
                    longest  12345678\n";
        assert_eq!(table.lines(), want, "aligned");
    }
}
