//! The conventions that matter, as tests: which module may use which, files that nothing includes, headers, length.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file longer than this is to be split.
const MAX_LINES: usize = 700;

/// Which modules each top-level module may use; ARCHITECTURE.md has the reasons. A new module needs a row.
const ARROWS: &[(&str, &str)] = &[
    ("error", ""),
    ("files", "error"),
    ("trace", "error"),
    ("math", "error trace"),
    ("scene", "error trace math"),
    ("model", "error trace math scene"),
    ("rigid", "error trace math scene model"),
    ("randomize", "error trace math scene model rigid"),
    ("gpu", "error trace"),
    ("particles", "error trace math scene model rigid gpu"),
    ("tasks", "error trace math scene model rigid randomize"),
    ("render", "error trace math scene model rigid gpu"),
    (
        "env",
        "error trace math scene model rigid tasks gpu particles randomize render",
    ),
    ("tensor", "error trace gpu env"),
    // Only `train/worlds.rs` needs what lies before `tensor`: it makes an environment of the simulator.
    ("train", "error files trace math gpu env tensor"),
    (
        "sim2real",
        "error trace math scene model rigid tasks gpu env tensor train",
    ),
    (
        "cli",
        "error files trace math scene model rigid tasks gpu particles randomize render env tensor train sim2real",
    ),
];

/// Crates that only some modules may know.
const CRATES: &[(&str, &str)] = &[
    ("wgpu", "gpu particles render env tensor train sim2real cli"),
    ("burn", "tensor train sim2real"),
    ("burn_cubecl", "tensor train sim2real"),
    ("burn_flex", "tensor train sim2real"),
    ("cubecl", "tensor train sim2real"),
];

/// Whether a list of names has a name.
fn lists(names: &str, name: &str) -> bool {
    names.split(' ').any(|listed| listed == name)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder of the repository with this extension, as paths from the root, in order.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files of the repository.
fn rust_files() -> Vec<PathBuf> {
    ["src", "tests", "examples", "benches"]
        .iter()
        .flat_map(|folder| files(folder, "rs"))
        .collect()
}

fn demand(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Rust source with comments and the contents of literals blanked out; lines stay where they are.
fn code(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = comment(rest).or_else(|| literal(rest));
        match length {
            Some(length) => out.extend(rest[..length].chars().filter(|c| *c == '\n').chain([' '])),
            None => out.push(first),
        }
        rest = &rest[length.unwrap_or(first.len_utf8())..];
    }
    out
}

/// The length of the comment at the start; block comments nest.
fn comment(source: &str) -> Option<usize> {
    if source.starts_with("//") {
        return Some(source.find('\n').unwrap_or(source.len()));
    }
    if !source.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    loop {
        let (step, change) = match &source.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            [] => return Some(at),
            _ => (1, 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The length of the string or character literal at the start; a lifetime is none.
fn literal(source: &str) -> Option<usize> {
    let raw = source.strip_prefix('r').map(|s| s.trim_start_matches('#'));
    if let Some(body) = raw.and_then(|s| s.strip_prefix('"')) {
        let start = source.len() - body.len();
        let end = format!("\"{}", "#".repeat(start - 2));
        return Some(start + body.find(&end)? + end.len());
    }
    let quote = source.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut characters = source.char_indices().skip(1);
    let mut count = 0;
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => _ = characters.next(),
            c if c == quote => return Some(at + 1),
            _ => {}
        }
        count += 1;
        if quote == '\''
            && count == 1
            && !source[1..].starts_with('\\')
            && !source[at + character.len_utf8()..].starts_with('\'')
        {
            return None;
        }
    }
    None
}

/// The identifiers after each `prefix` (`crate::`): one, or those of a group in braces.
fn named_after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let after = &code[at + prefix.len()..];
        let Some(group) = after.strip_prefix('{') else {
            names.push(identifier(after));
            continue;
        };
        let (mut depth, mut expects) = (0, true);
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expects = true,
                c if expects && (c.is_alphabetic() || c == '_') => {
                    names.push(identifier(&group[at..]));
                    expects = false;
                }
                _ => {}
            }
        }
    }
    names
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The top-level modules that a file of a top-level module uses, and the crates of [`CRATES`].
fn uses(code: &str) -> BTreeSet<&str> {
    let mut used: BTreeSet<&str> = named_after(code, "crate::").into_iter().collect();
    for (name, _) in CRATES {
        let mentions = code.match_indices(name).any(|(at, _)| {
            let (before, after) = (&code[..at], &code[at + name.len()..]);
            let starts = !before.ends_with(|c: char| c.is_alphanumeric() || "_:.".contains(c));
            let path = after.starts_with("::");
            let imported =
                after.starts_with([';', ',', '}', ' ']) && before.trim_end().ends_with("use");
            starts && (path || imported)
        });
        if mentions {
            used.insert(name);
        }
    }
    used
}

