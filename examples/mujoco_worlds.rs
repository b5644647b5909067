//! The learner on worlds that are not ours: MuJoCo's, in another process.
//!
//! [`Environment`] is all that the learner knows of worlds. Here it is a pipe to a Python program that steps them with
//! `mujoco.rollout` (`tests/oracle/worlds.py` has the protocol); the task's own settings and another simulator give a
//! run that `compare` lays beside one of ours, and whose policy `eval` runs in our worlds:
//!
//! ```sh
//! cargo run --release --example mujoco_worlds -- half_cheetah 0 runs/mujoco/seed_0 steps=3000000
//! ./x train half_cheetah --seed 0 --steps 3000000 --out runs/ours/seed_0
//! ./x compare mujoco=runs/mujoco ours=runs/ours --out curves.png
//! ```
//!
//! Needs a Python with mujoco and gymnasium: `MANYWORLDS_ORACLE`, or `.oracle/bin/python`, which `./x test` installs.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use burn::tensor::{Device, Tensor, TensorData};
use manyworlds::error::{Error, Result};
use manyworlds::tasks::Registry;
use manyworlds::train::environment::{ActionTerm, ObservationGroup, ObservationTerm, POLICY};
use manyworlds::train::{
    self, Config, Environment, EpisodeStats, Learner, Observations, Options, Origin, Policy, Spec,
    Start, Step,
};

/// The tasks whose rules the Python program knows, and gymnasium's names for them.
const TASKS: [(&str, &str); 3] = [
    ("half_cheetah", "HalfCheetah-v5"),
    ("hopper", "Hopper-v5"),
    ("walker2d", "Walker2d-v5"),
];
const USAGE: &str = "mujoco_worlds TASK SEED DIR [key=value…]";
/// As `eval` has it.
const EPISODES: usize = 100;
const EVALUATION_SEED: u64 = 0x5eed_0000_e7a1;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [task, seed, out, settings @ ..] = words.as_slice() else {
        return Err(Error::invalid("too few arguments").hint(USAGE));
    };
    let out = Path::new(out);

    // The same layers as those of `train`: defaults, the task's wishes, the command line.
    let definition = Registry::builtin().load(task)?;
    let mut layers = Config::layers(definition.config)?;
    layers.merge(&definition.train, Origin::Task)?;
    for setting in settings {
        layers.set(setting, Origin::CommandLine)?;
    }
    layers.set(&format!("seed={seed}"), Origin::CommandLine)?;
    let config = Config::from_layers(&layers)?;

    let device = Learner::processor().device();
    let mut worlds = MujocoWorlds::start(task, config.worlds, &device)?;
    let options = Options {
        out: out.to_owned(),
        start: Start::Fresh,
        quiet: false,
    };
    let outcome = train::train(&mut worlds, &config, &options)?;
    drop(worlds);

    // What `train` leaves as evaluation.json, from MuJoCo's worlds.
    let policy = Policy::load(out, &device)?;
    let mut worlds = MujocoWorlds::start(task, EPISODES, &device)?;
    let report = train::evaluate(&mut worlds, &policy, EPISODES, EVALUATION_SEED, None)?;
    println!(
        "return {:.2} ± {:.2}",
        report.mean_return, report.std_return
    );
    let mut evaluation = serde_json::to_value(&report).map_err(Error::invalid)?;
    evaluation["steps"] = outcome.steps.into();
    Ok(std::fs::write(
        out.join("evaluation.json"),
        evaluation.to_string(),
    )?)
}

/// Worlds in a Python process.
struct MujocoWorlds {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    spec: Spec,
    device: Device,
    count: usize,
    /// Steps and return of the present episodes; no number where the episode did not begin at its beginning.
    running: Vec<(u32, f64)>,
    /// The same of those that ended since they were asked for.
    ended: Vec<(u32, f64)>,
}

/// What the Python program says about itself.
#[derive(serde::Deserialize)]
struct Header {
    observation: usize,
    actions: Vec<String>,
    control_dt: f64,
    max_episode_steps: usize,
}

