//! Worlds that go wrong, as a user of the commands meets them: said, written into a folder, stepped again.

use manyworlds::env::{Dumps, Precision, Target, VecEnv};
use manyworlds::tasks::Cause;

use crate::common::gpu;
use crate::env_support::builtin;
use crate::program::{self, Folder};

/// What the program prints, results and notes together, and whether it succeeded.
fn run(folder: &Folder, arguments: &[&str]) -> (String, bool) {
    let output = program::run_in(folder.path(), arguments);
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (text.concat(), output.status.success())
}

/// Breaks world 2 in its second step, and dumps it.
fn dump(folder: &Folder, name: &str, target: Target<'_>) -> String {
    let builder = builtin("hopper").worlds(3).keep_bad_worlds(&Cause::ALL);
    let mut env: VecEnv = builder.build_on(target).unwrap();
    let width = env.action_spec().len();
    env.step(&vec![0.5; 3 * width]).unwrap();
    let mut qvel = env.get("qvel").unwrap();
    let last = qvel.len() - 1;
    qvel[last] = 1e38;
    env.set("qvel", None, &qvel).unwrap();
    env.step(&vec![0.5; 3 * width]).unwrap();
    let mut dumps = Dumps::new(&folder.path().join(name), 8).unwrap();
    let lines = dumps.take(&mut env).unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    format!("{name}/world_2_episode_0_step_1.npz")
}

#[test]
fn a_bad_world_is_stepped_again_and_explained() {
    let folder = Folder::new("cli-bad-worlds");
    let device = gpu::context();
    let mut targets = vec![
        ("single", Target::Host(Precision::Single)),
        ("double", Target::Host(Precision::Double)),
    ];
    targets.extend(device.as_ref().map(|context| ("gpu", Target::Gpu(context))));
    for (name, target) in targets {
        let file = dump(&folder, name, target);
        let (text, good) = run(&folder, &["rollout", "--task", &file]);
        assert!(good, "{text}");
        for line in [
            "world 2 of `hopper`, step 1 of its episode 0: non-finite or unbounded state",
            "found    non-finite or unbounded state",
            "inputs   qvel[5] = ",
            "the state is unsound after physics step 1 of",
            "are the same, bit for bit",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        // Elsewhere the numbers are others, which is no mistake.
        let (text, good) = run(&folder, &["rollout", "--task", &file, "--backend", "host"]);
        assert!(good && text.contains("found    non-finite"), "{text}");
    }

    let file = "single/world_2_episode_0_step_1.npz";
    let path = folder.path().join(file);
    let mut bad = manyworlds::env::BadWorld::load(&path).unwrap();
    bad.origin.config = "control_dt = 'soon'".into();
    bad.save(&path).unwrap();
    folder.write("text.npz", "no archive");
    for (arguments, cause) in [
        (&["rollout", "--task", file][..], "control_dt"),
        (&["rollout", "--task", "text.npz"], "no dump of a bad world"),
        (&["rollout", "--task", "missing.npz"], "missing.npz"),
        (&["rollout", "--task", file, "--steps", "3"], "--steps"),
        (&["rollout", "x.xml", "--task", file], "--task"),
    ] {
        let (text, good) = run(&folder, arguments);
        let last = text.trim_end().lines().last().unwrap_or_default();
        assert!(
            !good && last.starts_with("error: ") && last.contains(cause),
            "{text}"
        );
        assert!(!text.contains("internal:"), "{text}");
    }
}

#[cfg(feature = "learn")]
#[test]
fn training_says_what_goes_wrong_dumps_it_and_goes_on() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("cli-dump");
    // One observation in eighty is above 1e10.
    let train = "train cartpole --worlds 32 --steps 3072 --out run network.actor=[16] network.critic=[16] \
                 observation.policy.qpos.noise=4e9 --dump-bad-worlds bad/train";
    let (text, good) = run(&folder, &train.split_whitespace().collect::<Vec<_>>());
    assert!(good, "{text}");
    let is_said = |line: &str| {
        line.starts_with("warning: world ")
            && line.contains(" of its episode ")
            && line.ends_with(": non-finite or unbounded observation")
    };
    assert!(text.lines().any(is_said), "{text}");
    let metrics = std::fs::read_to_string(folder.path().join("run/metrics.csv")).unwrap();
    let rows: Vec<Vec<&str>> = metrics
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    let column = |name: &str| {
        let index = rows[0]
            .iter()
            .position(|column| *column == name)
            .expect(name);
        rows[1..]
            .iter()
            .map(|row| row[index].parse().unwrap())
            .collect::<Vec<f64>>()
    };
    assert!(
        column("metric/quarantined")
            .iter()
            .all(|count| *count > 0.0),
        "{metrics}"
    );
    for loss in ["policy_loss", "value_loss", "gradient_norm"] {
        assert!(
            column(loss).iter().all(|loss| loss.is_finite()),
            "{metrics}"
        );
    }
    let eval = "eval run --episodes 8 --dump-bad-worlds bad/eval --dump-warnings";
    let (text, good) = run(&folder, &eval.split_whitespace().collect::<Vec<_>>());
    assert!(good && text.contains("dumped world"), "{text}");

    for of in ["bad/train", "bad/eval"] {
        let files = std::fs::read_dir(folder.path().join(of)).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty() && files.len() <= 64);
        let (text, good) = run(&folder, &["rollout", "--task", files[0].to_str().unwrap()]);
        assert!(good && text.contains("are the same, bit for bit"), "{text}");
        assert!(text.contains("numbers  observation.policy.qpos["), "{text}");
    }
}
