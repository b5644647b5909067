//! `metrics.csv`: one row per iteration, flushed at once, and still rectangular when a column appears late.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files;

/// One iteration's numbers by name; NaN is an empty cell.
pub type Row = Vec<(String, f64)>;

/// The table of a run, in memory and on disk.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl Metrics {
    /// Starts an empty table; the file appears with the first row.
    pub fn create(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Reads a table back, without the rows after `iteration`, which a resumed run computes again.
    ///
    /// # Errors
    /// The file is not ours, or lacks rows that the run had written.
    pub fn resume(path: &Path, iteration: u64) -> Result<Self> {
        if iteration == 0 {
            return Ok(Self::create(path));
        }
        let mut metrics = Self::read(path)?;
        metrics.rows.retain(|row| row[0] <= iteration as f64);
        if metrics
            .rows
            .last()
            .is_none_or(|row| row[0] != iteration as f64)
        {
            return Err(Error::invalid(format!("iteration {iteration} is missing"))
                .context(path.display())
                .hint("the file was changed since the checkpoint was written"));
        }
        metrics.rewrite()?;
        Ok(metrics)
    }

    /// Reads a table, of a run that may still be going on.
    pub fn read(path: &Path) -> Result<Self> {
        let text = String::from_utf8_lossy(&files::read(path)?).into_owned();
        let mut lines = text.lines();
        let columns: Vec<String> = lines
            .next()
            .unwrap_or_default()
            .split(',')
            .map(str::to_owned)
            .collect();
        let mut rows = Vec::new();
        for (number, line) in lines.enumerate() {
            let cells: Vec<f64> = line
                .split(',')
                .map(|cell| cell.parse().unwrap_or(f64::NAN))
                .collect();
            if cells.len() != columns.len() {
                // The last line of a killed run may be cut short; anything else is not our file.
                if number + 2 == text.lines().count() {
                    break;
                }
                return Err(Error::invalid(format!(
                    "{} cells, {} columns",
                    cells.len(),
                    columns.len()
                ))
                .context(format!("{}:{}", path.display(), number + 2)));
            }
            rows.push(cells);
        }
        Ok(Self {
            path: path.to_owned(),
            columns,
            rows,
        })
    }

    /// Appends a row; names not seen before become new columns at the right.
    pub fn push(&mut self, row: &Row) -> Result<()> {
        let before = self.columns.len();
        for (name, _) in row {
            if !self.columns.contains(name) {
                self.columns.push(name.clone());
            }
        }
        let cell = |column: &String| {
            row.iter()
                .find(|(name, _)| name == column)
                .map_or(f64::NAN, |(_, value)| *value)
        };
        self.rows.push(self.columns.iter().map(cell).collect());
        if self.columns.len() > before {
            let width = self.columns.len();
            self.rows
                .iter_mut()
                .for_each(|row| row.resize(width, f64::NAN));
            return self.rewrite();
        }
        let mut file = OpenOptions::new()
            .append(true)
            .open(&self.path)
            .map_err(|error| Error::io(error).context(self.path.display()))?;
        let line = self
            .rows
            .last()
            .map(|row| format_row(row))
            .unwrap_or_default();
        file.write_all(line.as_bytes())
            .map_err(|error| Error::io(error).context(self.path.display()))
    }

    /// The column's value in the last row, where it is a number.
    pub fn last(&self, name: &str) -> Option<f64> {
        let column = self.columns.iter().position(|column| column == name)?;
        let value = *self.rows.last()?.get(column)?;
        value.is_finite().then_some(value)
    }

    /// Has the rows outlive a crash of the machine.
    pub fn sync(&self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let file = OpenOptions::new().append(true).open(&self.path);
        let synced = file.and_then(|file| file.sync_all());
        synced.map_err(|error| Error::io(error).context(self.path.display()))
    }

    /// The column's values over the run, as (x, y) pairs without the empty cells.
    pub fn series(&self, x: &str, y: &str) -> Vec<(f64, f64)> {
        let index = |name: &str| self.columns.iter().position(|column| column == name);
        let (Some(x), Some(y)) = (index(x), index(y)) else {
            return Vec::new();
        };
        self.rows
            .iter()
            .map(|row| (row[x], row[y]))
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .collect()
    }

    fn rewrite(&self) -> Result<()> {
        let mut text = self.columns.join(",") + "\n";
        for row in &self.rows {
            text += &format_row(row);
        }
        files::write(&self.path, text.as_bytes())
    }
}

fn format_row(row: &[f64]) -> String {
    let cells: Vec<String> = row
        .iter()
        .map(|value| {
            if value.is_finite() {
                value.to_string()
            } else {
                String::new()
            }
        })
        .collect();
    cells.join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::TestDir;

    fn row(cells: &[(&str, f64)]) -> Row {
        cells
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    }

    #[test]
    fn late_columns_empty_cells_and_resuming() {
        let dir = TestDir::new("metrics");
        let path = dir.path().join("metrics.csv");
        let mut metrics = Metrics::create(&path);
        metrics
            .push(&row(&[("iteration", 1.0), ("return", f64::NAN)]))
            .unwrap();
        metrics
            .push(&row(&[("iteration", 2.0), ("return", 0.1)]))
            .unwrap();
        metrics
            .push(&row(&[
                ("iteration", 3.0),
                ("return", 0.25),
                ("term/alive", 4.0),
            ]))
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "iteration,return,term/alive\n1,,\n2,0.1,\n3,0.25,4\n");
        assert_eq!(
            metrics.series("iteration", "return"),
            [(2.0, 0.1), (3.0, 0.25)]
        );

        // A killed run leaves half a line; rows after the checkpoint are computed again.
        std::fs::write(&path, text + "4,0.").unwrap();
        let mut metrics = Metrics::resume(&path, 2).unwrap();
        metrics
            .push(&row(&[("iteration", 3.0), ("return", 0.5)]))
            .unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "iteration,return,term/alive\n1,,\n2,0.1,\n3,0.5,\n"
        );
    }
}
