//! Where something was said: a line of a file, for errors.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::error::Error;

/// A line of a file: of the MJCF that named an element, or of the Rust that built it.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    file: Arc<str>,
    line: u32,
}

impl Place {
    /// A line of a file.
    pub fn new(file: &Arc<str>, line: u32) -> Self {
        Self {
            file: file.clone(),
            line,
        }
    }

    /// The caller's own line.
    #[track_caller]
    pub fn here() -> Self {
        let here = Location::caller();
        Self {
            file: here.file().into(),
            line: here.line(),
        }
    }

    /// Puts the place, and the element found there, before an error.
    pub(crate) fn locate(&self, element: impl fmt::Display, error: Error) -> Error {
        error.context(element).context(self)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
