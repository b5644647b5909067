//! Broken input, command by command: one line that says where and what, a status that is not 0, and no panic.

use crate::program::{self, Folder};

/// A pendulum with a motor: nq = nv = nu = 1.
const PENDULUM: &str = r#"<mujoco model="pendulum">
  <worldbody>
    <body name="arm">
      <joint name="hinge" type="hinge" axis="0 1 0"/>
      <geom name="arm" type="capsule" fromto="0 0 0 0 0 -0.5" size="0.05" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator><motor name="motor" joint="hinge"/></actuator>
</mujoco>"#;

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("pendulum.xml", PENDULUM);
    folder
}

/// Runs the program in `folder`, where it must fail, and returns its one line.
fn fails(folder: &Folder, arguments: &[&str]) -> String {
    let output = program::run_in(folder.path(), arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let (last, before) = errors
        .trim_end()
        .rsplit_once('\n')
        .map_or((errors.trim_end(), ""), |(a, b)| (b, a));
    assert!(
        !output.status.success(),
        "{arguments:?} succeeded: {errors}"
    );
    assert!(
        last.starts_with("error: ") && !before.contains("error: "),
        "{arguments:?} said: {errors}"
    );
    assert!(
        !errors.contains("panicked") && !errors.contains("internal:"),
        "{arguments:?} panicked: {errors}"
    );
    last.to_owned()
}

/// Asserts that running `arguments` fails with a line that contains all of `parts`.
fn says(folder: &Folder, arguments: &[&str], parts: &[&str]) {
    let line = fails(folder, arguments);
    for part in parts {
        assert!(
            line.contains(part),
            "{arguments:?}: `{part}` is not in: {line}"
        );
    }
}

#[test]
fn wrong_command_lines() {
    let folder = folder("command-lines");
    says(
        &folder,
        &["rolout", "pendulum.xml"],
        &["rolout", "did you mean `rollout`"],
    );
    says(&folder, &["rollout"], &["MODEL.xml"]);
    says(
        &folder,
        &["rollout", "pendulum.xml", "--stesp", "3"],
        &["--stesp", "did you mean `--steps`"],
    );
    says(
        &folder,
        &["rollout", "pendulum.xml", "--worlds", "0"],
        &["--worlds"],
    );
    says(
        &folder,
        &["rollout", "pendulum.xml", "--every", "0"],
        &["--every"],
    );
    says(
        &folder,
        &["rollout", "pendulum.xml", "--steps", "-1"],
        &["-1"],
    );
    says(
        &folder,
        &["rollout", "pendulum.xml", "--backend", "hots"],
        &["hots", "did you mean `host`"],
    );
    says(&folder, &["info", "--wgsl"], &["MODEL.xml"]);
}

#[test]
fn missing_and_broken_models() {
    let folder = folder("models");
    folder.write("broken.xml", "<mujoco>\n  <worldbody>\n</mujoco>");
    folder.write(
        "unknown.xml",
        "<mujoco>\n  <worldbody>\n    <bodi/>\n  </worldbody>\n</mujoco>",
    );
    folder.write("empty.xml", "");
    for command in [&["info"][..], &["rollout", "--backend", "host"], &["bench"]] {
        let with = |model: &'static str| [command, &[model]].concat();
        says(&folder, &with("no-such.xml"), &["no-such.xml"]);
        says(&folder, &with("broken.xml"), &["broken.xml:"]);
        says(&folder, &with("unknown.xml"), &["unknown.xml:3", "bodi"]);
        says(&folder, &with("empty.xml"), &["empty.xml"]);
        says(&folder, &with("./"), &["folder"]);
    }
    says(
        &folder,
        &["info", "cartpol"],
        &["cartpol", "did you mean `cartpole`"],
    );
    says(
        &folder,
        &["bench", "cartpol"],
        &["cartpol", "did you mean `cartpole`"],
    );
}

#[test]
fn wrong_initial_states() {
    let folder = folder("initial-states");
    let check = |parts: &[&str]| {
        says(
            &folder,
            &[
                "rollout",
                "pendulum.xml",
                "--backend",
                "host",
                "--worlds",
                "4",
                "--init",
                "init.npz",
            ],
            parts,
        );
    };
    check(&["init.npz"]);
    folder.write("init.npz", "no archive");
    check(&["init.npz", "npz archive"]);
    folder.write_npz("init.npz", &[("qpos", &[4, 2])]);
    check(&["array qpos", "found shape [4, 2]", "N = 4 or 1", "nq = 1"]);
    folder.write_npz("init.npz", &[("qpos", &[3, 1])]);
    check(&["array qpos", "found shape [3, 1]", "N = 4 or 1"]);
    folder.write_npz("init.npz", &[("qpos", &[4])]);
    check(&["array qpos", "found shape [4]"]);
    folder.write_npz("init.npz", &[("qpos", &[4, 1]), ("qvel", &[1, 3])]);
    check(&["array qvel", "found shape [1, 3]", "nv = 1"]);
    folder.write_npz("init.npz", &[("qpos", &[4, 1]), ("act", &[4, 1])]);
    check(&["array act", "na = 0"]);
    folder.write_npz("init.npz", &[("qpos", &[4, 1]), ("eq_active", &[4, 1])]);
    check(&["array eq_active", "found shape [4, 1]", "neq = 0"]);
    folder.write_npz("init.npz", &[("qops", &[4, 1])]);
    check(&["`qops`", "did you mean `qpos`"]);
    folder.write_npz_integers("init.npz", "qpos", &[4, 1]);
    check(&["array qpos", "dtype", "float64"]);
}

#[test]
fn initial_states_of_different_numbers_of_worlds() {
    let folder = folder("numbers-of-worlds");
    folder.write_npz("init.npz", &[("qpos", &[4, 1]), ("qvel", &[3, 1])]);
    let init = [
        "rollout",
        "pendulum.xml",
        "--backend",
        "host",
        "--init",
        "init.npz",
    ];
    says(
        &folder,
        &init,
        &["array qvel", "found shape [3, 1]", "N = 4 or 1"],
    );
    folder.write_npz("init.npz", &[("qpos", &[4, 1])]);
    folder.write_npz("ctrl.npz", &[("ctrl", &[10, 3, 1])]);
    says(
        &folder,
        &[&init[..], &["--ctrl", "ctrl.npz"]].concat(),
        &["array ctrl", "N = 4 or 1"],
    );
}

#[test]
fn wrong_controls() {
    let folder = folder("controls");
    let rollout = ["rollout", "pendulum.xml", "--backend", "host", "--ctrl"];
    let check =
        |more: &[&str], parts: &[&str]| says(&folder, &[&rollout[..], more].concat(), parts);
    check(&["sinus"], &["sinus", "zero, random"]);
    check(&["no-such.npz"], &["no-such.npz"]);
    folder.write_npz("ctrl.npz", &[("ctrl", &[10, 2, 3])]);
    check(
        &["ctrl.npz"],
        &["array ctrl", "found shape [10, 2, 3]", "nu = 1"],
    );
    folder.write_npz("ctrl.npz", &[("ctrl", &[10, 2])]);
    check(&["ctrl.npz"], &["array ctrl", "found shape [10, 2]"]);
    folder.write_npz("ctrl.npz", &[("ctrl", &[10, 2, 1])]);
    check(
        &["ctrl.npz", "--worlds", "3"],
        &["array ctrl", "N = 3 or 1"],
    );
    check(&["ctrl.npz", "--steps", "11"], &["ctrl has 10 steps", "11"]);
    folder.write_npz("ctrl.npz", &[("control", &[10, 2, 1])]);
    check(&["ctrl.npz"], &["`control`", "ctrl"]);
    folder.write_npz("ctrl.npz", &[]);
    check(&["ctrl.npz"], &["no array `ctrl`"]);
}

#[test]
fn records_that_cannot_be_written() {
    let folder = folder("records");
    let rollout = [
        "rollout",
        "pendulum.xml",
        "--backend",
        "host",
        "--steps",
        "1000000000",
        "--out",
    ];
    let check =
        |more: &[&str], parts: &[&str]| says(&folder, &[&rollout[..], more].concat(), parts);
    check(
        &["no-such-folder/out.npz"],
        &["no-such-folder", "create it"],
    );
    check(&["."], &["folder"]);
    check(&["out.npz", "--worlds", "1000000000"], &["GiB", "--every"]);
    assert!(!folder.path().join("out.npz").exists());
}

#[test]
fn new_crates() {
    let folder = folder("new-crates");
    says(&folder, &["new"], &["NAME"]);
    says(&folder, &["new", "9lives"], &["9lives", "begin"]);
    says(&folder, &["new", "my robot"], &["my robot"]);
    says(&folder, &["new", "fn"], &["fn", "choose another"]);
    says(
        &folder,
        &["new", "no/such/place"],
        &["no/such", "create it"],
    );
    folder.write("taken", "");
    says(&folder, &["new", "taken"], &["taken", "exists"]);
}

#[cfg(feature = "learn")]
#[test]
fn wrong_tasks_and_settings() {
    let folder = folder("settings");
    says(&folder, &["train"], &["<TASK>"]);
    says(
        &folder,
        &["train", "cartpol"],
        &["cartpol", "did you mean `cartpole`"],
    );
    says(&folder, &["train", "pendulum.xml"], &["pendulum.xml"]);
    let train = |setting: &'static str, parts: &[&str]| {
        says(
            &folder,
            &["train", "cartpole", "--show-config", setting],
            parts,
        );
    };
    train("gamma=0.9", &["`gamma`", "did you mean `ppo.gamma`"]);
    train("ppo.gama=0.9", &["`ppo.gama`", "did you mean `ppo.gamma`"]);
    train(
        "reward.alife.weight=2",
        &["`reward.alife.weight`", "`reward.alive.weight`"],
    );
    train("ppo.gamma=2", &["ppo.gamma = 2", "between 0 and 1"]);
    train("ppo.gamma=high", &["ppo.gamma", "float"]);
    train("ppo.minibatches=0", &["ppo.minibatches"]);
    train("reward.alive.weight=high", &["reward.alive.weight"]);
    train("control_dt=0.05", &["control_dt"]);
    train("nonsense", &["nonsense", "key=value"]);
    says(
        &folder,
        &["train", "cartpole", "--worlds", "0"],
        &["--worlds"],
    );
    says(&folder, &["train", "cartpole", "--seed", "-1"], &["-1"]);
    says(
        &folder,
        &["train", "cartpole", "--out", "pendulum.xml"],
        &["is a file", "--out"],
    );
    says(
        &folder,
        &["train", "cartpole", "--resume", "a", "--init-from", "b"],
        &["--resume"],
    );
}

#[cfg(feature = "learn")]
#[test]
fn runs_that_are_not_there() {
    let folder = folder("no-runs");
    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    std::fs::create_dir_all(folder.path().join("broken/checkpoints/iteration_000001"))
        .expect("a folder");
    folder.write(
        "broken/checkpoints/iteration_000001/state.npz",
        "no archive",
    );
    folder.write("broken/config.toml", "seed = ");
    for run in ["missing", "empty", "pendulum.xml", "broken"] {
        says(&folder, &["eval", run], &[run]);
        says(&folder, &["export", run, "--out", "policy"], &[run]);
        says(&folder, &["replay", run], &[run]);
        says(&folder, &["train", "cartpole", "--resume", run], &[run]);
        says(&folder, &["train", "cartpole", "--init-from", run], &[run]);
    }
    assert!(!folder.path().join("runs").exists());
}