/// The top-level module of a file in `src`.
fn module_of(path: &Path) -> String {
    let first = path.iter().nth(1).unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_string()
}

#[test]
fn modules_use_what_their_arrows_allow() {
    let mut complaints = Vec::new();
    for path in files("src", "rs") {
        let module = module_of(&path);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            complaints.push(format!(
                "{}: no row in ARROWS for `{module}`",
                path.display()
            ));
            continue;
        };
        let source = code(&text(&path));
        for used in uses(&source) {
            let is_module = ARROWS.iter().any(|(name, _)| *name == used);
            let forbidden_crate = CRATES
                .iter()
                .any(|(name, knowing)| *name == used && !lists(knowing, &module));
            if (is_module && used != module && !lists(allowed, used)) || forbidden_crate {
                complaints.push(format!(
                    "{}: `{module}` must not use `{used}`",
                    path.display()
                ));
            }
        }
        // Other modules are named by `crate::`, so that the arrows can be read.
        for name in named_after(&source, "super::super::") {
            if ARROWS.iter().any(|(module, _)| *module == name) {
                complaints.push(format!("{}: write `crate::{name}`", path.display()));
            }
        }
    }
    demand(&complaints);
}

#[test]
fn forbidden_uses_are_seen() {
    let source = r##"
        //! crate::gpu and wgpu::Device in a comment
        /* crate::env /* nested */ crate::cli */
        use crate::{error::Result, math::{Vec3, vector}, trace};
        use wgpu;
        const TEXT: &str = "crate::tasks \" burn::x";
        const RAW: &str = r#"crate::tensor " "#;
        fn f<'a>(x: &'a str, c: char) -> bool { c == '"' || c == '\'' || crate::model::g::<burn_flex::Flex>() }
    "##;
    let source = code(source);
    let found: Vec<&str> = uses(&source).into_iter().collect();
    assert_eq!(
        found,
        ["burn_flex", "error", "math", "model", "trace", "wgpu"]
    );
    assert_eq!(uses("use crate::trace; let wgpu = not::wgpu::x;").len(), 1);
}

#[test]
fn every_rust_file_is_part_of_the_program() {
    let mut complaints = Vec::new();
    for path in rust_files() {
        let (folder, stem) = (
            path.parent().unwrap(),
            path.file_stem().unwrap().to_str().unwrap(),
        );
        let is_root = match folder.to_str().unwrap() {
            "src" => ["lib", "main"].contains(&stem),
            "examples" | "benches" | "tests" => true,
            _ => stem == "main",
        };
        if is_root {
            continue;
        }
        // A module is declared by its folder's mod.rs, lib.rs or main.rs, by FOLDER.rs beside the folder, or by path.
        let (name, folder) = match stem {
            "mod" => (
                folder.file_name().unwrap().to_str().unwrap(),
                folder.parent().unwrap(),
            ),
            _ => (stem, folder),
        };
        let mut parents: Vec<PathBuf> = ["mod.rs", "lib.rs", "main.rs"]
            .iter()
            .map(|f| folder.join(f))
            .collect();
        parents.push(folder.with_extension("rs"));
        let declares = |parent: &PathBuf| {
            fs::read_to_string(root().join(parent)).is_ok_and(|source| {
                let source = code(&source);
                source
                    .split(';')
                    .any(|statement| statement.trim_end().ends_with(&format!("mod {name}")))
            })
        };
        let file = path.strip_prefix("tests").unwrap_or(&path);
        let by_path = format!("\"../{}\"", file.display());
        let included = || {
            files("tests", "rs")
                .iter()
                .any(|other| text(other).contains(&by_path))
        };
        if !parents.iter().any(declares) && !included() {
            complaints.push(format!("{}: nothing declares this module", path.display()));
        }
    }
    demand(&complaints);
}

