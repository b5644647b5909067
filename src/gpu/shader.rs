//! WGSL sources and their composition: `#import gpu/launch` on a line of its own stands for that file's text.
//!
//! A file is imported once, at its first mention, however many files ask for it; a circle is an error. The composed
//! [`Source`] remembers where each of its lines came from, so that a compiler's complaint names the file to edit.

use std::collections::HashSet;

use crate::error::{Error, Result, near_matches};

/// The shaders of this crate, by their path under `shaders/` without `.wgsl`.
pub const LIBRARY: Library<'static> = Library {
    files: &[
        ("gpu/copy", include_str!("../../shaders/gpu/copy.wgsl")),
        ("gpu/fill", include_str!("../../shaders/gpu/fill.wgsl")),
        ("gpu/gather", include_str!("../../shaders/gpu/gather.wgsl")),
        ("gpu/launch", include_str!("../../shaders/gpu/launch.wgsl")),
    ],
};

/// Named WGSL files that can import each other.
#[derive(Clone, Copy, Debug)]
pub struct Library<'a> {
    files: &'a [(&'a str, &'a str)],
}

/// WGSL text whose lines know the file that they came from.
#[derive(Clone, Debug)]
pub struct Source {
    text: String,
    /// For each line of the text: index into `files`, and its number there, from 1.
    lines: Vec<(usize, usize)>,
    files: Vec<String>,
}

impl<'a> Library<'a> {
    /// A library of (name, text) pairs; names are what `#import` says.
    pub const fn new(files: &'a [(&'a str, &'a str)]) -> Self {
        Self { files }
    }

    /// The names of the files.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.files.iter().map(|(name, _)| *name)
    }

    /// The file `name` with its imports in place.
    ///
    /// # Errors
    /// No such file, an import of a file that does not exist or leads back to the file itself, or an import that names
    /// none; the error says file and line.
    pub fn compose(&self, name: &str) -> Result<Source> {
        let text = self.text(name)?;
        let mut composer = Composer {
            library: *self,
            seen: HashSet::new(),
            path: Vec::new(),
            source: Source::empty(),
        };
        composer.add(name, text)?;
        Ok(composer.source)
    }

    fn text(&self, name: &str) -> Result<&'a str> {
        let found = self.files.iter().find(|(file, _)| *file == name);
        found.map(|(_, text)| *text).ok_or_else(|| {
            let error = Error::invalid(format!("there is no shader `{name}`"));
            match near_matches(name, self.names()).as_slice() {
                [] => error,
                near => error.hint(format!("did you mean {}?", near.join(" or "))),
            }
        })
    }
}

struct Composer<'a> {
    library: Library<'a>,
    seen: HashSet<String>,
    /// The files being read, outermost first.
    path: Vec<String>,
    source: Source,
}

impl<'a> Composer<'a> {
    fn add(&mut self, name: &str, text: &str) -> Result<()> {
        self.seen.insert(name.to_owned());
        self.path.push(name.to_owned());
        let file = self.source.files.len();
        self.source.files.push(format!("shaders/{name}.wgsl"));
        for (index, line) in text.lines().enumerate() {
            let place = (file, index + 1);
            let Some(import) = imported(line) else {
                self.source.push(line, place);
                continue;
            };
            let here = |error: Error| error.context(format!("shaders/{name}.wgsl:{}", index + 1));
            if let Some(text) = self.wanted(import).map_err(here)? {
                self.add(import, text)?;
            }
        }
        self.path.pop();
        Ok(())
    }

    /// The text of the file to import, unless it is there already.
    fn wanted(&self, name: &str) -> Result<Option<&'a str>> {
        if name.is_empty() {
            return Err(Error::invalid("`#import` names no file"));
        }
        if self.path.iter().any(|open| open == name) {
            let circle = self.path.join(" → ");
            return Err(Error::invalid(format!(
                "imports go in a circle: {circle} → {name}"
            )));
        }
        match self.seen.contains(name) {
            true => Ok(None),
            false => self.library.text(name).map(Some),
        }
    }
}

/// What a line imports, if it is an import.
fn imported(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("#import")?;
    let name = rest.split("//").next().unwrap_or_default().trim();
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(name)
}

