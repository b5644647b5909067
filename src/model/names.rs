//! Names of one kind of object, and the look-up from name to id.

use std::collections::HashMap;
use std::fmt;

use crate::error::{Error, Result, near_matches};
use crate::scene::Place;

/// The names of one kind of object, by id. An object without a name has the empty string.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// What the objects are, for errors: `body`, `joint`, ….
    kind: &'static str,
    names: Vec<String>,
    ids: HashMap<String, usize>,
}

/// Without the index, whose order differs from run to run: equal models print alike.
impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}

impl Names {
    /// Indexes the names of the objects of one kind, in id order.
    ///
    /// # Errors
    /// Two objects share a non-empty name.
    pub fn new(kind: &'static str, names: Vec<String>) -> Result<Self> {
        let mut ids = HashMap::with_capacity(names.len());
        for (id, name) in names
            .iter()
            .enumerate()
            .filter(|(_, name)| !name.is_empty())
        {
            if ids.insert(name.clone(), id).is_some() {
                return Err(Error::invalid(format!("two {kind}s are named '{name}'")));
            }
        }
        Ok(Self { kind, names, ids })
    }

    /// As [`Names::new`], with the place of the second of two equal names in the error.
    pub(super) fn placed(kind: &'static str, labels: Vec<(String, Place)>) -> Result<Self> {
        let mut seen: HashMap<&str, &Place> = HashMap::with_capacity(labels.len());
        for (name, place) in labels.iter().filter(|(name, _)| !name.is_empty()) {
            if let Some(first) = seen.insert(name, place) {
                let error = Error::invalid(format!("the name is taken by the {kind} at {first}"));
                return Err(super::locate(place, kind, name, error));
            }
        }
        Self::new(kind, labels.into_iter().map(|(name, _)| name).collect())
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of an object; empty if it has none.
    pub fn name(&self, id: usize) -> &str {
        &self.names[id]
    }

    /// All names, by id.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The id of the object with a name, if there is one.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.ids.get(name).copied()
    }

    /// The id of the object with a name.
    ///
    /// # Errors
    /// No object has the name; the hint lists the closest ones.
    pub fn id(&self, name: &str) -> Result<usize> {
        self.find(name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> Error {
        let error = Error::invalid(format!("unknown {} '{name}'", self.kind));
        let known = self.iter().filter(|name| !name.is_empty());
        match near_matches(name, known).as_slice() {
            [] if self.ids.is_empty() => {
                error.hint(format!("the model has no named {}", self.kind))
            }
            [] => error.hint(format!("there are {}, none of them close", self.ids.len())),
            close => error.hint(format!("did you mean '{}'?", close.join("', '"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_suggests_its_neighbour() {
        let names = Names::new("joint", vec!["hip".into(), String::new(), "knee".into()]).unwrap();
        assert_eq!(names.id("knee").unwrap(), 2);
        let message = names.id("kne").unwrap_err().to_string();
        assert_eq!(message, "unknown joint 'kne' (did you mean 'knee'?)");
    }

    #[test]
    fn duplicates_are_refused_and_unnamed_objects_are_not() {
        assert!(Names::new("geom", vec![String::new(), String::new()]).is_ok());
        assert!(Names::new("geom", vec!["a".into(), "a".into()]).is_err());
    }
}
