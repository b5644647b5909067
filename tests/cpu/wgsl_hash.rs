//! What nobody asked for costs nothing: the control step of every built-in task is, to the last character, what is on
//! record in `wgsl_hash.txt`. An option that is not used must not change a line of it; a change of the kernels on
//! purpose is put on record with `MANYWORLDS_BLESS=1 cargo test --test cpu wgsl_hash`.

use std::fmt::Write;
use std::path::Path;

use manyworlds::env::{Precision, Target, VecEnv};
use manyworlds::tasks::Registry;

/// The 64-bit FNV-1a hash.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn kernels_are_those_on_record() {
    let registry = Registry::builtin();
    let mut found = String::new();
    for name in registry.list().map(|(name, _)| name) {
        let definition = registry.load(name).expect("a built-in task loads");
        let env = VecEnv::builder(definition)
            .build_on(Target::Host(Precision::Single))
            .expect("a built-in task builds");
        let wgsl = env.step_graph().wgsl();
        let lines = wgsl.lines().count();
        writeln!(found, "{name} {:016x} {lines} lines", fnv1a(&wgsl)).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cpu/wgsl_hash.txt");
    if std::env::var_os("MANYWORLDS_BLESS").is_some() {
        std::fs::write(&path, &found).expect("the record is written");
    }
    let recorded = std::fs::read_to_string(&path).expect("tests/cpu/wgsl_hash.txt is there");
    assert_eq!(found, recorded, "kernels (left) differ from the record");
}
