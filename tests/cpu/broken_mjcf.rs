//! Broken MJCF: each file gives one line that names the file, the line and the cause.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use manyworlds::error::Result;
use manyworlds::model::Model;
use manyworlds::scene::mjcf;

/// Longest time that a broken file may take; a hang would be forever.
const PATIENCE: Duration = Duration::from_secs(5);

/// The cases: name, text, line of the error, and a part of its cause.
fn cases() -> Vec<(&'static str, String, u32, &'static str)> {
    let table = include_str!("../broken/cases.txt");
    let mut cases: Vec<_> = table.split("\n=== ").skip(1).map(case).collect();
    let binary = "\u{1}\u{2}\u{3}".to_string();
    cases.push(("binary", binary, 1, "not well-formed"));
    cases
}

fn case(text: &'static str) -> (&'static str, String, u32, &'static str) {
    let (header, file) = text
        .split_once('\n')
        .expect("a case has a header and a file");
    let [name, line, cause] = header.split(" | ").collect::<Vec<_>>()[..] else {
        panic!("'{header}' is not: name | line | cause");
    };
    let line = line.parse().expect("the line is a number");
    (name, file.trim_end_matches('\n').to_string(), line, cause)
}

/// A fresh folder for one test's files.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("manyworlds-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn compile(path: &Path) -> Result<Model> {
    Model::compile(&mjcf::load(path)?)
}

#[test]
fn every_broken_file_names_its_line_and_its_cause() {
    let cases = cases();
    assert!(cases.len() >= 100);
    let folder = folder("broken");
    std::fs::write(folder.join("good.part"), "<mujoco><option/></mujoco>").unwrap();
    let mut wrong = String::new();
    for (name, text, line, cause) in &cases {
        let path = folder.join(format!("{name}.xml"));
        std::fs::write(&path, text).unwrap();
        let start = Instant::now();
        let message = match compile(&path) {
            Ok(_) => "no error".to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            start.elapsed() < PATIENCE,
            "{name} took {:?}",
            start.elapsed()
        );
        let place = format!("{name}.xml:{line}: ");
        if !message.contains(&place) || !message.contains(cause) || message.contains('\n') {
            writeln!(wrong, "{name}: expected '{place}…{cause}', got '{message}'").unwrap();
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_cycle_of_includes_and_an_error_in_an_included_file_name_that_file() {
    let folder = folder("includes");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("a.xml", "<mujoco>\n<include file='b.part'/></mujoco>");
    write("b.part", "<mujoco>\n\n<include file='a.xml'/></mujoco>");
    write("c.xml", "<mujoco><include file='d.part'/></mujoco>");
    write("d.part", "<mujoco>\n<option timestep='x'/></mujoco>");
    let cycle = compile(&folder.join("a.xml")).unwrap_err().to_string();
    let inside = compile(&folder.join("c.xml")).unwrap_err().to_string();
    let missing = compile(&folder.join("none.xml")).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(
        cycle.contains("b.part:3: <include>: ") && cycle.contains("includes itself"),
        "{cycle}"
    );
    assert!(
        inside.contains("d.part:2: <option>: ") && inside.contains("'x' is not a number"),
        "{inside}"
    );
    assert!(
        missing.contains("none.xml") && !missing.contains('\n'),
        "{missing}"
    );
}

/// A thousand bodies in each other are refused before anything recurses into them.
#[test]
fn deep_nesting_is_refused() {
    let text = format!(
        "<mujoco><worldbody>{}{}</worldbody></mujoco>",
        "<body>".repeat(100_000),
        "</body>".repeat(100_000)
    );
    let error = mjcf::parse("deep.xml", &text, "").unwrap_err().to_string();
    assert!(
        error.contains("deep.xml:1: ") && error.contains("nested deeper"),
        "{error}"
    );
    let deep = 250;
    let text = format!(
        "<mujoco><worldbody>{}{}</worldbody></mujoco>",
        "<body>".repeat(deep),
        "</body>".repeat(deep)
    );
    let model = Model::compile(&mjcf::parse("deep.xml", &text, "").unwrap()).unwrap();
    assert_eq!(model.nbody, deep + 1);
}

/// Every prefix of a good file is an error or a model, never a panic.
#[test]
fn no_prefix_of_a_good_file_panics() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/actuator_kinds.xml");
    let text = std::fs::read_to_string(path).unwrap();
    for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
        let result =
            mjcf::parse("prefix.xml", &text[..end], "").and_then(|scene| Model::compile(&scene));
        if let Err(error) = result {
            assert!(error.to_string().contains("prefix.xml:"), "{error}");
        }
    }
}

/// Every attribute of every good file, with a value that makes no sense: an error or a model, never
/// a panic, and every error has a place.
#[test]
fn no_senseless_attribute_panics() {
    const VALUES: &[&str] = &[
        "",
        "nan",
        "-1",
        "0",
        "1e300",
        "-1e-300",
        "2147483647",
        "x",
        "1 2 3 4 5 6 7 8 9 10 11",
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let files = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut tried = 0;
    for path in files.filter(|path| path.extension().is_some_and(|e| e == "xml")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let quotes: Vec<usize> = text.match_indices('"').map(|(i, _)| i).collect();
        for (value, ends) in VALUES
            .iter()
            .flat_map(|value| quotes.chunks(2).map(move |ends| (value, ends)))
        {
            let broken = format!("{}{value}{}", &text[..=ends[0]], &text[ends[1]..]);
            let start = Instant::now();
            let result = mjcf::parse("changed.xml", &broken, &folder)
                .and_then(|scene| Model::compile(&scene));
            if let Err(error) = result {
                let message = error.to_string();
                assert!(
                    message.contains(".xml:") && !message.contains('\n'),
                    "{value}: {message}"
                );
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{} bytes {ends:?} = '{value}'",
                path.display()
            );
            tried += 1;
        }
    }
    assert!(tried > 5_000, "only {tried} attributes");
}
