//! Attributes of a file's elements, changed before it is read: variants of one scene.

use super::document::Element;
use crate::error::{Error, Result, near_matches};

/// A new value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The element's tag: `geom`, `body`, `position`, `option`, ….
    pub tag: String,
    /// Its name; none for elements without one, of which there is one at most, such as `option`.
    pub name: Option<String>,
    /// The attribute.
    pub attribute: String,
    /// The value, as in a file; an empty one takes the attribute away.
    pub value: String,
}

impl Edit {
    /// Changes the element that is meant, below `root`.
    pub(super) fn apply(&self, root: &mut Element) -> Result<()> {
        let mut names = Vec::new();
        if self.apply_below(root, &mut names) {
            return Ok(());
        }
        let Some(name) = &self.name else {
            // A section that was left out says nothing yet.
            root.add(&self.tag).set(&self.attribute, &self.value);
            return Ok(());
        };
        let error = Error::invalid(format!("there is no <{} name='{name}'>", self.tag));
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        Err(match near_matches(name, known.iter().copied()).as_slice() {
            [] if known.is_empty() => error.hint(format!("no <{}> has a name", self.tag)),
            [] => error.hint(format!("there are {}", known.join(", "))),
            near => error.hint(format!("did you mean `{}`?", near.join("` or `"))),
        })
    }

    /// The same, and whether the element is there; else the names of others with its tag.
    fn apply_below(&self, parent: &mut Element, names: &mut Vec<String>) -> bool {
        parent.children.iter_mut().any(|child| {
            if child.tag == self.tag {
                if self.name.is_none() || child.name() == self.name.as_deref() {
                    child.set(&self.attribute, &self.value);
                    return true;
                }
                names.extend(child.name().map(str::to_owned));
            }
            child.tag != "default" && self.apply_below(child, names)
        })
    }
}
