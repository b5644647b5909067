//! Files to elements: XML with line numbers, includes expanded, numbers and keywords checked.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result, near_matches};
use crate::scene::Place;

/// Deepest nesting of elements. A deeper file is refused before anything recurses into it.
const MAX_DEPTH: usize = 256;
/// Largest file, bytes.
const MAX_BYTES: u64 = 256 << 20;

/// An XML element with its place, its includes already expanded.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) tag: String,
    pub(super) place: Place,
    pub(super) children: Vec<Element>,
    /// Whether there is text between the children, which MuJoCo ignores.
    stray: bool,
    attributes: Vec<(String, String)>,
    /// Which attributes somebody asked for, or knows and ignores.
    known: RefCell<Vec<&'static str>>,
}

/// Where files are looked for, and which have been read.
pub(super) struct Files {
    /// The directory of the main file.
    root: PathBuf,
    /// Canonical paths that were included, the main file first.
    seen: Vec<PathBuf>,
}

impl Files {
    /// Reads a file and everything that it includes.
    pub(super) fn read(path: &Path) -> Result<(Element, Self)> {
        let text = read_text(path)?;
        let root = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let seen = vec![canonical(path)];
        Self { root, seen }.expand(&path.display().to_string(), &text)
    }

    /// Takes a text as the main file; includes are looked for in a directory.
    pub(super) fn parse(label: &str, text: &str, root: &Path) -> Result<(Element, Self)> {
        Self {
            root: root.to_path_buf(),
            seen: Vec::new(),
        }
        .expand(label, text)
    }

    fn expand(mut self, label: &str, text: &str) -> Result<(Element, Self)> {
        let mut element = parse(label, text)?;
        let directory = self.root.clone();
        self.include(&mut element, &directory, 0)?;
        Ok((element, self))
    }

    /// Finds a file by the name in an attribute: in the main file's directory, then in another.
    pub(super) fn find(&self, name: &str, directory: &Path) -> Option<PathBuf> {
        [self.root.join(name), directory.join(name)]
            .into_iter()
            .find(|path| path.is_file())
    }

    /// Replaces every `<include>` below an element by the contents of its file.
    fn include(&mut self, element: &mut Element, directory: &Path, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            let cause = format!("elements are nested deeper than {MAX_DEPTH}");
            return Err(element.error(Error::invalid(cause)));
        }
        if !element.children.iter().any(|child| child.tag == "include") {
            return element
                .children
                .iter_mut()
                .try_for_each(|child| self.include(child, directory, depth + 1));
        }
        for mut child in std::mem::take(&mut element.children) {
            if child.tag != "include" {
                self.include(&mut child, directory, depth + 1)?;
                element.children.push(child);
                continue;
            }
            let path = self.included_path(&child, directory)?;
            let text = read_text(&path).map_err(|error| child.error(error))?;
            let mut root = parse(&path.display().to_string(), &text)?;
            if root.children.is_empty() {
                return Err(child.error(Error::invalid(format!("{} is empty", path.display()))));
            }
            let inner = path.parent().unwrap_or(Path::new("")).to_path_buf();
            self.include(&mut root, &inner, depth + 1)?;
            element.children.append(&mut root.children);
        }
        Ok(())
    }

    fn included_path(&mut self, include: &Element, directory: &Path) -> Result<PathBuf> {
        if !include.children.is_empty() {
            return Err(include.error(Error::invalid("it cannot have children")));
        }
        let name = include.required("file")?.to_string();
        include.finish()?;
        let path = self.find(&name, directory).ok_or_else(|| {
            include.error(Error::invalid(format!("file '{name}' does not exist")))
        })?;
        let key = canonical(&path);
        if self.seen.contains(&key) {
            let cause = format!("file '{name}' is included more than once, or includes itself");
            return Err(include.error(Error::invalid(cause)));
        }
        self.seen.push(key);
        Ok(path)
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn read_text(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| Error::io(error).context(path.display());
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        return Err(Error::invalid(format!("{size} bytes are too many")).context(path.display()));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Parses one file, without its includes.
fn parse(label: &str, text: &str) -> Result<Element> {
    let file: Arc<str> = label.into();
    let document = roxmltree::Document::parse(text).map_err(|error| {
        // What is never closed is missing at the end; roxmltree says it is at the beginning.
        let unclosed = matches!(
            error,
            roxmltree::Error::UnexpectedEndOfStream | roxmltree::Error::UnclosedRootNode
        );
        let last = u32::try_from(text.lines().count().max(1)).unwrap_or(u32::MAX);
        let line = if unclosed { last } else { error.pos().row };
        let cause = error.to_string();
        // The position is said once, by the place.
        let cause = cause.split(" at ").next().unwrap_or(&cause).to_string();
        Error::invalid(format!("not well-formed XML: {cause}")).context(Place::new(&file, line))
    })?;
    let lines = Lines::new(text);
    convert(document.root_element(), &file, &lines, 0)
}

/// Where each line of a text begins: a look-up instead of roxmltree's scan per element.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(
            std::iter::once(0)
                .chain(breaks.map(|(i, _)| i + 1))
                .collect(),
        )
    }

    fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.0.partition_point(|&start| start <= offset)).unwrap_or(u32::MAX)
    }
}

