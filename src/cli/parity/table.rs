//! The table of many models: which load, which agree with MuJoCo, and what the others wait for.
//!
//! Each model is compared by a process of its own, so that one that fails, or takes forever, costs its own row only.
//! Paths are relative to the package that a model belongs to.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::explain::Explanation;
use super::{Arguments, Comparison, Report, Verdict, figure};
use crate::cli::measure;
use crate::cli::oracle;
use crate::cli::output::{self, Progress, say};
use crate::cli::subject::Subject;
use crate::error::{Error, Result};
use crate::tasks::Registry;

/// Where this repository keeps the models of its tests.
const OWN_MODELS: &str = "tests/models";
const PACKAGES: [&str; 2] = ["gymnasium", "dm_control"];

/// Models that belong together.
struct Group {
    title: String,
    /// What the models' names are relative to.
    root: PathBuf,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    outcome: Outcome,
}

enum Outcome {
    /// Not compared yet.
    Pending,
    /// MuJoCo itself does not load the file.
    NoModel(String),
    /// We do not load it.
    NotLoaded(String),
    /// It loads, and the physics refuses it, or did not answer.
    NotSimulated(String),
    /// Compared; the second part says why the GPU was left out, if it was.
    Compared(Box<Report>, Option<String>),
}

/// Compares all models and writes the table.
pub(super) fn write(path: &Path, arguments: &Arguments, registry: &Registry) -> Result<()> {
    output::check_target(path)?;
    let mut groups = vec![own(registry)?];
    let found = oracle::PARITY.run(&[&["packages"][..], &PACKAGES].concat())?;
    let version = found["mujoco"].as_str().unwrap_or("unknown").to_owned();
    for package in found["packages"].as_array().into_iter().flatten() {
        groups.push(Group::package(package));
    }
    let total: usize = groups.iter().map(|group| group.rows.len()).sum();
    let mut progress = Progress::new("parity", total as u64);
    let mut done = 0;
    for group in &mut groups {
        for row in &mut group.rows {
            progress.at(done, &row.name);
            if let Outcome::Pending = row.outcome {
                row.outcome = judge(&group.root, &row.name, arguments)?;
            }
            done += 1;
        }
    }
    progress.finish();
    let text = render(&groups, &version, arguments);
    output::write_atomically(path, |file| Ok(file.write_all(text.as_bytes())?))?;
    for group in &groups {
        say!("{}: {}", group.title, group.summary());
    }
    say!("wrote {}", path.display());
    Ok(())
}

/// The models of the tests in the present folder, and the tasks.
fn own(registry: &Registry) -> Result<Group> {
    let root = std::env::current_dir()?;
    let mut names: Vec<String> = std::fs::read_dir(root.join(OWN_MODELS))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".xml"))
        .map(|name| format!("{OWN_MODELS}/{name}"))
        .collect();
    names.sort();
    names.extend(registry.list().map(|(name, _)| name.to_owned()));
    let pending = |name| Row {
        name,
        outcome: Outcome::Pending,
    };
    Ok(Group {
        title: "this repository: models of its tests, and tasks".into(),
        root,
        rows: names.into_iter().map(pending).collect(),
    })
}

impl Group {
    fn package(package: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let models = package["models"].as_array().into_iter().flatten();
        let row = |model: &Value| Row {
            name: text(&model["path"]),
            outcome: match model["error"].as_str() {
                Some(error) => Outcome::NoModel(error.to_owned()),
                None => Outcome::Pending,
            },
        };
        Self {
            title: format!("{} {}", text(&package["name"]), text(&package["version"])),
            root: text(&package["root"]).into(),
            rows: models.map(row).collect(),
        }
    }

    fn count(&self, counts: impl Fn(&Outcome) -> bool) -> usize {
        self.rows.iter().filter(|row| counts(&row.outcome)).count()
    }

    fn summary(&self) -> String {
        let models = self.count(|outcome| !matches!(outcome, Outcome::NoModel(_)));
        let loaded = self.count(Outcome::is_loaded);
        let of = |verdict: Verdict| {
            self.count(|outcome| match outcome {
                Outcome::Compared(report, None) => report.verdict == verdict,
                _ => false,
            })
        };
        let (agree, rounded) = (of(Verdict::Agrees), of(Verdict::IllConditioned));
        format!("{models} models, {loaded} load, {agree} agree, {rounded} more as far as f32 can")
    }
}

impl Outcome {
    fn is_loaded(&self) -> bool {
        matches!(self, Self::NotSimulated(_) | Self::Compared(..))
    }

    /// The cells after the model's name.
    fn cells(&self) -> [String; CELLS] {
        let without_figures = |loaded: &str, verdict: &str, why: &str| {
            let mut cells: [String; CELLS] = std::array::from_fn(|_| "–".to_owned());
            (cells[0], cells[1]) = (loaded.into(), verdict.into());
            cells[CELLS - 1] = cell(why);
            cells
        };
        match self {
            Self::Pending => without_figures("–", "–", ""),
            Self::NoModel(why) => without_figures("–", "no model by itself", why),
            Self::NotLoaded(why) => without_figures("no", "not yet", why),
            Self::NotSimulated(why) => without_figures("yes", "not yet", why),
            Self::Compared(report, left_out) => compared(report, left_out.as_deref()),
        }
    }
}

