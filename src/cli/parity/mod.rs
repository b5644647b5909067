//! `parity`: every stage of the physics against MuJoCo's, in states that a model really reaches.
//!
//! MuJoCo visits the states under random controls and solves each by Newton's method until nothing improves
//! (`tests/oracle/parity.py`); the same states go through one recorded kernel, on the host in double precision and on
//! the device in single. The measure is `|Δ|∞ / max(1, |reference|∞)` per state and stage.

mod contacts;
mod stages;
mod table;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use super::npz::{Archive, Extent};
use super::oracle;
use super::output::{self, note, say};
use super::subject::{self, ModelFile, Subject};
use crate::error::Result;
use crate::model::Model;
use crate::tasks::Registry;
use contacts::Touch;
use stages::{Computed, Inputs, Numbers, Stages};

/// Compare every stage of the physics with MuJoCo's
///
/// MuJoCo rolls each model out under random controls and computes every stage in the states that it visits; the host
/// (f64) and the GPU (f32) compute them again. Printed are the median, the 99th percentile and the maximum over the
/// states of |Δ|∞ / max(1, |reference|∞). A model agrees where the host's maxima are at most 1e-8 and the GPU's medians
/// and 99th percentiles at most 2e-5 and 1e-3. This needs a Python with mujoco (MANYWORLDS_ORACLE names it; `./x test`
/// installs one into the repository).
///
/// --write makes a table of the repository's own models, the tasks' and all that the Python packages gymnasium and
/// dm_control bring along.
#[derive(Args)]
#[command(after_help = "Examples:
  manyworlds parity ant.xml
  manyworlds parity cartpole --states 100 --json
  manyworlds parity src/tasks/cartpole_balance/model.xml --from episodes.npz
  manyworlds parity --write tests/PARITY.md")]
pub(super) struct Arguments {
    /// Models, MJCF files or tasks
    #[arg(value_name = "MODEL.xml|TASK", required_unless_present = "write")]
    models: Vec<String>,
    /// States of each model
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    states: u32,
    /// Seed of the random controls
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u32,
    /// Take the states from a recording, of `eval --record` or `rollout --out`
    #[arg(long, value_name = "F.npz", conflicts_with = "write")]
    from: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Place::Both)]
    backend: Place,
    /// Print JSON, a list with one object per model
    #[arg(long, conflicts_with = "write")]
    json: bool,
    /// Write the table of all models into this file
    #[arg(long, value_name = "F.md", conflicts_with = "models")]
    write: Option<PathBuf>,
    /// For the table: seconds after which a model counts as not answered
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    Both,
    Gpu,
    Host,
}

/// What the host's maxima must not exceed: the rounding of a few hundred operations, amplified by the constraint solver.
const HOST_MAXIMUM: f64 = 1e-8;
/// What the GPU's medians must not exceed.
const DEVICE_MEDIAN: f64 = 2e-5;
/// What the GPU's 99th percentiles must not exceed: ill-conditioned states are rare.
const DEVICE_PERCENTILE_99: f64 = 1e-3;

/// What is compared, in the order of computation.
const STAGES: [&str; 4] = ["xpos", "xquat", "contacts", "qacc"];

/// How a model compares.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Report {
    model: String,
    /// MuJoCo's version.
    mujoco: String,
    states: usize,
    /// States with contacts.
    in_contact: usize,
    /// Operations of the kernel with all stages.
    operations: usize,
    /// States whose constraint solver did not converge: on the host, on the GPU.
    unconverged: [Option<usize>; 2],
    stages: Vec<Comparison>,
    agrees: bool,
}

/// A stage's errors over the states.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Comparison {
    stage: String,
    /// In double precision.
    host: Option<Errors>,
    /// On the device, in single precision.
    gpu: Option<Errors>,
}

/// Errors over the states; none where one is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Errors {
    median: Option<f64>,
    percentile_99: Option<f64>,
    max: Option<f64>,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Result<()> {
    oracle::check()?;
    if let Some(path) = &arguments.write {
        return table::write(path, arguments, registry);
    }
    let context = match arguments.backend {
        Place::Host => None,
        Place::Both | Place::Gpu => Some(subject::open_device()?),
    };
    let mut reports = Vec::new();
    for name in &arguments.models {
        let subject = Subject::find(name, registry)?;
        if !arguments.json {
            note!("{name}: {} states", arguments.states);
        }
        let report = compare(&subject, arguments, context.as_ref())
            .map_err(|error| error.context(subject.name()))?;
        if !arguments.json {
            report.print();
        }
        reports.push(report);
    }
    if arguments.json {
        output::json(&reports)?;
    }
    Ok(())
}

