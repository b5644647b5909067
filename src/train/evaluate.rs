//! Evaluation: the deterministic policy on worlds of its own, whole episodes.
//!
//! Which episodes count is decided before they start: every world's first ones, as many as its share. Taking
//! the first `E` to end, over all worlds, would prefer short ones.

use std::iter::repeat_n;

use burn::tensor::Tensor;
use serde::Serialize;

use super::arrays::Writer;
use super::environment::{Environment, Step};
use super::policy::Policy;
use crate::error::{Error, Result};

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvalReport {
    /// Whole episodes that count.
    pub episodes: usize,
    /// Their mean undiscounted return.
    pub mean_return: f64,
    /// Standard deviation of the return.
    pub std_return: f64,
    /// Smallest return.
    pub min_return: f64,
    /// Largest return.
    pub max_return: f64,
    /// Mean length in control steps.
    pub mean_length: f64,
    /// Share of the episodes that the task ended, rather than the time limit.
    pub terminated: f64,
    /// Episodes not counted because their world failed.
    pub quarantined: usize,
    /// Returns in the order of worlds.
    pub returns: Vec<f64>,
    /// The world of each.
    pub worlds: Vec<usize>,
}

/// The worlds' present and finished episodes.
struct Tally {
    share: Vec<usize>,
    earned: Vec<f64>,
    length: Vec<usize>,
    finished: Vec<Vec<(f64, usize, bool)>>,
    quarantined: usize,
}

/// Runs `episodes` whole episodes and reports; `recording` keeps what happened, where wanted.
pub fn evaluate(
    environment: &mut dyn Environment,
    policy: &Policy,
    episodes: usize,
    seed: u64,
    mut recording: Option<&mut Recording>,
) -> Result<EvalReport> {
    if episodes == 0 {
        return Err(Error::invalid("0 episodes").hint("--episodes takes at least 1"));
    }
    if environment.spec().policy_dim()? != policy.spec.policy_dim()? {
        return Err(Error::invalid(format!(
            "the policy sees {} numbers, the task gives {}",
            policy.spec.policy_dim()?,
            environment.spec().policy_dim()?
        )));
    }
    if environment.spec().action_dim() != policy.spec.action_dim() {
        return Err(Error::invalid(format!(
            "the policy has {} actions, the task {}",
            policy.spec.action_dim(),
            environment.spec().action_dim()
        )));
    }
    let worlds = environment.num_envs();
    let mut tally = Tally::new(worlds, episodes);
    // Without a limit of the task, a policy that never ends an episode would never end the evaluation.
    let limit =
        environment.spec().max_episode_steps.unwrap_or(100_000) * (episodes.div_ceil(worlds) + 1);
    let mut obs = environment.reset(Some(seed))?;
    for _ in 0..=limit {
        if let Some(recording) = recording.as_deref_mut() {
            recording.begin(environment)?;
        }
        let actions = policy.act(obs.policy()?);
        let step = environment.step(actions.clone())?;
        let scalars = Scalars::read(&step);
        if let Some(recording) = recording.as_deref_mut() {
            recording.push(obs.policy()?, actions, &scalars);
        }
        tally.add(&scalars);
        if tally.complete() {
            return Ok(tally.report());
        }
        obs = step.obs;
    }
    Err(
        Error::invalid(format!("episodes did not end within {limit} steps"))
            .hint("the task needs a time limit"),
    )
}

/// One step's scalars on the host.
struct Scalars {
    reward: Vec<f32>,
    terminated: Vec<f32>,
    truncated: Vec<f32>,
    valid: Vec<f32>,
}

impl Scalars {
    fn read(step: &Step) -> Self {
        let columns = [&step.reward, &step.terminated, &step.truncated, &step.valid];
        let data: Vec<f32> = Tensor::cat(columns.map(Tensor::clone).to_vec(), 0)
            .into_data()
            .iter::<f32>()
            .collect();
        let part = |k: usize| data[k * data.len() / 4..(k + 1) * data.len() / 4].to_vec();
        Self {
            reward: part(0),
            terminated: part(1),
            truncated: part(2),
            valid: part(3),
        }
    }
}

impl Tally {
    fn new(worlds: usize, episodes: usize) -> Self {
        Self {
            share: (0..worlds)
                .map(|world| episodes / worlds + usize::from(world < episodes % worlds))
                .collect(),
            earned: vec![0.0; worlds],
            length: vec![0; worlds],
            finished: vec![Vec::new(); worlds],
            quarantined: 0,
        }
    }

    fn add(&mut self, step: &Scalars) {
        for world in 0..self.share.len() {
            if self.finished[world].len() >= self.share[world] {
                continue;
            }
            let done = step.terminated[world] + step.truncated[world] > 0.0;
            if step.valid[world] == 0.0 {
                // A failed world starts anew; a step that only reset is no step.
                if done {
                    self.quarantined += 1;
                    (self.earned[world], self.length[world]) = (0.0, 0);
                }
                continue;
            }
            self.earned[world] += f64::from(step.reward[world]);
            self.length[world] += 1;
            if done {
                let terminated = step.terminated[world] > 0.0;
                self.finished[world].push((self.earned[world], self.length[world], terminated));
                (self.earned[world], self.length[world]) = (0.0, 0);
            }
        }
    }

    fn complete(&self) -> bool {
        self.finished
            .iter()
            .zip(&self.share)
            .all(|(finished, share)| finished.len() >= *share)
    }