impl Source {
    /// Text that was not composed, under the name that errors call it by.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = (1..=text.lines().count())
            .map(|number| (0, number))
            .collect();
        Self {
            text,
            lines,
            files: vec![name.into()],
        }
    }

    fn empty() -> Self {
        Self {
            text: String::new(),
            lines: Vec::new(),
            files: Vec::new(),
        }
    }

    fn push(&mut self, line: &str, origin: (usize, usize)) {
        self.text.push_str(line);
        self.text.push('\n');
        self.lines.push(origin);
    }

    /// The WGSL.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a line of the text (from 1) came from: `file:line`.
    pub fn origin(&self, line: usize) -> String {
        match line.checked_sub(1).and_then(|index| self.lines.get(index)) {
            Some((file, number)) => format!("{}:{number}", self.files[*file]),
            None => self.files.first().cloned().unwrap_or_default(),
        }
    }

    /// A line of the text (from 1), without its indentation.
    pub(super) fn line(&self, line: usize) -> &str {
        line.checked_sub(1)
            .and_then(|index| self.text.lines().nth(index))
            .unwrap_or_default()
            .trim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(files: &'static [(&'static str, &'static str)]) -> Library<'static> {
        Library::new(files)
    }

    #[test]
    fn imports_once_and_remembers_every_line() {
        let source = library(&[
            ("main", "#import a\n#import b // both use c\nfn main() {}"),
            ("a", "#import c\nfn a() {}"),
            ("b", "fn b() {}\n  #import c"),
            ("c", "// c\nfn c() {}"),
        ])
        .compose("main")
        .unwrap();
        assert_eq!(
            source.text(),
            "// c\nfn c() {}\nfn a() {}\nfn b() {}\nfn main() {}\n"
        );
        let origins: Vec<String> = (1..=5).map(|line| source.origin(line)).collect();
        assert_eq!(
            origins,
            [
                "c.wgsl:1",
                "c.wgsl:2",
                "a.wgsl:2",
                "b.wgsl:1",
                "main.wgsl:3"
            ]
            .map(|o| format!("shaders/{o}"))
        );
        assert_eq!(source.line(3), "fn a() {}");
    }

    #[test]
    fn a_circle_names_its_files_and_the_line() {
        let error = library(&[
            ("x", "\n#import y"),
            ("y", "#import z"),
            ("z", "\n\n#import x"),
        ])
        .compose("x");
        assert_eq!(
            error.unwrap_err().to_string(),
            "shaders/z.wgsl:3: imports go in a circle: x → y → z → x"
        );
        let error = library(&[("x", "#import x")]).compose("x").unwrap_err();
        assert_eq!(
            error.to_string(),
            "shaders/x.wgsl:1: imports go in a circle: x → x"
        );
    }

    #[test]
    fn a_missing_import_names_the_line_and_what_is_near() {
        let files = library(&[
            ("main", "// a comment\n#import gpu/lanch"),
            ("gpu/launch", ""),
        ]);
        assert_eq!(
            files.compose("main").unwrap_err().to_string(),
            "shaders/main.wgsl:2: there is no shader `gpu/lanch` (did you mean gpu/launch?)"
        );
        assert_eq!(
            files.compose("nothing").unwrap_err().to_string(),
            "there is no shader `nothing`"
        );
        let empty = library(&[("main", "#import")]).compose("main").unwrap_err();
        assert_eq!(
            empty.to_string(),
            "shaders/main.wgsl:1: `#import` names no file"
        );
    }

    #[test]
    fn only_a_line_of_its_own_is_an_import() {
        let text = "// #import a\n#imports\nlet x = 1; #import a\n";
        let source =
            library(&[("main", "// #import a\n#imports\nlet x = 1; #import a\n")]).compose("main");
        assert_eq!(source.unwrap().text(), text);
    }

    #[test]
    fn every_shader_of_the_crate_is_listed_and_valid() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
        let mut folders = vec![root.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "wgsl") {
                    let name = path.strip_prefix(&root).unwrap().with_extension("");
                    found.push(name.to_str().unwrap().replace('\\', "/"));
                }
            }
        }
        found.sort();
        let mut listed: Vec<&str> = LIBRARY.names().collect();
        listed.sort_unstable();
        assert_eq!(found, listed, "shaders/ and the list in shader.rs differ");
        for name in listed {
            super::super::wgsl::Interface::of(
                &LIBRARY.compose(name).unwrap(),
                wgpu::Features::empty(),
                false,
            )
            .unwrap();
        }
    }
}