fn compare(
    subject: &Subject,
    arguments: &Arguments,
    context: Option<&crate::gpu::Context>,
) -> Result<Report> {
    let model = subject.model();
    let stages = Stages::record(model)?;
    let file = subject.model_file()?;
    let reference = Reference::ask(&file, model, arguments)?;
    let host = (arguments.backend != Place::Gpu).then(|| stages.on_host(&reference.inputs));
    let gpu = context
        .map(|context| stages.on_device(context, &reference.inputs))
        .transpose()?;
    let errors = |computed: &Option<Computed>, stage: &str| {
        computed
            .as_ref()
            .and_then(|computed| reference.errors(computed, stage))
    };
    let comparisons = STAGES.iter().map(|stage| Comparison {
        stage: (*stage).to_owned(),
        host: errors(&host, stage),
        gpu: errors(&gpu, stage),
    });
    let comparisons: Vec<Comparison> = comparisons.collect();
    Ok(Report {
        model: subject.name(),
        mujoco: reference.mujoco,
        states: reference.inputs.states,
        in_contact: reference.in_contact,
        operations: stages.operations(),
        unconverged: [&host, &gpu]
            .map(|computed| computed.as_ref().map(|computed| computed.unconverged)),
        agrees: comparisons.iter().all(Comparison::agrees),
        stages: comparisons,
    })
}

/// What MuJoCo computes.
struct Reference {
    mujoco: String,
    in_contact: usize,
    inputs: Inputs,
    stages: Vec<(&'static str, Numbers)>,
    contacts: Vec<Vec<Touch>>,
}

impl Reference {
    /// Asks MuJoCo, through a file in the temporary folder.
    fn ask(model_file: &ModelFile, model: &Model, arguments: &Arguments) -> Result<Self> {
        let path =
            std::env::temp_dir().join(format!("manyworlds-parity-{}.npz", std::process::id()));
        let mut command: Vec<std::ffi::OsString> = vec!["states".into()];
        command.extend([model_file.path().into(), path.clone().into()]);
        command.extend(["--states".into(), arguments.states.to_string().into()]);
        command.extend(["--seed".into(), arguments.seed.to_string().into()]);
        if let Some(recording) = &arguments.from {
            command.extend(["--from".into(), recording.into()]);
        }
        let read = oracle::PARITY.run(&command).and_then(|summary| {
            let reference = Self::read(&path, model)?;
            Ok(Self {
                mujoco: summary["mujoco"].as_str().unwrap_or("unknown").to_owned(),
                in_contact: summary["in_contact"].as_u64().unwrap_or(0) as usize,
                ..reference
            })
        });
        let _ = std::fs::remove_file(&path);
        read
    }

    fn read(path: &Path, model: &Model) -> Result<Self> {
        let inputs = ["time", "qpos", "qvel", "act", "ctrl"];
        let outputs = ["xpos", "xquat", "qacc", "sensordata"];
        let contacts = ["ncon", "geom", "dist", "pos", "normal"];
        let mut archive = Archive::open(path, &[&inputs[..], &outputs, &contacts].concat())?;
        let time = archive.required("time", &[Extent::any("S")])?;
        let states = time.len();
        let mut array = |name: &str, size: usize| {
            archive.required(
                name,
                &[Extent::exactly("S", states), Extent::exactly("size", size)],
            )
        };
        let columns = |array: ArrayD<f64>| array.t().iter().copied().collect::<Vec<f64>>();
        Ok(Self {
            mujoco: String::new(),
            in_contact: 0,
            inputs: Inputs {
                states,
                time: time.iter().copied().collect(),
                qpos: columns(array("qpos", model.nq)?),
                qvel: columns(array("qvel", model.nv)?),
                act: columns(array("act", model.na)?),
                ctrl: columns(array("ctrl", model.nu)?),
            },
            stages: vec![
                ("xpos", rows(&array("xpos", 3 * model.nbody)?)),
                ("xquat", rows(&array("xquat", 4 * model.nbody)?)),
                ("qacc", rows(&array("qacc", model.nv)?)),
            ],
            contacts: contacts::read(&mut archive, states)?,
        })
    }