#[test]
fn files_open_with_a_header_and_are_short() {
    let mut complaints = Vec::new();
    for path in rust_files() {
        let source = text(&path);
        if !source.starts_with("//! ") {
            complaints.push(format!(
                "{}: open with `//!`: what it does and how",
                path.display()
            ));
        }
        complaints.extend(too_long(&path, &source));
    }
    for (folder, extension) in [("shaders", "wgsl"), ("tests", "py")] {
        for path in files(folder, extension) {
            complaints.extend(too_long(&path, &text(&path)));
        }
    }
    demand(&complaints);
}

fn too_long(path: &Path, source: &str) -> Option<String> {
    let lines = source.lines().count();
    if lines > 600 {
        println!("{}: {lines} lines", path.display());
    }
    (lines > MAX_LINES).then(|| {
        format!(
            "{}: {lines} lines, more than {MAX_LINES}: split it",
            path.display()
        )
    })
}

#[test]
fn shaders_are_used_and_describe_their_bindings() {
    let sources: String = files("src", "rs")
        .iter()
        .chain(&files("shaders", "wgsl"))
        .map(|path| text(path))
        .collect();
    let mut complaints = Vec::new();
    for path in files("shaders", "wgsl") {
        let shader = text(&path);
        let header: String = shader
            .lines()
            .take_while(|line| line.starts_with("//"))
            .collect();
        if header.is_empty() {
            complaints.push(format!(
                "{}: open with what it computes, its method and its arrays",
                path.display()
            ));
        }
        let words: Vec<&str> = header
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .collect();
        for line in shader
            .lines()
            .filter(|line| line.trim_start().starts_with("@group"))
        {
            let name = line
                .split_once("> ")
                .map_or("", |(_, after)| identifier(after));
            if !words.contains(&name) {
                complaints.push(format!(
                    "{}: the header has no line for `{name}`",
                    path.display()
                ));
            }
        }
        let import = path.strip_prefix("shaders").unwrap().with_extension("");
        if !sources.contains(import.to_str().unwrap()) {
            complaints.push(format!("{}: nothing includes this shader", path.display()));
        }
    }
    demand(&complaints);
}

#[test]
fn examples_are_in_the_readme() {
    let Ok(readme) = fs::read_to_string(root().join("README.md")) else {
        return;
    };
    let examples = files("examples", "rs").into_iter().filter_map(|path| {
        let parts: Vec<&str> = path
            .iter()
            .skip(1)
            .map(|part| part.to_str().unwrap())
            .collect();
        match parts[..] {
            [file] => Some(file.trim_end_matches(".rs").to_string()),
            [folder, "main.rs"] => Some(folder.to_string()),
            _ => None,
        }
    });
    let missing: Vec<String> = examples
        .filter(|name| !readme.contains(name))
        .map(|name| format!("README.md does not mention the example `{name}`"))
        .collect();
    demand(&missing);
}

#[test]
fn nothing_is_left_unfinished() {
    // Put together here, so that this file does not contain them.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]];
    let places = [
        ["/ho", "me/"],
        ["/ro", "ot/"],
        ["/wo", "rk/"],
        ["/Us", "ers/"],
    ];
    let words: Vec<String> = marks
        .iter()
        .chain(&places)
        .map(|halves| halves.concat())
        .collect();
    let macros = ["todo!", "unimplemented!", "dbg!"];

    let mut paths = rust_files();
    paths.extend(files("shaders", "wgsl"));
    paths.extend(files("tests", "py"));
    paths.extend(files("src", "toml"));
    paths.extend(files("src", "xml"));
    paths.extend(
        [
            "Cargo.toml",
            "README.md",
            "ARCHITECTURE.md",
            "CHANGELOG.md",
            "x",
            ".ci/run",
        ]
        .map(PathBuf::from),
    );
    let mut complaints = Vec::new();
    for path in paths.iter().filter(|path| root().join(path).exists()) {
        let source = text(path);
        for (number, line) in source.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(*word)) {
                complaints.push(format!("{}:{}: `{word}`", path.display(), number + 1));
            }
        }
        if path.extension().is_some_and(|extension| extension == "rs") {
            let source = code(&source);
            for name in macros.iter().filter(|name| source.contains(*name)) {
                complaints.push(format!("{}: `{name}`", path.display()));
            }
        }
    }
    demand(&complaints);
}