fn convert(
    node: roxmltree::Node<'_, '_>,
    file: &Arc<str>,
    lines: &Lines,
    depth: usize,
) -> Result<Element> {
    let place = Place::new(file, lines.line(node.range().start));
    if depth > MAX_DEPTH {
        let cause = format!("elements are nested deeper than {MAX_DEPTH}");
        return Err(Error::invalid(cause).context(place));
    }
    let stray = node
        .children()
        .filter(|child| child.is_text())
        .filter_map(|child| child.text());
    Ok(Element {
        tag: node.tag_name().name().to_string(),
        stray: stray.into_iter().any(|text| !text.trim().is_empty()),
        children: node
            .children()
            .filter(roxmltree::Node::is_element)
            .map(|child| convert(child, file, lines, depth + 1))
            .collect::<Result<_>>()?,
        attributes: node
            .attributes()
            .map(|attribute| (attribute.name().to_string(), attribute.value().to_string()))
            .collect(),
        known: RefCell::default(),
        place,
    })
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "<{} name='{name}'>", self.tag),
            None => write!(f, "<{}>", self.tag),
        }
    }
}

impl Element {
    /// How many elements have text between their children.
    pub(super) fn strays(&self) -> usize {
        usize::from(self.stray) + self.children.iter().map(Self::strays).sum::<usize>()
    }

    /// Puts the element and its place before an error.
    pub(super) fn error(&self, error: Error) -> Error {
        self.place.locate(self, error)
    }

    /// An error about this element.
    pub(super) fn invalid(&self, cause: impl fmt::Display) -> Error {
        self.error(Error::invalid(cause))
    }

    /// An error about something that MuJoCo has and this version has not.
    pub(super) fn unsupported(&self, cause: impl fmt::Display) -> Error {
        self.error(Error::unsupported(cause))
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The element's name, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        self.raw("name").filter(|name| !name.is_empty())
    }