    /// The errors of a stage; none of one that was not computed.
    fn errors(&self, computed: &Computed, stage: &str) -> Option<Errors> {
        if stage == "contacts" {
            let states = computed.contacts.iter().zip(&self.contacts);
            let (found, expected): (Numbers, Numbers) = states
                .map(|(found, expected)| contacts::matched(found, expected))
                .unzip();
            return Some(Errors::between(&found, &expected));
        }
        let of = |stages: &[(&str, Numbers)]| {
            let index = stages.iter().position(|(name, _)| *name == stage);
            index.map(|index| stages[index].1.clone())
        };
        Some(Errors::between(&of(&computed.stages)?, &of(&self.stages)?))
    }
}

fn rows(array: &ArrayD<f64>) -> Numbers {
    array
        .outer_iter()
        .map(|row| row.iter().copied().collect())
        .collect()
}

impl Errors {
    /// The errors of `found` over all states, each relative to the largest number of the state if that is above 1.
    fn between(found: &Numbers, expected: &Numbers) -> Self {
        let mut errors: Vec<f64> = found
            .iter()
            .zip(expected)
            .map(|(found, expected)| error(found, expected))
            .collect();
        errors.sort_by(f64::total_cmp);
        let last = errors.len().saturating_sub(1);
        let at = |index: usize| errors.get(index).copied().filter(|error| error.is_finite());
        Self {
            median: at(errors.len() / 2),
            percentile_99: at((errors.len() * 99 / 100).min(last)),
            max: at(last),
        }
    }
}

/// `|Δ|∞ / max(1, |expected|∞)`; infinite where the numbers are not as many, or one is NaN.
fn error(found: &[f64], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let scale = expected
        .iter()
        .fold(1.0, |scale: f64, x| scale.max(x.abs()));
    let largest =
        found
            .iter()
            .zip(expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, |worst: f64, d| {
                if d.is_nan() {
                    f64::INFINITY
                } else {
                    worst.max(d)
                }
            });
    largest / scale
}

impl Comparison {
    fn agrees(&self) -> bool {
        let below = |value: Option<f64>, limit: f64| value.is_some_and(|value| value <= limit);
        let host = |errors: Errors| below(errors.max, HOST_MAXIMUM);
        let gpu = |errors: Errors| {
            below(errors.median, DEVICE_MEDIAN) && below(errors.percentile_99, DEVICE_PERCENTILE_99)
        };
        self.host.is_none_or(host) && self.gpu.is_none_or(gpu)
    }
}

impl Report {
    fn print(&self) {
        say!(
            "{}: {}, {} states of MuJoCo {}, {} in contact; {} operations",
            self.model,
            if self.agrees {
                "agrees"
            } else {
                "does not agree"
            },
            self.states,
            self.mujoco,
            self.in_contact,
            self.operations
        );
        say!(
            "  {:<12}{:>28}  {:>28}",
            "",
            "host f64: median  99 %  max",
            "GPU f32: median  99 %  max"
        );
        for Comparison { stage, host, gpu } in &self.stages {
            say!("  {stage:<12}{:>28}  {:>28}", figures(host), figures(gpu));
        }
        for (place, unconverged) in ["host", "GPU"].iter().zip(self.unconverged) {
            if let Some(count @ 1..) = unconverged {
                note!("warning: {place}: the constraint solver did not converge in {count} states");
            }
        }
    }
}

/// `1.2e-16  3.4e-15  5.6e-14`, or a dash.
fn figures(errors: &Option<Errors>) -> String {
    let Some(errors) = errors else {
        return "–".into();
    };
    [errors.median, errors.percentile_99, errors.max]
        .map(figure)
        .join("  ")
}

fn figure(error: Option<f64>) -> String {
    match error {
        Some(0.0) => "0".into(),
        Some(error) => format!("{error:.1e}"),
        None => "not finite".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_above_one_and_nan_is_the_worst() {
        assert_eq!(error(&[1.0, 200.0], &[1.0, 100.0]), 1.0);
        assert_eq!(error(&[0.2], &[0.1]), 0.1);
        assert_eq!(error(&[f64::NAN], &[0.0]), f64::INFINITY);
        assert_eq!(error(&[], &[0.0]), f64::INFINITY);
        let found: Numbers = (0..100).map(|i| vec![f64::from(i) / 1000.0]).collect();
        let errors = Errors::between(&found, &vec![vec![0.0]; 100]);
        let expected = [Some(0.05), Some(0.099), Some(0.099)];
        assert_eq!([errors.median, errors.percentile_99, errors.max], expected);
        let broken = Errors::between(&vec![vec![f64::NAN]], &vec![vec![0.0]]);
        assert_eq!(broken.max, None);
        let comparison = |host| Comparison {
            stage: "qacc".into(),
            host: Some(host),
            gpu: None,
        };
        assert!(!comparison(broken).agrees() && !comparison(errors).agrees());
        assert!(comparison(Errors::between(&vec![vec![1e-9]], &vec![vec![0.0]])).agrees());
    }
}
