//! Checkpoints: everything that decides how a run goes on.
//!
//! `checkpoints/iteration_000050/` holds `network.bpk` (burn's record of the weights), `state.npz` (optimizer moments,
//! normalizers, learning rate, counters) and `environment.bin` (the worlds). Random numbers are functions of seed and
//! iteration and need no saving. A folder is written under another name and renamed when complete, and renamed before it is
//! removed, so that whatever has a checkpoint's name is whole, whenever the process is killed. A run has a checkpoint of
//! iteration 0 from the moment its `config.toml` appears until its next one.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{AdamState, AdaptiveMomentumState};
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Tensor, TensorData};

use super::arrays::{Reader, Writer};
use super::network::ActorCritic;
use super::normalize::Moments;
use super::ppo::Ppo;
use crate::error::{Error, Result};
use crate::files;

const NETWORK: &str = "network.bpk";
const STATE: &str = "state.npz";
const ENVIRONMENT: &str = "environment.bin";
const PREFIX: &str = "iteration_";
/// Names of folders that are being written, or removed: left behind by a process that was killed.
const WRITING: &str = ".writing-";
const REMOVING: &str = ".removing-";

/// How far a run had come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Control steps over all worlds.
    pub steps: u64,
    /// Seconds of training so far.
    pub seconds: f64,
}

/// Writes a checkpoint of the learner's present iteration into `run`, and returns its folder.
pub fn save(run: &Path, ppo: &Ppo, snapshot: &[u8], counters: Counters) -> Result<PathBuf> {
    let folder = run.join("checkpoints");
    let path = folder.join(format!("{PREFIX}{:06}", ppo.iteration));
    let temporary = folder.join(format!("{WRITING}{}", std::process::id()));
    if temporary.exists() {
        fs::remove_dir_all(&temporary).map_err(|error| place(error, &temporary))?;
    }
    files::create_dir(&temporary)?;

    let record = ppo.network.clone().into_record().into_bytes();
    let record = record.map_err(|error| Error::io(error).context(path.display()))?;
    files::write(&temporary.join(NETWORK), &record)?;
    files::write(&temporary.join(ENVIRONMENT), snapshot)?;
    write_state(&temporary.join(STATE), ppo, counters)?;

    // Only a run resumed from further back meets its own old checkpoint.
    if path.exists() {
        remove(&path)?;
    }
    fs::rename(&temporary, &path).map_err(|error| place(error, &path))?;
    files::sync_dir(&folder);
    Ok(path)
}

/// Removes what a process that was killed left half-written or half-removed. Nobody else may work in the folder.
pub fn clean(run: &Path) -> Result<()> {
    let half = |name: &str| name.starts_with(WRITING) || name.starts_with(REMOVING);
    for path in entries(&run.join("checkpoints"), half)? {
        fs::remove_dir_all(&path).map_err(|error| place(error, &path))?;
    }
    for path in entries(run, files::is_partial)? {
        fs::remove_file(&path).map_err(|error| place(error, &path))?;
    }
    Ok(())
}

/// The newest complete checkpoint of a run; `dir` may also be a checkpoint's own folder.
pub fn latest(dir: &Path) -> Result<PathBuf> {
    if dir.join(STATE).is_file() {
        return Ok(dir.to_owned());
    }
    all(dir)?.pop().ok_or_else(|| {
        Error::invalid("no checkpoint here")
            .context(dir.display())
            .hint("give the folder that train --out wrote, after its first checkpoint")
    })
}

/// Removes all but the newest `keep` checkpoints; 0 removes none. That of iteration 0 goes in any case, if there is
/// another.
pub fn prune(run: &Path, keep: usize) -> Result<()> {
    let mut paths = all(run)?;
    if paths.len() > 1 && paths[0].ends_with(format!("{PREFIX}{:06}", 0)) {
        remove(&paths.remove(0))?;
    }
    let surplus = if keep == 0 {
        0
    } else {
        paths.len().saturating_sub(keep)
    };
    paths[..surplus].iter().try_for_each(|path| remove(path))
}

/// Puts the learner where the checkpoint left it; returns the worlds' snapshot and the counters.
pub fn restore(checkpoint: &Path, ppo: &mut Ppo) -> Result<(Vec<u8>, Counters)> {
    load_policy(checkpoint, ppo)?;
    let mut state = Reader::open(&checkpoint.join(STATE))?;
    ppo.set_iteration(state.scalar("iteration")?)?;
    ppo.learning_rate = state.scalar("learning_rate")?;
    let adam = if state.has("adam_time") {
        let device = ppo.device().clone();
        let tensor = |values: Vec<f32>| {
            let count = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [count]), &device)
        };
        let first = tensor(state.vector("adam_moment_1")?);
        let second = tensor(state.vector("adam_moment_2")?);
        let time: u64 = state.scalar("adam_time")?;
        for moment in [&first, &second] {
            expect("adam_moment", moment.dims()[0], ppo.network.num_params())
                .map_err(|error| error.context(checkpoint.display()))?;
        }
        Some(AdamState::new(AdaptiveMomentumState::new(
            time as usize,
            first,
            second,
        )))
    } else {
        None
    };
    ppo.optimizer.set_state(adam);
    let counters = Counters {
        steps: state.scalar("steps")?,
        seconds: state.scalar("seconds")?,
    };
    Ok((environment(checkpoint)?, counters))
}

