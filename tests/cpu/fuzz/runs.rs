//! A run's folder, file by file, and exported policies.

use std::path::PathBuf;

use manyworlds::tasks::Registry;
use manyworlds::train::checkpoint::{self, Counters};
use manyworlds::train::log::Metrics;
use manyworlds::train::ppo::Ppo;
use manyworlds::train::{Config, Learner, Policy, Spec, export, import};

use super::mutate::{self, Nest, Random};
use super::{Target, archive};
use crate::program::Folder;

pub(crate) fn targets() -> Vec<Box<dyn Target>> {
    let run = Run::new();
    let files = [
        "config.toml",
        "spec.json",
        "metrics.csv",
        "policy.json",
        "checkpoints/iteration_000003/state.npz",
        "checkpoints/iteration_000003/network.bpk",
    ];
    let texts: Vec<String> = files[..4]
        .iter()
        .map(|file| std::fs::read_to_string(run.path(file)).expect("it was written"))
        .collect();
    let run = std::rc::Rc::new(run);
    let target = |file: &&'static str| {
        let target = RunFile {
            run: run.clone(),
            file,
            good: std::fs::read(run.path(file)).expect("it was written"),
            texts: texts.clone(),
        };
        Box::new(target) as Box<dyn Target>
    };
    let mut targets: Vec<_> = files.iter().map(target).collect();
    targets.push(Box::new(PolicyArrays { run: run.clone() }));
    targets
}

/// A small run, as `train` would leave it.
struct Run {
    folder: Folder,
}

impl Run {
    fn new() -> Self {
        let folder = Folder::new("fuzz-run");
        let spec: Spec = serde_json::from_str(
            r#"{"task": "cartpole", "observations": [{"name": "policy", "terms": [{"name": "qpos", "dim": 4, "scale": 1.0}]}],
               "actions": [{"name": "slide", "scale": 1.0, "offset": 0.0}], "control_dt": 0.02, "max_episode_steps": 1000}"#,
        )
        .expect("it is good");
        let registry = Registry::builtin();
        let task = registry.load("cartpole").expect("built in").config;
        let mut config = Config {
            task,
            ..Config::default()
        };
        config.network.actor = vec![8];
        config.network.critic = vec![8];
        let device = Learner::processor().device();
        let mut ppo = Ppo::new(&config, &spec, &device).expect("it is good");
        ppo.set_iteration(3).expect("it is good");
        let run = Self { folder };
        checkpoint::save(run.folder.path(), &ppo, b"worlds", Counters::default()).expect("written");
        let write = |name: &str, text: String| run.folder.write(name, &text);
        write(
            "spec.json",
            serde_json::to_string_pretty(&spec).expect("JSON"),
        );
        write(
            "config.toml",
            toml::to_string_pretty(&config).expect("TOML"),
        );
        write(
            "metrics.csv",
            "iteration,steps,return\n1,64,\n2,128,0.5\n3,192,0.75\n".into(),
        );
        export(&Policy::of(&ppo, &spec), &run.path("policy")).expect("written");
        run
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Reads everything that eval, export, compare and train --resume read.
    fn read(&self, file: &str) -> Result<(), String> {
        let device = Learner::processor().device();
        let read = || {
            if file.starts_with("policy") {
                return import(&self.path("policy.json"), &device).map(drop);
            }
            if file == "metrics.csv" {
                let metrics = Metrics::read(&self.path(file))?;
                metrics.series("steps", "return");
                return Metrics::resume(&self.path(file), 3).map(drop);
            }
            let run = self.folder.path();
            Policy::load(run, &device)?;
            let layers = manyworlds::train::resume_layers(run)?;
            let config = Config::from_layers(&layers)?;
            let spec = manyworlds::train::policy::load_spec(run)?;
            let mut ppo = Ppo::new(&config, &spec, &device)?;
            checkpoint::restore(&checkpoint::latest(run)?, &mut ppo).map(drop)
        };
        read().map_err(|error: manyworlds::error::Error| error.to_string())
    }
}

/// One file of the run, damaged.
struct RunFile {
    run: std::rc::Rc<Run>,
    file: &'static str,
    good: Vec<u8>,
    texts: Vec<String>,
}

const NESTS: &[Nest] = &[("[", "]"), ("{\"a\":", "}"), ("{a=", "}"), ("a.", "")];

impl Target for RunFile {
    fn name(&self) -> &'static str {
        self.file.rsplit('/').next().unwrap_or(self.file)
    }

    fn run(&self, random: &mut Random) -> Result<(), String> {
        let bytes = match std::str::from_utf8(&self.good) {
            Ok(text) if !self.file.ends_with("bpk") => {
                mutate::text(random, text, &self.texts, NESTS).into_bytes()
            }
            _ if self.file.ends_with("npz") && random.one_in(2) => archive::broken(
                random,
                &[
                    ("iteration", "(1,)", 1),
                    ("obs_mean", "(4,)", 4),
                    ("obs_count", "(1,)", 1),
                ],
            ),
            _ => mutate::bytes(random, &self.good),
        };
        let path = self.run.path(self.file);
        std::fs::write(&path, bytes).expect("a temporary file");
        let result = self.run.read(self.file);
        std::fs::write(&path, &self.good).expect("a temporary file");
        result
    }
}

/// The arrays of an exported policy, whole archives with arrays that are not what they should be.
struct PolicyArrays {
    run: std::rc::Rc<Run>,
}

impl Target for PolicyArrays {
    fn name(&self) -> &'static str {
        "policy.npz"
    }

    fn run(&self, random: &mut Random) -> Result<(), String> {
        let path = self.run.path("policy.npz");
        let good = std::fs::read(&path).expect("it was written");
        let bytes = match random.below(2) {
            0 => mutate::bytes(random, &good),
            _ => archive::broken(
                random,
                &[
                    ("obs_mean", "(4,)", 4),
                    ("weight_0", "(4, 8)", 32),
                    ("bias_0", "(8,)", 8),
                ],
            ),
        };
        std::fs::write(&path, bytes).expect("a temporary file");
        let result = self.run.read("policy.npz");
        std::fs::write(&path, good).expect("a temporary file");
        result
    }
}
