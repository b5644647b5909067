//! `new`: a crate with a task of one's own in it, ready to train.

use std::fs;
use std::path::{Component, Path, PathBuf};

use clap::Args;

use super::output::say;
use crate::error::{Error, Result};

/// Make a crate with a task of your own in it, ready to train
///
/// The crate has the whole command line of manyworlds for its own task and the built-in ones.
#[derive(Args)]
#[command(after_help = "Example:
  manyworlds new my_robot && cd my_robot && cargo run --release -- train my_robot")]
pub(super) struct Arguments {
    /// Name of the crate and of its folder, which must not exist yet (or a path that ends in it)
    #[arg(value_name = "NAME")]
    path: PathBuf,
}

/// Path in the new crate and template.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("scaffold/Cargo.toml.template")),
    (".gitignore", include_str!("scaffold/gitignore.template")),
    ("README.md", include_str!("scaffold/README.md.template")),
    ("src/main.rs", include_str!("scaffold/main.rs")),
    ("src/task.rs", include_str!("scaffold/task.rs")),
    ("src/task.toml", include_str!("scaffold/task.toml")),
    ("src/model.xml", include_str!("scaffold/model.xml")),
];

const CARGO_CONFIG: &str = include_str!("scaffold/config.toml.template");

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let path = &arguments.path;
    let name = crate_name(path)?;
    if path.symlink_metadata().is_ok() {
        return Err(Error::invalid("exists already")
            .context(path.display())
            .hint("choose another name"));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(
            Error::io(format!("there is no folder {}", folder.display()))
                .context(path.display())
                .hint("create it first"),
        );
    }
    // Everything is written into a neighbour, which then takes the name: there is never half a crate.
    let partial = folder.join(format!(".{name}.{}.partial", std::process::id()));
    let written = write(&partial, &name).and_then(|()| Ok(fs::rename(&partial, path)?));
    written.map_err(|error| {
        let _ = fs::remove_dir_all(&partial);
        error.context(path.display())
    })?;

    let task = name.replace('-', "_");
    say!(
        "made {}: a task `{task}` (src/task.rs, src/task.toml, src/model.xml)",
        path.display()
    );
    say!(
        "  cd {} && cargo run --release -- train {task}",
        path.display()
    );
    Ok(())
}

fn write(folder: &Path, name: &str) -> Result<()> {
    let source = Source::find();
    let task = name.replace('-', "_");
    let values = [
        ("name", name.to_owned()),
        ("task", task),
        ("dependency", source.dependency()),
    ];
    for (file, template) in FILES {
        put(&folder.join(file), template, &values)?;
    }
    if let Some(target) = &source.target {
        put(
            &folder.join(".cargo/config.toml"),
            CARGO_CONFIG,
            &[("target", quoted(target))],
        )?;
    }
    if let Some(lock) = &source.lock {
        // The same versions, so that what is compiled already fits; cargo drops what the crate does not need.
        fs::copy(lock, folder.join("Cargo.lock"))?;
    }
    Ok(())
}

fn put(path: &Path, template: &str, values: &[(&str, String)]) -> Result<()> {
    let mut text = template.to_owned();
    for (key, value) in values {
        text = text.replace(&format!("{{{{{key}}}}}"), value);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, text)?)
}

/// Where this program's own crate is, and what has been compiled of it.
struct Source {
    /// The crate's folder, where it lies on disk.
    folder: Option<PathBuf>,
    /// Its list of versions.
    lock: Option<PathBuf>,
    /// The folder in which cargo compiled this program.
    target: Option<PathBuf>,
}

impl Source {
    fn find() -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let folder = Some(folder).filter(|folder| folder.join("src/cli/scaffold").is_dir());
        let lock = folder
            .as_ref()
            .map(|folder| folder.join("Cargo.lock"))
            .filter(|lock| lock.is_file());
        Self {
            folder,
            lock,
            target: target_folder(),
        }
    }

    fn dependency(&self) -> String {
        match &self.folder {
            Some(folder) => format!("{{ path = {} }}", quoted(folder)),
            None => format!("\"{}\"", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// The target folder that the running program stands in: `TARGET/release/manyworlds`.
fn target_folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let target = program.parent()?.parent()?;
    let is_cargos = program.parent()?.ends_with("release") && target.join("CACHEDIR.TAG").is_file();
    is_cargos.then(|| target.to_owned())
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

/// The last part of the path, if a crate can be called that.
fn crate_name(path: &Path) -> Result<String> {
    let wrong = |why: String| {
        Error::invalid(why)
            .context(path.display())
            .hint("a crate's name has letters, digits, - and _, and begins with a letter")
    };
    let Some(Component::Normal(name)) = path.components().next_back() else {
        return Err(wrong("names no folder".into()));
    };
    let name = name.to_string_lossy().into_owned();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if let Some(character) = name.chars().find(|c| !allowed(*c)) {
        return Err(wrong(format!("`{character}` in a crate's name")));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(wrong(format!("`{name}` does not begin with a letter")));
    }
    if RESERVED.contains(&name.replace('-', "_").as_str()) {
        return Err(Error::invalid(format!("`{name}` is taken"))
            .context(path.display())
            .hint("it is a word of Rust or of cargo: choose another name"));
    }
    Ok(name)
}

/// Rust's keywords, and names that mean something else to cargo or to the new crate's code.
const RESERVED: [&str; 64] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "manyworlds",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "task",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "main",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_refuses_are_refused() {
        for name in [
            "",
            "..",
            "/",
            "9lives",
            "a b",
            "é",
            "fn",
            "manyworlds",
            "self",
            "-x",
            "a.b",
        ] {
            let error = crate_name(Path::new(name)).unwrap_err().to_string();
            assert!(error.contains('('), "{error}");
        }
        for (path, name) in [
            ("my-robot", "my-robot"),
            ("some/where/arm_2", "arm_2"),
            ("x/", "x"),
        ] {
            assert_eq!(crate_name(Path::new(path)).unwrap(), name);
        }
    }

    #[test]
    fn no_placeholder_remains_in_a_new_crate() {
        let folder = std::env::temp_dir().join(format!("manyworlds-new-{}", std::process::id()));
        write(&folder, "my-robot").unwrap();
        for (file, _) in FILES {
            let text = fs::read_to_string(folder.join(file)).unwrap();
            assert!(!text.contains("{{") && !text.is_empty(), "{file}: {text}");
        }
        let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml"))
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("my-robot"));
        fs::remove_dir_all(folder).unwrap();
    }
}
