//! kill -9, again and again: a training run that is killed at random moments and gone on with gives what the run that
//! nobody killed gives, bit for bit.
//!
//! `MANYWORLDS_KILLS` and `MANYWORLDS_KILL_TASK` (with `MANYWORLDS_KILL_STEPS`) make it longer:
//! `MANYWORLDS_KILLS=20 MANYWORLDS_KILL_TASK=hopper MANYWORLDS_KILL_STEPS=2000000 cargo test --release --test gpu train_kill`.
#![cfg(feature = "learn")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use manyworlds::math::random::{HostKey, HostRng};
use manyworlds::train::{Learner, Policy, export};

use crate::common::gpu;
use crate::program::Folder;

/// What is trained, and how often it is killed.
struct Experiment {
    task: String,
    settings: Vec<String>,
    kills: u32,
}

impl Experiment {
    fn start(&self, folder: &Path, more: &[&str]) -> Child {
        // A long experiment wants a copy that nobody builds anew meanwhile.
        let built = env!("CARGO_BIN_EXE_manyworlds");
        let program = std::env::var("MANYWORLDS_PROGRAM").unwrap_or_else(|_| built.into());
        Command::new(program)
            .args(["train", &self.task])
            .args(more)
            .args(&self.settings)
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("errors")).expect("a file"))
            .spawn()
            .expect("the program starts")
    }

    fn finish(&self, folder: &Path, more: &[&str]) {
        let status = self.start(folder, more).wait().expect("it ends");
        let errors = fs::read_to_string(folder.join("errors")).expect("a file");
        assert!(status.success(), "{more:?}: {errors}");
    }
}

/// The rows of `metrics.csv` without the columns that a clock decides.
fn rows(run: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(run.join("metrics.csv")).expect("the run has metrics");
    let header = text.lines().next().expect("a header");
    let timed =
        |name: &str| name.starts_with("time/") || ["seconds", "steps_per_s"].contains(&name);
    let timed: Vec<bool> = header.split(',').map(timed).collect();
    let row = |line: &str| {
        let cells = line.split(',').zip(&timed);
        let kept = cells.filter(|(_, timed)| !**timed);
        kept.map(|(cell, _)| cell.to_owned()).collect()
    };
    text.lines().map(row).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// When a run is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the process began.
    After(Duration),
    /// So long after it had written a row in this process.
    InTraining(Duration),
    /// As soon as a checkpoint is being written.
    Writing,
    /// As soon as an old checkpoint is being removed.
    Removing,
}

