//! Which geoms may touch, in which order and with which parameters, against MuJoCo's own list.

use std::fs;

use manyworlds::model::Model;
use manyworlds::rigid::collision::{Candidate, candidates};
use manyworlds::scene::mjcf;
use serde_json::Value;

use crate::oracle;

fn same(found: &Candidate, expected: &Value) -> bool {
    let numbers = [
        ("friction", &found.friction[..]),
        ("solref", &found.solref),
        ("solreffriction", &found.solreffriction),
        ("solimp", &found.solimp),
    ];
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs().max(1.0);
    numbers.iter().all(|(name, found)| {
        let expected = oracle::floats(&expected[*name]);
        expected.len() == found.len() && expected.iter().zip(*found).all(|(a, b)| close(*b, *a))
    }) && oracle::floats(&expected["geoms"]) == found.geoms.map(|geom| geom as f64)
        && expected["condim"].as_u64() == Some(found.condim as u64)
        && close(found.margin, expected["margin"].as_f64().expect("a margin"))
}

/// Compares a model's candidates with all that MuJoCo detects when everything is near enough.
fn check(path: &str) {
    let Some(reference) = oracle::run("collide.py", &["model", path, "3", "5"]) else {
        return;
    };
    let model = Model::compile(&mjcf::load(path).expect("the model loads")).expect("compiles");
    let found = candidates(&model);
    for state in reference.as_array().expect("states") {
        let expected = state.as_array().expect("contacts");
        let names = |geoms: [usize; 2]| geoms.map(|geom| model.geom_names.name(geom).to_string());
        let list: Vec<_> = found.iter().map(|c| names(c.geoms)).collect();
        let theirs: Vec<_> = expected
            .iter()
            .map(|c| {
                let geoms = oracle::floats(&c["geoms"]);
                names([geoms[0] as usize, geoms[1] as usize])
            })
            .collect();
        assert_eq!(list, theirs, "{path}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(same(found, expected), "{path}:\n{found:?}\n{expected}");
        }
    }
}

#[test]
fn candidates_are_those_of_mujoco() {
    for name in [
        "contact_filters",
        "ant_tree",
        "humanoid_tree",
        "humanoid_defaults",
    ] {
        check(&format!(
            "{}/tests/models/{name}.xml",
            env!("CARGO_MANIFEST_DIR")
        ));
    }
}

#[test]
fn flags_change_candidates_as_in_mujoco() {
    let root = env!("CARGO_MANIFEST_DIR");
    let source = fs::read_to_string(format!("{root}/tests/models/contact_filters.xml"))
        .expect("the model is there");
    let flags = [
        r#"<flag filterparent="disable"/>"#,
        r#"<flag midphase="disable"/>"#,
        r#"<flag contact="disable"/>"#,
        r#"<flag constraint="disable"/>"#,
        r#"<flag override="enable"/>"#,
    ];
    for flag in flags {
        let text = source.replace(r#"<flag filterparent="enable"/>"#, flag);
        assert_ne!(text, source);
        let folder = std::env::temp_dir();
        let path = folder.join(format!("manyworlds-contacts-{}.xml", std::process::id()));
        fs::write(&path, text).expect("the folder is writable");
        check(path.to_str().expect("a path in Unicode"));
        fs::remove_file(&path).expect("the file is there");
    }
}
