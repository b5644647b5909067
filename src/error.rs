//! The one error type. It carries what went wrong, where (outermost context first), and what to do.

use std::fmt;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in which place, and what to do about it.
///
/// `Display` prints one line: `context: …: message (hint)`.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: Kind,
    contexts: Vec<String>,
    message: String,
    hint: Option<String>,
}

/// What sort of failure an [`Error`] is, for a caller that reacts differently to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The input (a file, an argument, a shape, a name) is wrong.
    Invalid,
    /// The input is right, and this version does not support it yet.
    Unsupported,
    /// No usable adapter, or the device refused or lost something.
    Device,
    /// A file could not be read or written.
    Io,
}

impl Error {
    /// The input is wrong; `message` says what about it.
    pub fn invalid(message: impl fmt::Display) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// The input is right but not supported yet.
    pub fn unsupported(message: impl fmt::Display) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// The graphics device or its driver failed.
    pub fn device(message: impl fmt::Display) -> Self {
        Self::new(Kind::Device, message)
    }

    /// A file or stream failed.
    pub fn io(message: impl fmt::Display) -> Self {
        Self::new(Kind::Io, message)
    }

    fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self(Box::new(Inner {
            kind,
            contexts: Vec::new(),
            message: one_line(&message.to_string()),
            hint: None,
        }))
    }

    /// Adds the place where it happened, outside of those already there (`file:line`, an element, a world).
    #[must_use]
    pub fn context(mut self, place: impl fmt::Display) -> Self {
        self.0.contexts.push(one_line(&place.to_string()));
        self
    }

    /// Says what to do; a hint already there is kept.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.0
            .hint
            .get_or_insert_with(|| one_line(&hint.to_string()));
        self
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
}

/// Keeps every error on one line, whatever a library put into its message.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.0.contexts.iter().rev() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::io(error)
    }
}

/// Names close to `wanted`, best first, for "did you mean" hints.
pub fn near_matches<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (edit_distance(wanted, name), name))
        .collect();
    scored.retain(|(distance, name)| *distance <= 1 + name.len().max(wanted.len()) / 4);
    scored.sort();
    scored.into_iter().map(|(_, name)| name).take(3).collect()
}

/// The error for a name that is not known: the hint has those that come close, or all.
pub fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.into_iter().collect();
    let error = Error::invalid(format!("unknown {what} `{name}`"));
    match near_matches(name, known.iter().copied()).as_slice() {
        [] if known.is_empty() => error.hint(format!("there is no {what} at all")),
        [] => error.hint(format!("known: {}", known.join(", "))),
        close => error.hint(format!("did you mean `{}`?", close.join("`, `"))),
    }
}

/// Levenshtein distance over characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_comes_with_those_that_are_known() {
        let error = |known: &[&str]| unknown("key", "gama", known.iter().copied()).to_string();
        assert_eq!(error(&[]), "unknown key `gama` (there is no key at all)");
        assert_eq!(error(&["x", "y"]), "unknown key `gama` (known: x, y)");
        assert_eq!(
            error(&["x", "gamma"]),
            "unknown key `gama` (did you mean `gamma`?)"
        );
    }

    #[test]
    fn prints_place_cause_and_remedy_on_one_line() {
        let error = Error::invalid("mass is\nNaN")
            .context("<inertial>")
            .context("ant.xml:12")
            .hint("give a number");
        assert_eq!(
            error.to_string(),
            "ant.xml:12: <inertial>: mass is NaN (give a number)"
        );
    }

    #[test]
    fn near_matches_prefers_the_closest() {
        assert_eq!(near_matches("torzo", ["torso", "leg", "torque"]), ["torso"]);
    }
}
