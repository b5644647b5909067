//! What commands print and how they write files.
//!
//! Results go to standard output; what a command is about to do, progress and warnings go to standard error, so that
//! `--json` output can be piped. A reader that stops reading (`| head`) ends the printing, not the command.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::files;

/// Prints a line of the result.
macro_rules! say {
    ($($argument:tt)*) => { $crate::cli::output::result_line(format_args!($($argument)*)) };
}

/// Prints a line about what is being done.
macro_rules! note {
    ($($argument:tt)*) => { $crate::cli::output::note_line(format_args!($($argument)*)) };
}

pub(super) use {note, say};

pub(super) fn result_line(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

pub(super) fn note_line(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Prints a value as indented JSON.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::io(format!("the result does not form JSON: {error}")))?;
    say!("{text}");
    Ok(())
}

/// Progress of long work: a bar on a terminal, a line every few seconds otherwise.
pub(super) struct Progress {
    shown: Shown,
    what: String,
    total: u64,
}

enum Shown {
    Bar(ProgressBar),
    Lines { next: Instant },
}

const BETWEEN_LINES: Duration = Duration::from_secs(5);

impl Progress {
    /// Begins `total` units of work called `what`.
    pub(super) fn new(what: impl Into<String>, total: u64) -> Self {
        let what = what.into();
        let shown = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template(
                "{prefix} [{bar:30}] {human_pos}/{human_len}  {elapsed} of about {duration}  {msg}",
            ) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(what.clone());
            Shown::Bar(bar)
        } else {
            Shown::Lines {
                next: Instant::now() + BETWEEN_LINES,
            }
        };
        Self { shown, what, total }
    }

    /// `done` units are done; `message` says how it goes.
    pub(super) fn at(&mut self, done: u64, message: impl fmt::Display) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(message.to_string());
            }
            Shown::Lines { next } if Instant::now() >= *next => {
                *next = Instant::now() + BETWEEN_LINES;
                let percent = 100.0 * done as f64 / self.total.max(1) as f64;
                note!(
                    "{}: {done} of {} ({percent:.0} %)  {message}",
                    self.what,
                    self.total
                );
            }
            Shown::Lines { .. } => {}
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

/// Checks that a file can be written at `path`, before the work that fills it.
pub(super) fn check_target(path: &Path) -> Result<()> {
    let place = |error: Error| error.context(path.display());
    if path.is_dir() {
        return Err(place(Error::io("is a folder").hint("name a file in it")));
    }
    if path.file_name().is_none() {
        return Err(place(Error::io("names no file")));
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(place(
            Error::io(format!("there is no folder {}", folder.display())).hint("create it first"),
        ));
    }
    Ok(())
}

/// [`files::write_with`] for a file that the user named.
pub(super) fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
) -> Result<()> {
    check_target(path)?;
    files::write_with(path, fill)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A count in three digits with a decimal prefix: `1.25 M`.
pub(super) fn short(value: f64) -> String {
    let prefixes = [(1e9, " G"), (1e6, " M"), (1e3, " k"), (0.0, "")];
    let magnitude = value.abs();
    let (unit, prefix) = prefixes
        .iter()
        .find(|(unit, _)| magnitude >= *unit)
        .unwrap_or(&prefixes[3]);
    let scaled = value / unit.max(1.0);
    let digits = match scaled.abs() {
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_short() {
        let texts = [
            0.0,
            7.0,
            999.0,
            1000.0,
            26_386.0,
            500_000.0,
            1_524_000.0,
            2.5e10,
        ]
        .map(short);
        assert_eq!(
            texts,
            ["0", "7", "999", "1 k", "26.4 k", "500 k", "1.52 M", "25 G"]
        );
    }

    #[test]
    fn a_target_in_a_missing_folder_is_refused_at_once() {
        let error = check_target(Path::new("no-such-folder/x.npz"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no folder no-such-folder") && error.contains("create it"),
            "{error}"
        );
        assert!(check_target(Path::new("x.npz")).is_ok());
        assert!(check_target(Path::new("/")).is_err());
    }
}