/// The titles of the columns after the model's name.
const TITLES: [&str; CELLS] = [
    "loads",
    "result",
    "in contact",
    "frames f64 max",
    "contacts f64 max",
    "qacc f64 max",
    "sensordata f64 max",
    "qacc GPU median",
    "99 %",
    "sensordata GPU median",
    "99 %",
    "remarks",
];
const CELLS: usize = 12;

/// The cells of a model with figures.
fn compared(report: &Report, left_out: Option<&str>) -> [String; CELLS] {
    let stage = |name: &str| report.stages.iter().find(|stage| stage.stage == name);
    let host = |names: &[&str]| {
        let found: Vec<_> = names.iter().filter_map(|name| stage(name)?.host).collect();
        let mut all = found.iter();
        match found.is_empty() {
            true => "–".to_owned(),
            false => figure(all.try_fold(0.0, |worst: f64, errors| Some(worst.max(errors.max?)))),
        }
    };
    let gpu = |name: &str| {
        let errors = stage(name).and_then(|stage| stage.gpu);
        errors.map_or(["–".to_owned(), "–".to_owned()], |errors| {
            [errors.median, errors.percentile_99].map(figure)
        })
    };
    let (qacc, sensordata) = (gpu("qacc"), gpu("sensordata"));
    let result = match (report.verdict, left_out) {
        (Verdict::Agrees, None) => "agrees",
        (Verdict::IllConditioned, None) => "as far as f32 can",
        _ => "not yet",
    };
    let mut remarks: Vec<String> = report.stages.iter().filter_map(remark).collect();
    for (place, unconverged) in ["host", "GPU"].iter().zip(report.unconverged) {
        if let Some(count @ 1..) = unconverged {
            remarks.push(format!("{place}: {count} states did not converge"));
        }
    }
    remarks.extend(report.crowded.words());
    if report.undecided > 0 {
        remarks.push(format!(
            "in {} states a contact's distance equals its margin, and either answer counts",
            report.undecided
        ));
    }
    remarks.extend(report.explanation.as_ref().map(Explanation::words));
    remarks.extend(left_out.map(str::to_owned));
    let [qacc_median, qacc_99] = qacc;
    let [sensordata_median, sensordata_99] = sensordata;
    [
        "yes".into(),
        result.into(),
        format!("{} of {}", report.in_contact, report.states),
        host(&["xpos", "xquat"]),
        host(&["contacts"]),
        host(&["qacc"]),
        host(&["sensordata"]),
        qacc_median,
        qacc_99,
        sensordata_median,
        sensordata_99,
        cell(&remarks.join("; ")),
    ]
}

/// Why a stage is not within its bounds.
fn remark(stage: &Comparison) -> Option<String> {
    match stage.verdict() {
        Verdict::Agrees => None,
        Verdict::Differs => Some(differs(stage)),
        Verdict::IllConditioned => stage.mujoco_moves.map(|moves| {
            let [median, percentile_99] = [moves.median, moves.percentile_99].map(figure);
            format!(
                "ill-conditioned: MuJoCo's own {} moves by {median} (median) and {percentile_99} (99 %) when state \
                 and model are rounded to f32",
                stage.stage
            )
        }),
    }
}

/// Which figure of a stage is too large.
fn differs(stage: &Comparison) -> String {
    let host = stage
        .host
        .map(|errors| format!("host max {}", figure(errors.max)));
    let gpu = stage.gpu.map(|errors| {
        format!(
            "GPU median {}, 99 % {}",
            figure(errors.median),
            figure(errors.percentile_99)
        )
    });
    let found: Vec<String> = [host, gpu].into_iter().flatten().collect();
    format!("{}: {}", stage.stage, found.join(", "))
}

/// Text as it may stand in a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

/// Compares one model: in both places, and on the host alone where that takes too long.
fn judge(root: &Path, name: &str, arguments: &Arguments) -> Result<Outcome> {
    let path = root.join(name);
    // Only whether it loads: the child says why not, with relative paths.
    let loads = !path.exists() || catch_unwind(|| Subject::file(&path).is_ok()).unwrap_or(false);
    let refused = |line: String| match loads {
        true => Outcome::NotSimulated(line),
        false => Outcome::NotLoaded(line),
    };
    let limit = arguments.limit;
    Ok(match answer(root, name, arguments, "both")? {
        Answer::Report(report) => Outcome::Compared(report, None),
        Answer::Refused(line) => refused(line),
        Answer::Late => match answer(root, name, arguments, "host")? {
            Answer::Report(report) => {
                let late = format!(
                    "GPU: no answer within {limit} s of processor time; its driver compiles a kernel of {} operations first",
                    report.operations
                );
                Outcome::Compared(report, Some(late))
            }
            Answer::Refused(line) => refused(line),
            Answer::Late => refused(format!("no answer within {limit} s of processor time")),
        },
    })
}

enum Answer {
    Report(Box<Report>),
    Refused(String),
    Late,
}