    fn report(self) -> EvalReport {
        let finished = self.finished.iter().enumerate();
        let worlds = finished
            .flat_map(|(world, ended)| repeat_n(world, ended.len()))
            .collect();
        let all: Vec<(f64, usize, bool)> = self.finished.into_iter().flatten().collect();
        let n = all.len() as f64;
        let returns: Vec<f64> = all.iter().map(|(earned, ..)| *earned).collect();
        let mean = returns.iter().sum::<f64>() / n;
        EvalReport {
            episodes: all.len(),
            mean_return: mean,
            std_return: (returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n).sqrt(),
            min_return: returns.iter().copied().fold(f64::INFINITY, f64::min),
            max_return: returns.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean_length: all.iter().map(|(_, length, _)| *length as f64).sum::<f64>() / n,
            terminated: all.iter().filter(|(.., terminated)| *terminated).count() as f64 / n,
            quarantined: self.quarantined,
            returns,
            worlds,
        }
    }
}

/// States, observations, actions and scalars of the first few worlds, for a look at what the policy does.
#[derive(Debug)]
pub struct Recording {
    worlds: usize,
    steps: usize,
    control_dt: f64,
    /// By name, as the environment gives them.
    states: Vec<(String, Vec<f32>)>,
    obs: Vec<f32>,
    actions: Vec<f32>,
    scalars: [Vec<f32>; 4],
}

impl Recording {
    /// Keeps the first `worlds` worlds.
    pub fn new(worlds: usize) -> Self {
        Self {
            worlds,
            steps: 0,
            control_dt: 0.0,
            states: Vec::new(),
            obs: Vec::new(),
            actions: Vec::new(),
            scalars: Default::default(),
        }
    }

    /// Before a step: the states that its observations and actions belong to.
    fn begin(&mut self, environment: &dyn Environment) -> Result<()> {
        self.worlds = self.worlds.min(environment.num_envs());
        self.control_dt = environment.spec().control_dt;
        for (name, values) in environment.state(self.worlds)? {
            match self.states.iter_mut().find(|(known, _)| *known == name) {
                Some((_, kept)) => kept.extend(values),
                None => self.states.push((name, values)),
            }
        }
        Ok(())
    }

    fn push(&mut self, obs: Tensor<2>, actions: Tensor<2>, step: &Scalars) {
        let worlds = self.worlds.min(step.reward.len());
        self.worlds = worlds;
        self.steps += 1;
        self.obs
            .extend(obs.narrow(0, 0, worlds).into_data().iter::<f32>());
        self.actions
            .extend(actions.narrow(0, 0, worlds).into_data().iter::<f32>());
        let columns = [&step.reward, &step.terminated, &step.truncated, &step.valid];
        for (kept, column) in self.scalars.iter_mut().zip(columns) {
            kept.extend(&column[..worlds]);
        }
    }

    /// Writes `time [T]` (s, running on over episodes), the states (`qpos [T, n, nq]`, …), `obs [T, n, D]`, `actions [T, n, A]`, and `reward`, `terminated`, `truncated`, `valid` `[T, n]`.
    pub fn save(&self, path: &std::path::Path) -> Result<()> {
        let (t, n) = (self.steps, self.worlds);
        let width = |values: &[f32]| values.len() / (t * n).max(1);
        let temporary = path.with_extension("partial");
        let mut file = Writer::create(&temporary)?;
        let time: Vec<f64> = (0..t).map(|step| step as f64 * self.control_dt).collect();
        file.add("time", &[t], &time)?;
        for (name, values) in &self.states {
            file.add(name, &[t, n, width(values)], values)?;
        }
        file.add("obs", &[t, n, width(&self.obs)], &self.obs)?;
        file.add("actions", &[t, n, width(&self.actions)], &self.actions)?;
        for (name, values) in ["reward", "terminated", "truncated", "valid"]
            .iter()
            .zip(&self.scalars)
        {
            file.add(name, &[t, n], values)?;
        }
        file.finish()?;
        std::fs::rename(&temporary, path).map_err(|error| Error::io(error).context(path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalars(reward: &[f32], terminated: &[f32], truncated: &[f32], valid: &[f32]) -> Scalars {
        Scalars {
            reward: reward.into(),
            terminated: terminated.into(),
            truncated: truncated.into(),
            valid: valid.into(),
        }
    }

    /// World 0 ends every step, world 1 every third: five episodes are three and two, not five short ones.
    #[test]
    fn short_episodes_are_not_preferred() {
        let mut tally = Tally::new(2, 5);
        let mut steps = 0;
        while !tally.complete() {
            steps += 1;
            let third = if steps % 3 == 0 { 1.0 } else { 0.0 };
            tally.add(&scalars(
                &[1.0, 1.0],
                &[1.0, 0.0],
                &[0.0, third],
                &[1.0, 1.0],
            ));
        }
        let report = tally.report();
        assert_eq!(steps, 6);
        assert_eq!(report.returns, [1.0, 1.0, 1.0, 3.0, 3.0]);
        assert_eq!(report.worlds, [0, 0, 0, 1, 1]);
        assert_eq!(
            (report.episodes, report.mean_length, report.terminated),
            (5, 9.0 / 5.0, 0.6)
        );
        assert!((report.std_return - 0.96f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn failed_worlds_and_reset_steps_do_not_count() {
        let mut tally = Tally::new(1, 1);
        tally.add(&scalars(&[5.0], &[0.0], &[0.0], &[1.0]));
        tally.add(&scalars(&[5.0], &[0.0], &[1.0], &[0.0]));
        tally.add(&scalars(&[9.0], &[0.0], &[0.0], &[0.0]));
        tally.add(&scalars(&[2.0], &[1.0], &[0.0], &[1.0]));
        assert!(tally.complete());
        let report = tally.report();
        assert_eq!(
            (report.returns, report.quarantined, report.mean_length),
            (vec![2.0], 1, 1.0)
        );
    }
}