    /// Gives an attribute a value in place of the one before, or takes it away where the value is empty.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.attributes.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.attributes.push((name.into(), value.into()));
        }
    }

    /// As XML.
    pub(super) fn to_xml(&self) -> String {
        let escaped = |value: &str| {
            let value = value.replace('&', "&amp;").replace('<', "&lt;");
            value.replace('"', "&quot;")
        };
        let attributes = self.attributes.iter();
        let attributes: String = attributes
            .map(|(name, value)| format!(" {name}=\"{}\"", escaped(value)))
            .collect();
        let children: String = self.children.iter().map(Self::to_xml).collect();
        format!("<{0}{attributes}>{children}</{0}>\n", self.tag)
    }

    /// Adds a child, at this element's place.
    pub(super) fn add(&mut self, tag: &str) -> &mut Self {
        self.children.push(Self {
            tag: tag.into(),
            place: self.place.clone(),
            children: Vec::new(),
            stray: false,
            attributes: Vec::new(),
            known: RefCell::default(),
        });
        let last = self.children.len() - 1;
        &mut self.children[last]
    }

    /// An attribute's text. Asking makes the attribute a known one.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        self.known.borrow_mut().push(name);
        self.raw(name)
    }

    /// An attribute's text, which may not be missing.
    pub(super) fn required(&self, name: &'static str) -> Result<&str> {
        self.text(name)
            .ok_or_else(|| self.invalid(format!("attribute '{name}' is required")))
    }

    /// Whether an attribute is there, known or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Declares attributes that MuJoCo knows and that have no effect here.
    pub(super) fn ignore(&self, names: &[&'static str]) {
        self.known.borrow_mut().extend(names);
    }

    /// Refuses attributes that change physics in a way that is not supported, unless they are zero.
    pub(super) fn refuse(&self, names: &[&'static str]) -> Result<()> {
        for name in names {
            let Some(text) = self.text(name) else {
                continue;
            };
            let idle = text
                .split_whitespace()
                .all(|number| number.parse() == Ok(0.0));
            if !idle {
                return Err(self.unsupported(format!("attribute '{name}' is not supported yet")));
            }
        }
        Ok(())
    }

    /// Refuses every attribute that nobody asked for.
    pub(super) fn finish(&self) -> Result<()> {
        let known = self.known.borrow();
        for (name, _) in &self.attributes {
            if known.iter().any(|known| known == name) {
                continue;
            }
            let error = Error::invalid(format!("unknown attribute '{name}'"));
            return Err(
                self.error(match near_matches(name, known.iter().copied()).first() {
                    Some(close) => error.hint(format!("did you mean '{close}'?")),
                    None => error,
                }),
            );
        }
        Ok(())
    }

    /// Refuses this element, whose tag its parent does not know.
    pub(super) fn unknown(&self, parent: &str, known: &[&str]) -> Error {
        let error = Error::invalid(format!("unknown element <{}> in <{parent}>", self.tag));
        let error = match near_matches(&self.tag, known.iter().copied()).first() {
            Some(close) => error.hint(format!("did you mean <{close}>?")),
            None => error,
        };
        error.context(&self.place)
    }

    /// Refuses children.
    pub(super) fn leaf(&self) -> Result<()> {
        match self.children.first() {
            None => Ok(()),
            Some(child) => Err(child.unknown(&self.tag, &[])),
        }
    }

    /// Every number of an attribute.
    pub(super) fn numbers(&self, name: &'static str) -> Result<Option<Vec<f64>>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let numbers = text
            .split_whitespace()
            .map(|word| self.number(name, word))
            .collect::<Result<Vec<_>>>()?;
        Ok((!numbers.is_empty()).then_some(numbers))
    }

    fn number(&self, name: &str, word: &str) -> Result<f64> {
        let number = word
            .parse::<f64>()
            .map_err(|_| self.invalid(format!("attribute '{name}': '{word}' is not a number")))?;
        if number.is_finite() {
            return Ok(number);
        }
        Err(self.invalid(format!(
            "attribute '{name}': '{word}' is not a finite number"
        )))
    }

    /// An attribute of exactly N numbers.
    pub(super) fn array<const N: usize>(&self, name: &'static str) -> Result<Option<[f64; N]>> {
        let Some(numbers) = self.numbers(name)? else {
            return Ok(None);
        };
        let count = numbers.len();
        numbers.try_into().map(Some).map_err(|_| {
            self.invalid(format!(
                "attribute '{name}' has {count} numbers, it needs {N}"
            ))
        })
    }

    /// Overwrites the beginning of an array by an attribute of one to N numbers.
    pub(super) fn read_some<const N: usize>(
        &self,
        name: &'static str,
        into: &mut [f64; N],
    ) -> Result<()> {
        let Some(numbers) = self.numbers(name)? else {
            return Ok(());
        };
        let count = numbers.len();
        if count > N {
            return Err(self.invalid(format!(
                "attribute '{name}' has {count} numbers, at most {N} are allowed"
            )));
        }
        into[..count].copy_from_slice(&numbers);
        Ok(())
    }

    /// Overwrites an array by an attribute of exactly N numbers.
    pub(super) fn read_array<const N: usize>(
        &self,
        name: &'static str,
        into: &mut [f64; N],
    ) -> Result<()> {
        if let Some(array) = self.array(name)? {
            *into = array;
        }
        Ok(())
    }

    /// Overwrites a number.
    pub(super) fn read(&self, name: &'static str, into: &mut f64) -> Result<()> {
        if let Some([number]) = self.array(name)? {
            *into = number;
        }
        Ok(())
    }

    /// Overwrites a colour.
    pub(super) fn read_color(&self, name: &'static str, into: &mut [f32; 4]) -> Result<()> {
        if let Some(color) = self.array::<4>(name)? {
            *into = color.map(|channel| channel as f32);
        }
        Ok(())
    }

    /// An attribute that is one integer.
    pub(super) fn integer(&self, name: &'static str) -> Result<Option<i32>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        text.trim().parse().map(Some).map_err(|_| {
            self.invalid(format!(
                "attribute '{name}': '{text}' is not an integer of 32 bits"
            ))
        })
    }

    /// Overwrites an integer.
    pub(super) fn read_integer(&self, name: &'static str, into: &mut i32) -> Result<()> {
        if let Some(integer) = self.integer(name)? {
            *into = integer;
        }
        Ok(())
    }

    /// Overwrites a count, which may not be negative.
    pub(super) fn read_count(&self, name: &'static str, into: &mut usize) -> Result<()> {
        if let Some(integer) = self.integer(name)? {
            *into = usize::try_from(integer).map_err(|_| {
                self.invalid(format!(
                    "attribute '{name}' is {integer}, it cannot be negative"
                ))
            })?;
        }
        Ok(())
    }

    /// Overwrites a set of bits; −1 has all of them.
    pub(super) fn read_bits(&self, name: &'static str, into: &mut u32) -> Result<()> {
        if let Some(integer) = self.integer(name)? {
            *into = integer.cast_unsigned();
        }
        Ok(())
    }

    /// An attribute that is one of some keywords.
    pub(super) fn keyword<T: Copy>(
        &self,
        name: &'static str,
        keywords: &[(&str, T)],
    ) -> Result<Option<T>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let found = keywords.iter().find(|(keyword, _)| *keyword == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let known: Vec<&str> = keywords.iter().map(|(keyword, _)| *keyword).collect();
            let error = Error::invalid(format!("attribute '{name}': unknown keyword '{text}'"));
            let hint = match near_matches(text, known.iter().copied()).first() {
                Some(close) => format!("did you mean '{close}'?"),
                None => format!("one of {}", known.join(", ")),
            };
            self.error(error.hint(hint))
        })
    }

    /// Overwrites a value by a keyword's.
    pub(super) fn read_keyword<T: Copy>(
        &self,
        name: &'static str,
        keywords: &[(&str, T)],
        into: &mut T,
    ) -> Result<()> {
        if let Some(value) = self.keyword(name, keywords)? {
            *into = value;
        }
        Ok(())
    }

    /// Overwrites a switch.
    pub(super) fn read_bool(&self, name: &'static str, into: &mut bool) -> Result<()> {
        self.read_keyword(name, &[("false", false), ("true", true)], into)
    }

    /// Overwrites a text.
    pub(super) fn read_text(&self, name: &'static str, into: &mut String) {
        if let Some(text) = self.text(name) {
            text.clone_into(into);
        }
    }
}
