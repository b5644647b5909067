//! `parity`: every stage of the physics against MuJoCo's, in states that a model really reaches.
//!
//! MuJoCo visits the states under random controls, or a recording brings them, and solves each by Newton's method until
//! nothing improves (`tests/oracle/parity.py`); the same states go through one recorded kernel, on the host in double
//! precision and on the device in single. The measure is `|Δ|∞ / max(1, |reference|∞)` per state and stage.

mod contacts;
mod explain;
mod reference;
mod stages;
mod table;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::oracle;
use super::output::{self, note, say};
use super::subject::{self, Subject};
use crate::error::Result;
use crate::tasks::Registry;
use explain::Explanation;
use reference::Reference;
use stages::{Crowded, Stages};

/// Compare every stage of the physics with MuJoCo's
///
/// MuJoCo rolls each model out under random controls and computes every stage in the states that it visits; the host
/// (f64) and the GPU (f32) compute them again. Printed are the median, the 99th percentile and the maximum over the
/// states of |Δ|∞ / max(1, |reference|∞). A model agrees where the host's maxima are at most 1e-8 and the GPU's medians
/// and 99th percentiles at most 2e-5 and 1e-3. This needs a Python with mujoco (MANYWORLDS_ORACLE names it; `./x test`
/// installs one into the repository).
///
/// Beside them stands how far MuJoCo's own answers move when all numbers of the state and the model are off by the
/// rounding of single precision. A model whose figures on the GPU are above the bounds, but not above five times these,
/// is ill-conditioned: it agrees as far as single precision can.
///
/// Where contacts of convex shapes differ, both are measured: a pair's contacts are right where their points are in both
/// shapes, and no other direction separates the shapes by more than their distance. MuJoCo's iterations end before that in
/// some states. A state in which ours are right is held against what MuJoCo computes from them, and it is told how many
/// there are, and how far off MuJoCo's own contacts were.
///
/// --from takes the states from a recording (.npz): qpos [T,N,nq] and qvel [T,N,nv], and act, ctrl and eq_active where it
/// has them; without ctrl, controls are random. `rollout --out` and `eval --record` write such files, and for states that MuJoCo
/// visits under a trained policy tests/oracle/policy.py, given what `export` wrote.
///
/// --write makes a table of the repository's own models, the tasks' and all that the Python packages gymnasium and
/// dm_control bring along.
#[derive(Args)]
#[command(after_help = "Examples:
  manyworlds parity ant.xml
  manyworlds parity cartpole --states 100 --json
  manyworlds parity cartpole --from episodes.npz        (of eval runs/cartpole/001 --record episodes.npz)
  python tests/oracle/policy.py hopper.json --gymnasium Hopper-v5 --states hopper.npz
  manyworlds parity hopper --from hopper.npz            (of export runs/hopper/001 --out hopper)
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
    /// Take the states from a recording, evenly spread over it
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
    /// For the table: seconds of processor time that a model has to answer
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
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
const STAGES: [&str; 5] = ["xpos", "xquat", "contacts", "qacc", "sensordata"];

/// How much larger than MuJoCo's own movement the GPU's errors may be: every operation rounds there, only state and model
/// here.
const ROUNDINGS: f64 = 5.0;

/// Whether a model agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// Within all bounds.
    Agrees,
    /// Outside of the GPU's bounds, by no more than single precision must cost.
    IllConditioned,
    Differs,
}

/// How a model compares.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Report {
    model: String,
    /// MuJoCo's version.
    mujoco: String,
    states: usize,
    /// States with contacts.
    in_contact: usize,
    /// States in which a contact begins at a distance that equals its margin: MuJoCo's own rounding decides whether it
    /// pushes, and either of its answers is right.
    undecided: usize,
    /// States whose contacts differ from MuJoCo's, where they do.
    explanation: Option<Explanation>,
    /// Operations of the kernel with all stages.
    operations: usize,
    /// States whose constraint solver did not converge: on the host, on the GPU.
    unconverged: [Option<usize>; 2],
    /// States with more contacts between links than slots.
    crowded: Crowded,
    stages: Vec<Comparison>,
    verdict: Verdict,
}

/// A stage's errors over the states.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Comparison {
    stage: String,
    /// In double precision.
    host: Option<Errors>,
    /// On the device, in single precision.
    gpu: Option<Errors>,
    /// How far MuJoCo's own answer moves by the rounding of single precision, where that is known.
    mujoco_moves: Option<Errors>,
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
    let mut reference = Reference::ask(&file, model, arguments)?;
    let host = (arguments.backend != Place::Gpu).then(|| stages.on_host(&reference.inputs));
    let gpu = context
        .map(|context| stages.on_device(context, &reference.inputs))
        .transpose()?;
    if let Some(host) = &host {
        reference.explain(&file, model, host)?;
    }
    let unconverged =
        [&host, &gpu].map(|computed| computed.as_ref().map(|computed| computed.unconverged));
    let crowded = host
        .as_ref()
        .or(gpu.as_ref())
        .map(|computed| computed.crowded);
    let [host, gpu] =
        [&host, &gpu].map(|computed| computed.as_ref().map(|computed| reference.errors(computed)));
    let at = |errors: &Option<Vec<Errors>>, stage: usize| errors.as_ref().map(|all| all[stage]);
    let comparisons = STAGES.iter().enumerate().map(|(index, stage)| Comparison {
        stage: (*stage).to_owned(),
        host: at(&host, index),
        gpu: at(&gpu, index),
        mujoco_moves: reference.moves(stage),
    });
    let comparisons: Vec<Comparison> = comparisons.collect();
    Ok(Report {
        model: subject.name(),
        mujoco: reference.mujoco,
        states: reference.inputs.states,
        in_contact: reference.in_contact,
        undecided: reference.undecided,
        explanation: reference.explanation,
        operations: stages.operations(),
        unconverged,
        crowded: crowded.unwrap_or_default(),
        verdict: Verdict::of(&comparisons),
        stages: comparisons,
    })
}