/// Waits for the moment; false where the process ended before.
fn wait_for(moment: Moment, child: &mut Child, run: &Path) -> bool {
    let (start, mut trained) = (Instant::now(), None);
    let metrics = || fs::metadata(run.join("metrics.csv")).map_or(0, |file| file.len());
    let mut size = metrics();
    let has = |prefix: &str| {
        let names = names(&run.join("checkpoints"));
        names.iter().any(|name| name.starts_with(prefix))
    };
    while child.try_wait().expect("its status").is_none() {
        let due = match moment {
            Moment::After(time) => start.elapsed() >= time,
            Moment::InTraining(time) => {
                // It shrinks first, to what the checkpoint has, and grows then.
                let now = metrics();
                if now > size {
                    trained.get_or_insert_with(Instant::now);
                }
                size = now;
                trained.is_some_and(|begun| begun.elapsed() >= time)
            }
            // What an earlier process left behind is not being written: it is cleaned up first.
            Moment::Writing => has(&format!(".writing-{}", child.id())),
            Moment::Removing => metrics() != size && has(".removing-"),
        };
        if due {
            return true;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    false
}

/// The policy as it is exported, and the worlds as the newest checkpoint has them.
fn bytes(run: &Path) -> [Vec<u8>; 2] {
    let mut found = names(&run.join("checkpoints"));
    found.sort();
    let newest = found.last().expect("a checkpoint");
    let worlds = run.join("checkpoints").join(newest).join("environment.bin");
    let policy = Policy::load(run, &Learner::processor().device()).expect("the run is whole");
    let [_, numbers] = export(&policy, &run.join("policy")).expect("the folder is writable");
    [numbers, worlds].map(|path| fs::read(path).expect("a file"))
}

#[test]
fn a_run_killed_at_random_moments_is_the_run_that_was_not() {
    if gpu::context().is_none() {
        return;
    }
    let set = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
    let task = set("MANYWORLDS_KILL_TASK", "cartpole");
    let steps = set("MANYWORLDS_KILL_STEPS", "24000");
    let small = task == "cartpole";
    let mut settings = vec![format!("steps={steps}"), "log.keep_checkpoints=2".into()];
    if small {
        // Many short iterations with a checkpoint after every second: a good part of the time is writing.
        let quick = [
            "worlds=32",
            "network.actor=[16]",
            "network.critic=[16]",
            "ppo.horizon=16",
        ];
        settings.extend(quick.map(str::to_owned));
    }
    settings.push(format!(
        "log.checkpoint_interval={}",
        if small { 2 } else { 5 }
    ));
    let kills = set("MANYWORLDS_KILLS", "20").parse().expect("a number");
    let experiment = Experiment {
        task,
        settings,
        kills,
    };
    let folder = Folder::new("train-kill");
    let started = Instant::now();
    experiment.finish(folder.path(), &["--out", "whole"]);
    let whole_took = started.elapsed();
    let run = folder.path().join("killed");
    let killed = kill_and_resume(&experiment, folder.path(), &run, whole_took);

    experiment.finish(folder.path(), &["--resume", "killed"]);
    let whole = folder.path().join("whole");
    let (expected, found) = (rows(&whole), rows(&run));
    println!(
        "{}: {} iterations in {:.1} s, killed {killed} times in {:.1} s",
        experiment.task,
        expected.len() - 1,
        whole_took.as_secs_f64(),
        started.elapsed().as_secs_f64()
    );
    assert_eq!(found, expected, "metrics.csv");
    let ([policy, worlds], [expected, expected_worlds]) = (bytes(&run), bytes(&whole));
    assert!(policy == expected, "the policies' bytes differ");
    assert!(worlds == expected_worlds, "the worlds' bytes differ");
    let evaluation = |run: &PathBuf| fs::read(run.join("evaluation.json")).expect("evaluated");
    assert_eq!(evaluation(&run), evaluation(&whole));
    let left: Vec<String> = [names(&run), names(&run.join("checkpoints"))].concat();
    let left: Vec<&String> = left.iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [".lock"], "nothing half-written is left");
    assert!(killed >= experiment.kills, "killed {killed} times only");
}

/// Kills the run at random moments until it has been killed often enough, or is done; returns how often.
fn kill_and_resume(experiment: &Experiment, folder: &Path, run: &Path, whole: Duration) -> u32 {
    let key = HostKey {
        seed: 4,
        stream: 0,
        episode: 0,
        step: 0,
    };
    let mut rng = HostRng::new(key, "kills");
    // Such that the run is not done before it has been killed often enough.
    let share = whole.as_secs_f64() / f64::from(experiment.kills);
    let mut killed = 0;
    while killed < experiment.kills {
        let moment = match killed % 5 {
            // Before, during or soon after the start: the device opens, kernels compile.
            0 => Moment::After(Duration::from_secs_f64(
                rng.uniform() * 2.0 * share.min(1.0),
            )),
            1 | 2 => Moment::InTraining(Duration::from_secs_f64(rng.uniform() * share)),
            3 => Moment::Writing,
            _ => Moment::Removing,
        };
        let begun = run.join("config.toml").exists();
        let (way, name) = (if begun { "--resume" } else { "--out" }, "killed");
        let mut child = experiment.start(folder, &[way, name]);
        if !wait_for(moment, &mut child, run) {
            let errors = fs::read_to_string(folder.join("errors")).expect("a file");
            assert!(
                child.wait().expect("it ended").success(),
                "{moment:?}: {errors}"
            );
            break;
        }
        // SIGKILL: nothing in the process gets to know.
        child.kill().expect("it is killed");
        child.wait().expect("it is dead");
        killed += 1;
    }
    killed
}

#[test]
fn two_processes_do_not_train_in_one_folder() {
    if gpu::context().is_none() {
        return;
    }
    let folder = Folder::new("train-twice");
    let settings = ["worlds=32", "network.actor=[16]", "network.critic=[16]"];
    let experiment = Experiment {
        task: "cartpole".into(),
        settings: settings.map(str::to_owned).into(),
        kills: 0,
    };
    let mut first = experiment.start(folder.path(), &["--out", "run", "--steps", "100000000"]);
    let run = folder.path().join("run");
    let soon = Instant::now();
    while !run.join("metrics.csv").exists() {
        assert!(soon.elapsed() < Duration::from_secs(60), "it never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = crate::program::run_in(folder.path(), &["train", "cartpole", "--resume", "run"]);
    first.kill().expect("it is killed");
    first.wait().expect("it is dead");
    let errors = String::from_utf8_lossy(&second.stderr).into_owned();
    let last = errors.trim_end().lines().last().unwrap_or_default();
    assert!(!second.status.success());
    let expected = format!("run: process {} is training here", first.id());
    assert!(
        last.starts_with("error: ") && last.contains(&expected),
        "{errors}"
    );
    // The lock died with its process.
    let steps = rows(&run).last().expect("a row")[1].clone();
    experiment.finish(folder.path(), &["--resume", "run", "--steps", &steps]);
}