/// The worlds' snapshot in a checkpoint.
pub fn environment(checkpoint: &Path) -> Result<Vec<u8>> {
    files::read(&checkpoint.join(ENVIRONMENT))
}

/// Loads weights and statistics only: what a policy is, and what a new run may start from.
pub fn load_policy(checkpoint: &Path, ppo: &mut Ppo) -> Result<()> {
    ppo.network = load_network(checkpoint, ppo.network.clone())?;
    let mut state = Reader::open(&checkpoint.join(STATE))?;
    for (name, normalizer) in [
        ("obs", &mut ppo.obs_normalizer),
        ("critic", &mut ppo.critic_normalizer),
    ] {
        let moments = read_moments(&mut state, name)?;
        expect(name, moments.mean.len(), normalizer.moments().mean.len())
            .map_err(|error| error.context(checkpoint.display()))?;
        normalizer.set_moments(moments);
    }
    let moments = read_moments(&mut state, "value")?;
    expect("value", moments.mean.len(), 1).map_err(|error| error.context(checkpoint.display()))?;
    ppo.value_moments = moments;
    Ok(())
}

fn expect(name: &str, found: usize, wanted: usize) -> Result<()> {
    match found == wanted {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "{name} statistics of {found} numbers, the task has {wanted}"
        ))),
    }
}

fn load_network(checkpoint: &Path, network: ActorCritic) -> Result<ActorCritic> {
    let path = checkpoint.join(NETWORK);
    let fail = |error: &dyn std::fmt::Display| {
        Error::invalid(error)
            .context(path.display())
            .hint("the networks' widths and the task's observations must be those of the run that wrote it")
    };
    let bytes = Bytes::from_bytes_vec(files::read(&path)?);
    let record = ModuleRecord::from_bytes(bytes).map_err(|error| fail(&error))?;
    network
        .try_load_record(record)
        .map_err(|error| fail(&error))
}

fn write_state(path: &Path, ppo: &Ppo, counters: Counters) -> Result<()> {
    let mut state = Writer::create(path)?;
    state.add("iteration", &[1], &[ppo.iteration])?;
    state.add("steps", &[1], &[counters.steps])?;
    state.add("seconds", &[1], &[counters.seconds])?;
    state.add("learning_rate", &[1], &[ppo.learning_rate])?;
    let statistics = [
        ("obs", ppo.obs_normalizer.moments()),
        ("critic", ppo.critic_normalizer.moments()),
        ("value", &ppo.value_moments),
    ];
    for (name, moments) in statistics {
        state.add(&format!("{name}_count"), &[1], &[moments.count])?;
        state.add(
            &format!("{name}_mean"),
            &[moments.mean.len()],
            &moments.mean,
        )?;
        state.add(
            &format!("{name}_variance"),
            &[moments.variance.len()],
            &moments.variance,
        )?;
    }
    if let Some(adam) = ppo.optimizer.state() {
        let momentum = &adam.momentum;
        state.add("adam_time", &[1], &[momentum.time as u64])?;
        for (name, tensor) in [
            ("adam_moment_1", &momentum.moment_1),
            ("adam_moment_2", &momentum.moment_2),
        ] {
            let values: Vec<f32> = tensor.to_data().iter::<f32>().collect();
            state.add(name, &[values.len()], &values)?;
        }
    }
    state.finish()
}

fn read_moments(state: &mut Reader, name: &str) -> Result<Moments> {
    let moments = Moments {
        count: state.scalar(&format!("{name}_count"))?,
        mean: state.vector(&format!("{name}_mean"))?,
        variance: state.vector(&format!("{name}_variance"))?,
    };
    expect(
        &format!("{name}_variance"),
        moments.variance.len(),
        moments.mean.len(),
    )?;
    Ok(moments)
}

/// Complete checkpoints, oldest first.
fn all(run: &Path) -> Result<Vec<PathBuf>> {
    let number = |name: &str| name.strip_prefix(PREFIX)?.parse::<u64>().ok();
    let mut found: Vec<(u64, PathBuf)> =
        entries(&run.join("checkpoints"), |name| number(name).is_some())?
            .into_iter()
            .filter_map(|path| Some((number(path.file_name()?.to_str()?)?, path)))
            .collect();
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// What lies in a folder under names that `wanted` accepts; nothing, where there is no folder.
fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| place(error, folder))?.path();
        if path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(&wanted)
        {
            found.push(path);
        }
    }
    Ok(found)
}

/// Takes a checkpoint's name away, then removes it: half of one never has the name.
fn remove(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let removing = path.with_file_name(format!("{REMOVING}{name}"));
    if removing.exists() {
        fs::remove_dir_all(&removing).map_err(|error| place(error, &removing))?;
    }
    fs::rename(path, &removing).map_err(|error| place(error, path))?;
    fs::remove_dir_all(&removing).map_err(|error| place(error, &removing))
}

fn place(error: std::io::Error, path: &Path) -> Error {
    Error::io(error).context(path.display())
}