/// Asks a process of this program, in the model's root, so that its errors name relative paths.
fn answer(root: &Path, name: &str, arguments: &Arguments, backend: &str) -> Result<Answer> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["parity", name, "--json", "--backend", backend])
        .args(["--states", &arguments.states.to_string()])
        .args(["--seed", &arguments.seed.to_string()])
        .current_dir(root)
        .env("MANYWORLDS_ORACLE", std::path::absolute(oracle::python()?)?)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::io(error).context("this program, once more"))?;
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let Some(success) = wait(&mut child, Duration::from_secs(arguments.limit))? else {
        return Ok(Answer::Late);
    };
    let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().unwrap_or_default());
    if success {
        let reports: Vec<Report> = serde_json::from_str(&stdout).map_err(|error| {
            Error::io(format!("the comparison printed no report: {error}")).context(name)
        })?;
        if let Some(report) = reports.into_iter().next() {
            return Ok(Answer::Report(Box::new(report)));
        }
    }
    let line = stderr.trim_end().lines().last();
    Ok(Answer::Refused(cause(
        line.unwrap_or("it said nothing"),
        name,
    )))
}

/// Reads a pipe to its end beside us, so that the other side never waits for it.
fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until a failure is all there is to know.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// By how much longer a process may take than what it computes for: it waits for MuJoCo, and others have their share.
const PATIENCE: u32 = 20;

/// Whether the process succeeded; none where it had to be ended, because it computed for longer than the limit. That is its
/// own time, so the table does not depend on what else the machine does; where nobody tells that, time on the clock.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<bool>> {
    let (start, process) = (Instant::now(), child.id().to_string());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        let computed = measure::cpu_time_of(&process).unwrap_or_else(|| start.elapsed());
        if computed >= limit || start.elapsed() >= PATIENCE * limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// `error: a.xml: a.xml:12: …` as `line 12: …`.
fn cause(line: &str, name: &str) -> String {
    let mut rest = line.strip_prefix("error: ").unwrap_or(line);
    while let Some(after) = rest.strip_prefix(name) {
        if let Some(after) = after.strip_prefix(": ") {
            rest = after;
        } else if let Some(after) = after.strip_prefix(':') {
            return format!("line {after}");
        } else {
            break;
        }
    }
    rest.to_owned()
}

fn render(groups: &[Group], mujoco: &str, arguments: &Arguments) -> String {
    let mut text = format!(
        "# Parity with MuJoCo {mujoco}\n\n\
         Written by `manyworlds parity --write`: do not edit. {} states per model, visited by MuJoCo under random controls \
         (seed {}); the stages are {}. The measure is |Δ|∞ / max(1, |reference|∞) per state. A model agrees where the \
         host's (f64) maxima are at most 1e-8 and the GPU's (f32) medians and 99th percentiles at most 2e-5 and 1e-3; as \
         far as f32 can, where the GPU's are above, but at most {} times what MuJoCo's own answers move by when every number \
         of state and model is off by the rounding of f32. Where contacts of convex shapes differ, both are measured by how far \
         their normal separates the shapes and whether their points are on them; where ours are right, what MuJoCo \
         computes from them counts. A model has {} s of processor time to answer, MuJoCo's aside, and where that is too short, as \
         long again on the host alone.\n",
        arguments.states,
        arguments.seed,
        super::STAGES.join(", "),
        super::ROUNDINGS,
        arguments.limit
    );
    for group in groups {
        let _ = write!(
            text,
            "\n## {}\n\n{}.\n\n\
             | model | {} |\n{}\n",
            group.title,
            group.summary(),
            TITLES.join(" | "),
            "|---".repeat(CELLS + 1) + "|"
        );
        for row in &group.rows {
            let _ = writeln!(
                text,
                "| {} | {} |",
                row.name,
                row.outcome.cells().join(" | ")
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_lose_the_models_own_path() {
        let line = "error: suite/dog.xml: suite/dog.xml:12: <mesh>: not supported (use a | b)";
        let found = cause(line, "suite/dog.xml");
        assert_eq!(found, "line 12: <mesh>: not supported (use a | b)");
        assert_eq!(
            cell(&found),
            "line 12: \\<mesh>: not supported (use a \\| b)"
        );
        assert_eq!(cause("error: option: no", "a.xml"), "option: no");
    }

    #[test]
    fn a_process_that_takes_too_long_is_ended() {
        let spawn = |seconds: &str| Command::new("sleep").arg(seconds).spawn();
        let Ok(mut child) = spawn("60") else { return };
        assert_eq!(wait(&mut child, Duration::from_millis(50)).unwrap(), None);
        let mut child = spawn("0").expect("as before");
        assert_eq!(
            wait(&mut child, Duration::from_secs(30)).unwrap(),
            Some(true)
        );
        // As long as the clock gives it time, its own time counts.
        let busy = ["-c", "while :; do :; done"];
        let Ok(mut child) = Command::new("sh").args(busy).spawn() else {
            return;
        };
        let start = Instant::now();
        assert_eq!(wait(&mut child, Duration::from_millis(100)).unwrap(), None);
        assert!(start.elapsed() >= Duration::from_millis(100));
    }
}