impl Errors {
    /// The distribution of errors by state.
    fn of(mut errors: Vec<f64>) -> Self {
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
    fn verdict(&self) -> Verdict {
        let below = |value: Option<f64>, limit: f64| value.is_some_and(|value| value <= limit);
        let within = |gpu: &Errors, [median, percentile_99]: [f64; 2]| {
            below(gpu.median, median) && below(gpu.percentile_99, percentile_99)
        };
        let bounds = [DEVICE_MEDIAN, DEVICE_PERCENTILE_99];
        // Rounding alone moves MuJoCo's answers so far: a wider bound, where it is wider.
        let moved = self.mujoco_moves.map_or(bounds, |moves| {
            [(moves.median, bounds[0]), (moves.percentile_99, bounds[1])]
                .map(|(moves, bound)| moves.map_or(bound, |moves| bound.max(ROUNDINGS * moves)))
        });
        if !self
            .host
            .is_none_or(|errors| below(errors.max, HOST_MAXIMUM))
        {
            Verdict::Differs
        } else if self.gpu.as_ref().is_none_or(|gpu| within(gpu, bounds)) {
            Verdict::Agrees
        } else if self.gpu.as_ref().is_some_and(|gpu| within(gpu, moved)) {
            Verdict::IllConditioned
        } else {
            Verdict::Differs
        }
    }
}

impl Verdict {
    /// That of a model: the worst of its stages'.
    fn of(stages: &[Comparison]) -> Self {
        let verdicts: Vec<Self> = stages.iter().map(Comparison::verdict).collect();
        [Self::Differs, Self::IllConditioned]
            .into_iter()
            .find(|worst| verdicts.contains(worst))
            .unwrap_or(Self::Agrees)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::IllConditioned => "agrees as far as f32 can",
            Self::Differs => "does not agree",
        }
    }
}

impl Report {
    fn print(&self) {
        say!(
            "{}: {}, {} states of MuJoCo {}, {} in contact; {} operations",
            self.model,
            self.verdict.words(),
            self.states,
            self.mujoco,
            self.in_contact,
            self.operations
        );
        say!(
            "  {:<12}{:>28}  {:>28}  {:>28}",
            "",
            "host f64: median  99 %  max",
            "GPU f32: median  99 %  max",
            "MuJoCo's own in f32"
        );
        for stage in &self.stages {
            say!(
                "  {:<12}{:>28}  {:>28}  {:>28}",
                stage.stage,
                figures(&stage.host),
                figures(&stage.gpu),
                figures(&stage.mujoco_moves)
            );
        }
        if self.undecided > 0 {
            note!(
                "in {} states a contact's distance equals its margin: either of MuJoCo's answers counts",
                self.undecided
            );
        }
        if let Some(explanation) = &self.explanation {
            note!("{}", explanation.words());
        }
        for (place, unconverged) in ["host", "GPU"].iter().zip(self.unconverged) {
            if let Some(count @ 1..) = unconverged {
                note!("warning: {place}: the constraint solver did not converge in {count} states");
            }
        }
        if let Some(words) = self.crowded.words() {
            note!("warning: {words}");
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
        let errors = Errors::of((0..100).map(|i| f64::from(i) / 1000.0).collect());
        let expected = [Some(0.05), Some(0.099), Some(0.099)];
        assert_eq!([errors.median, errors.percentile_99, errors.max], expected);
        let broken = Errors::of(vec![error(&[f64::NAN], &[0.0])]);
        assert_eq!(broken.max, None);
        let verdict = |host| comparison(Some(host), None, None).verdict();
        assert_eq!([broken, errors].map(verdict), [Verdict::Differs; 2]);
        assert_eq!(verdict(Errors::of(vec![1e-9])), Verdict::Agrees);
    }

    fn comparison(
        host: Option<Errors>,
        gpu: Option<Errors>,
        mujoco_moves: Option<Errors>,
    ) -> Comparison {
        Comparison {
            stage: "qacc".into(),
            host,
            gpu,
            mujoco_moves,
        }
    }

    #[test]
    fn single_precision_is_held_against_its_own_rounding() {
        let gpu = |error: f64, moves: f64| {
            let [gpu, moves] = [error, moves].map(|error| Some(Errors::of(vec![error])));
            comparison(None, gpu, moves).verdict()
        };
        assert_eq!(gpu(1e-5, 1e-6), Verdict::Agrees);
        assert_eq!(gpu(1e-4, 1e-6), Verdict::Differs);
        assert_eq!(gpu(1e-4, 3e-5), Verdict::IllConditioned);
        assert_eq!(gpu(f64::INFINITY, 3e-5), Verdict::Differs);
        // The host computes in double precision: its bound does not move.
        let host = comparison(
            Some(Errors::of(vec![1e-6])),
            None,
            Some(Errors::of(vec![1.0])),
        );
        assert_eq!(host.verdict(), Verdict::Differs);
        let stages = [1e-5, 1e-4].map(|error| {
            let gpu = Some(Errors::of(vec![error]));
            comparison(None, gpu, Some(Errors::of(vec![1e-4])))
        });
        assert_eq!(Verdict::of(&stages), Verdict::IllConditioned);
    }
}