impl MujocoWorlds {
    fn start(task: &str, count: usize, device: &Device) -> Result<Self> {
        let Some((_, name)) = TASKS.iter().find(|(known, _)| *known == task) else {
            let known = TASKS.map(|(task, _)| task).join(", ");
            return Err(Error::invalid(format!("no worlds of `{task}`"))
                .hint(format!("there are: {known}")));
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = std::env::var_os("MANYWORLDS_ORACLE")
            .map_or_else(|| root.join(".oracle/bin/python"), PathBuf::from);
        let mut process = Command::new(&python)
            .arg(root.join("tests/oracle/worlds.py"))
            .args([*name, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::io(error).context(python.display()))?;
        let requests = process.stdin.take();
        let answers = process.stdout.take().expect("it is piped");
        let mut answers = BufReader::with_capacity(1 << 20, answers);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let header: Header = serde_json::from_str(&line)
            .map_err(|error| Error::invalid(error).context("worlds.py"))?;
        let state = ObservationTerm {
            name: "state".into(),
            dim: header.observation,
            scale: 1.0,
        };
        let action = |name: &String| ActionTerm {
            name: name.clone(),
            scale: 1.0,
            offset: 0.0,
        };
        let spec = Spec {
            task: task.into(),
            observations: vec![ObservationGroup {
                name: POLICY.into(),
                terms: vec![state],
            }],
            actions: header.actions.iter().map(action).collect(),
            control_dt: header.control_dt,
            max_episode_steps: Some(header.max_episode_steps),
            ..Spec::default()
        };
        Ok(Self {
            process,
            requests,
            answers,
            spec,
            device: device.clone(),
            count,
            running: vec![(0, 0.0); count],
            ended: Vec::new(),
        })
    }

    fn request(&mut self, kind: u8, content: &[u8]) -> Result<()> {
        let pipe = self.requests.as_mut().expect("it is open until the end");
        pipe.write_all(&[kind])?;
        pipe.write_all(content)?;
        Ok(pipe.flush()?)
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>> {
        let mut bytes = vec![0; 4 * count];
        self.answers.read_exact(&mut bytes)?;
        let numbers = bytes.chunks_exact(4);
        Ok(numbers
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect())
    }

    fn observations(&mut self) -> Result<Observations> {
        let width = self.spec.policy_dim()?;
        let values = TensorData::new(self.floats(self.count * width)?, [self.count, width]);
        Ok(Observations::policy_only(Tensor::from_data(
            values,
            &self.device,
        )))
    }

    fn column(&self, values: Vec<f32>) -> Tensor<1> {
        Tensor::from_data(TensorData::new(values, [self.count]), &self.device)
    }
}

impl Environment for MujocoWorlds {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn num_envs(&self) -> usize {
        self.count
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Observations> {
        self.request(b'r', &seed.unwrap_or(0).to_le_bytes())?;
        self.running.fill((0, 0.0));
        self.observations()
    }

    fn step(&mut self, actions: Tensor<2>) -> Result<Step> {
        let bytes: Vec<u8> = actions
            .into_data()
            .iter::<f32>()
            .flat_map(f32::to_le_bytes)
            .collect();
        self.request(b's', &bytes)?;
        let (next_obs, obs) = (self.observations()?, self.observations()?);
        let [reward, terminated, truncated] = [(); 3].map(|()| self.floats(self.count));
        let (reward, terminated, truncated) = (reward?, terminated?, truncated?);
        for world in 0..self.count {
            let (steps, earned) = &mut self.running[world];
            *steps += 1;
            *earned += f64::from(reward[world]);
            if terminated[world] + truncated[world] > 0.0 {
                let episode = std::mem::take(&mut self.running[world]);
                self.ended
                    .extend(Some(episode).filter(|(_, earned)| earned.is_finite()));
            }
        }
        Ok(Step {
            obs,
            next_obs,
            reward: self.column(reward),
            terminated: self.column(terminated),
            truncated: self.column(truncated),
            valid: self.column(vec![1.0; self.count]),
        })
    }

    fn drain_stats(&mut self) -> Result<EpisodeStats> {
        let ended = std::mem::take(&mut self.ended);
        let mean = |value: &dyn Fn(&(u32, f64)) -> f64| {
            ended.iter().map(value).sum::<f64>() / ended.len().max(1) as f64
        };
        Ok(EpisodeStats {
            count: ended.len() as u64,
            mean_return: mean(&|(_, earned)| *earned),
            mean_length: mean(&|(steps, _)| f64::from(*steps)),
            ..EpisodeStats::default()
        })
    }

    fn set_episode_steps(&mut self, elapsed: &[u32]) -> Result<()> {
        // What these episodes earned before they began is not known: they do not count.
        self.running.fill((0, f64::NAN));
        let bytes: Vec<u8> = elapsed.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.request(b'e', &bytes)
    }

    /// The Python program's worlds, then the running episodes' sums.
    fn snapshot(&mut self) -> Result<Vec<u8>> {
        self.request(b'g', &[])?;
        let mut size = [0; 8];
        self.answers.read_exact(&mut size)?;
        let mut bytes = vec![0; u64::from_le_bytes(size) as usize];
        self.answers.read_exact(&mut bytes)?;
        for (steps, earned) in &self.running {
            bytes.extend(steps.to_le_bytes());
            bytes.extend(earned.to_le_bytes());
        }
        Ok(bytes)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<Observations> {
        let sums = self.count * 12;
        let Some(split) = snapshot.len().checked_sub(sums) else {
            return Err(Error::invalid("the snapshot is of fewer worlds"));
        };
        let (worlds, sums) = snapshot.split_at(split);
        for (running, bytes) in self.running.iter_mut().zip(sums.chunks_exact(12)) {
            let (steps, earned) = bytes.split_at(4);
            let wrong = |_| Error::invalid("the snapshot is too short");
            *running = (
                u32::from_le_bytes(steps.try_into().map_err(wrong)?),
                f64::from_le_bytes(earned.try_into().map_err(wrong)?),
            );
        }
        let size = (worlds.len() as u64).to_le_bytes();
        self.request(b'p', &[size.as_slice(), worlds].concat())?;
        self.observations()
    }
}

impl Drop for MujocoWorlds {
    fn drop(&mut self) {
        // The program ends when nobody can ask it anything.
        self.requests = None;
        self.process.wait().ok();
    }
}
