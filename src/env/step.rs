//! The control step, in the one place that orders its stages; and the two kernels that share them, reset and refresh.
//!
//! actuate and substeps → update → terms → done → statistics → (when done) reset → commands → observation.
//!
//! A world with an unsound number (not finite, or above 1e10) in its action, in its state, in what it carries along, in
//! its reward or in its observation is *quarantined* in the same step: its state and observation stay at the last sound
//! ones, it reports `truncated` with a status and `valid` = 0, and its episode ends. No unsound number is given out, and
//! none outlives the reset: what is carried over it, draws made once for a world, is drawn anew. Soundness is tested on the bits, because shader compilers may assume that NaN does not occur. A world never
//! reads another world's numbers, so neighbours cannot notice.

use std::rc::Rc;
use std::sync::Arc;

use super::advance::Advanced;
use super::begin::Lasting;
use super::builder::Autoreset;
use super::fields::Fields;
use super::outcome::{Outcome, load_groups, store_groups, store_sensors};
use super::replay::ProbeFields;
use super::sound::{self, sound_or_zero, unsound};
use super::variants::Variation;
use crate::error::Result;
use crate::model::Model;
use crate::tasks::actuators::Drives;
use crate::tasks::recording::Recording;
use crate::tasks::{
    Cause, Episode, Instant, Key, Look, Memory, Params, Past, SensorFields, Spec, Task, TaskState,
    Terms, World, check,
};
use crate::trace::{self, Bits, Graph, Layout, Mask, Var, select, stage, uniform, when};

/// What the kernels of an environment are recorded from.
pub(super) struct Plan {
    pub name: String,
    pub model: Arc<Model>,
    pub spec: Arc<Spec>,
    pub layout: Layout,
    pub fields: Fields,
    /// Between the task's controls and the model's.
    pub drives: Drives,
    pub autoreset: Autoreset,
    /// In what the variants that it steps differ.
    pub variation: Variation,
}

impl Plan {
    /// The control step. Run-time value: `substeps`.
    pub(super) fn step(&self, task: &dyn Task, params: &Params) -> Result<Graph> {
        self.record("step", (task, params), |recipe| {
            let before = recipe.load();
            let idle = recipe.idle();
            let action = recipe.action(idle);
            let after = recipe.advance(&before, &action);
            let outcome = recipe.judge(before, after, &action);
            recipe.account(&outcome);
            let (episode, reset) = recipe.begin_again(&outcome);
            let (episode, resampled) = recipe.command(episode, reset | idle);
            let (episode, disturbed) = recipe.draw_again(episode, reset | idle);
            let resampled = resampled | disturbed;
            let (observation, sensors) =
                recipe.observe(&episode, &outcome, &action, (reset, resampled));
            let episode = Episode { sensors, ..episode };
            recipe.store(&episode, &outcome, &action, &observation);
        })
    }

    /// Begins a new episode in the selected worlds. Run-time values: `reseed` (0 or 1), `seed_low` and `seed_high`: start
    /// the random stream anew; `stagger` (0 or 1): begin somewhere on the way to the time limit.
    pub(super) fn reset(&self, task: &dyn Task, params: &Params) -> Result<Graph> {
        self.record("reset", (task, params), |recipe| {
            let fields = &recipe.plan.fields;
            when(fields.selected.load_bits(0).ne(0), (), |()| {
                let old = recipe.key();
                let reseed = uniform("reseed").ne(0);
                let key = Key {
                    seed: select(
                        reseed,
                        [uniform("seed_low"), uniform("seed_high")],
                        old.seed,
                    ),
                    // The next episode is number 0.
                    episode: select(reseed, Bits::from(u32::MAX), old.episode),
                    ..old
                };
                // Nothing is left of what was before a new seed.
                let kept = recipe.sensors();
                let blank: Vec<Memory> = kept.iter().map(Memory::blank).collect();
                let lasting = Lasting {
                    draws: fields.randomized.load_all(),
                    sensors: select(reseed, blank, kept),
                };
                let mut episode = recipe.fresh(key, lasting);
                let stagger = uniform("stagger").ne(0);
                episode.step = select(stagger, recipe.somewhere(episode.key), Bits::from(0));
                let past = recipe.no_past(&episode);
                let (observation, sensors) =
                    recipe.look(&episode, &past, &recipe.no_action(), Instant::first());
                let episode = Episode { sensors, ..episode };
                recipe.store_begun(&episode, &observation);
                fields.seed.store_all_bits(&key.seed);
            });
        })
    }

    /// Computes the selected worlds' observations from their states again.
    pub(super) fn refresh(&self, task: &dyn Task, params: &Params) -> Result<Graph> {
        self.record("refresh", (task, params), |recipe| {
            let fields = &recipe.plan.fields;
            when(fields.selected.load_bits(0).ne(0), (), |()| {
                let episode = recipe.load();
                let past = recipe.no_past(&episode);
                let instant = Instant::again(episode.step.eq(0));
                let (observation, sensors) =
                    recipe.look(&episode, &past, &fields.action.load_all(), instant);
                let sound = !unsound(observation.iter().flatten());
                when(sound, (), |()| {
                    store_groups(&fields.observations, &observation);
                    store_sensors(&fields.sensors, &sensors);
                });
            });
        })
    }

    /// The control step up to what it is judged by: a look at the numbers themselves, for a world that went wrong.
    /// Run-time value: `substeps`.
    pub(super) fn probe(
        &self,
        task: &dyn Task,
        params: &Params,
        to: &ProbeFields,
    ) -> Result<Graph> {
        self.record_in(&to.layout, "probe", (task, params), |recipe| {
            let before = recipe.load();
            let idle = Mask::from(false);
            let action = recipe.action(idle);
            let Advanced { episode, past, .. } = recipe.advance(&before, &action);
            let terms = recipe.terms(&episode, &past, &action.values);
            let (groups, _) = recipe.sense(&terms, &episode, Instant::next());
            to.store(&episode, &terms.weighted_rewards(), &groups);
        })
    }

    fn record(
        &self,
        name: &str,
        task: (&dyn Task, &Params),
        body: impl FnOnce(&Recipe<'_>),
    ) -> Result<Graph> {
        self.record_in(&self.layout, name, task, body)
    }

    fn record_in(
        &self,
        layout: &Layout,
        name: &str,
        (task, params): (&dyn Task, &Params),
        body: impl FnOnce(&Recipe<'_>),
    ) -> Result<Graph> {
        let mut faultless = Ok(());
        let graph = trace::record(name, layout, || {
            let variant = match self.fields.variant.is_empty() {
                true => Bits::ZERO,
                false => self.fields.variant.load_bits(0),
            };
            let table = self.fields.parameters;
            let mut recording = Recording::new(&self.model, &self.spec, params, table);
            recording.physics = Rc::new(self.physics(variant));
            recording.variant = variant;
            let recording = Rc::new(recording);
            let recipe = Recipe {
                plan: self,
                task,
                recording,
            };
            body(&recipe);
            faultless = check(&recipe.recording, &self.name);
        });
        faultless?;
        Ok(graph)
    }
}

/// A kernel being recorded.
pub(super) struct Recipe<'a> {
    pub plan: &'a Plan,
    pub task: &'a dyn Task,
    pub recording: Rc<Recording>,
}

/// The action of this step.
pub(super) struct Action {
    /// Sound: zeros where the world is idle or the action is not sound.
    pub values: Vec<Var>,
    /// Whether a number was not sound.
    pub broken: Mask,
    /// The episode was over before: this step does not act.
    pub idle: Mask,
}

impl Recipe<'_> {
    pub(super) fn key(&self) -> Key {
        let fields = &self.plan.fields;
        Key {
            seed: [fields.seed.load_bits(0), fields.seed.load_bits(1)],
            stream: fields.stream.load_bits(0),
            episode: fields.episode.load_bits(0),
        }
    }

    fn load(&self) -> Episode {
        let fields = &self.plan.fields;
        let mut task = TaskState::zero(&self.recording);
        task.own = fields.own.iter().map(|field| field.load_all()).collect();
        let histories = fields.histories.iter().zip(&self.plan.spec.histories);
        task.histories = histories
            .map(|(field, history)| {
                field
                    .load_all()
                    .chunks(history.dim.max(1))
                    .map(<[Var]>::to_vec)
                    .collect()
            })
            .collect();
        Episode {
            physics: fields.physics.load(),
            task,
            actuators: fields.actuators.load(),
            commands: fields
                .commands
                .iter()
                .map(|field| field.load_all())
                .collect(),
            last_action: fields.last_action.load_all(),
            draws: fields.randomized.load_all(),
            boundary: self.boundary(),
            sensors: self.sensors(),
            step: fields.episode_step.load_bits(0),
            key: self.key(),
        }
    }

    /// What the sensors keep.
    fn sensors(&self) -> Vec<Memory> {
        let fields = self.plan.fields.sensors.iter();
        fields.map(SensorFields::load).collect()
    }

    /// Where the episode is over already.
    pub(super) fn idle(&self) -> Mask {
        match self.plan.autoreset {
            Autoreset::SameStep => Mask::from(false),
            Autoreset::NextStep | Autoreset::Disabled => {
                self.plan.fields.pending.load_bits(0).ne(0)
            }
        }
    }

    fn action(&self, idle: Mask) -> Action {
        stage("action", || {
            let raw = self.plan.fields.action.load_all();
            let broken = unsound(&raw) & !idle;
            let ignored = broken | idle;
            Action {
                values: raw
                    .iter()
                    .map(|value| select(ignored, Var::from(0.0), *value))
                    .collect(),
                broken,
                idle,
            }
        })
    }

    pub(super) fn no_action(&self) -> Vec<Var> {
        vec![Var::from(0.0); self.plan.spec.actions.len()]
    }

    pub(super) fn no_past(&self, episode: &Episode) -> Past {
        Past::none(&self.recording, &episode.physics)
    }

    /// What recording needs in a world with an episode's draws.
    pub(super) fn of(&self, episode: &Episode) -> Rc<Recording> {
        self.recording.with_draws(&episode.draws)
    }

    /// Terms, then what ends the episode: the task, the time limit, or numbers that are not sound.
    fn judge(&self, before: Episode, advanced: Advanced, action: &Action) -> Outcome {
        let idle = action.idle;
        let Advanced {
            episode: mut after,
            past,
            health,
        } = advanced;
        let terms = self.terms(&after, &past, &action.values);
        let (observation, sensors) = self.sense(&terms, &after, Instant::next());
        after.sensors = sensors;
        let (weighted_terms, termination_terms) =
            stage("terms", || (terms.weighted_rewards(), terms.terminations()));
        stage("done", || {
            let reward = weighted_terms
                .iter()
                .fold(Var::from(0.0), |sum, term| sum + *term);
            let physics = &after.physics;
            let state = physics.qpos.iter().chain(&physics.qvel).chain(&physics.act);
            // What the step began with counts where it can be lost on the way: in quaternions, which are normalized, and
            // in numbers that a task replaces.
            let quaternions = sound::quaternions(&self.plan.model, &before.physics);
            let carried = [before.carried(), after.carried(), self.running_sums()].concat();
            let found = [
                (Cause::Action, action.broken),
                (Cause::State, unsound(state.chain(&quaternions))),
                (Cause::Memory, unsound(&carried)),
                // The terms too: where two infinities cancel, the sums of each would still be lost.
                (
                    Cause::Reward,
                    unsound(weighted_terms.iter().chain([&reward])),
                ),
                (Cause::Observation, unsound(observation.iter().flatten())),
            ];
            // What is found first explains the rest: a state that is not sound is seen, too.
            let broken = found
                .into_iter()
                .rev()
                .fold(Bits::ZERO, |status, (cause, found)| {
                    select(found & !idle, Bits::from(cause.bit()), status)
                });
            let quarantined = broken.ne(0);
            let warning = |cause: Cause, found: Mask| {
                select(found & !idle, Bits::from(cause.bit()), Bits::ZERO)
            };
            let inexact =
                warning(Cause::Overflow, health.overflow) | warning(Cause::Solver, health.unsolved);
            let held = idle | quarantined;
            let any = termination_terms
                .iter()
                .fold(Mask::from(false), |any, term| any | *term);
            let terminated = any & !held;
            let out_of_time = after.step.ge(self.plan.spec.max_episode_steps);
            let truncated = !idle & !terminated & (quarantined | out_of_time);
            // The last sound observation is the one that this step's action was chosen from.
            let observation = when(held, observation, |_| {
                load_groups(&self.plan.fields.observations)
            });
            Outcome {
                observation,
                episode: select(held, before, after),
                reward: select(held, Var::from(0.0), reward),
                weighted_terms: weighted_terms
                    .iter()
                    .map(|term| select(held, Var::from(0.0), *term))
                    .collect(),
                termination_terms,
                terminated,
                truncated,
                quarantined,
                status: broken | inexact,
                needed: health.needed,
                idle,
                past,
            }
        })
    }

    pub(super) fn terms(&self, episode: &Episode, past: &Past, action: &[Var]) -> Terms {
        let recording = self.of(episode);
        let mut terms = Terms::new(&recording);
        let world = World::new(&recording, episode, past, action);
        stage("terms", || {
            self.task.terms(&world, &episode.task, &mut terms)
        });
        terms.observe_draws(&episode.draws);
        terms.observe_variant();
        terms
    }

    /// What the sensors make of a task's observation terms, by group, and what they keep.
    pub(super) fn sense(
        &self,
        terms: &Terms,
        episode: &Episode,
        instant: Instant,
    ) -> (Vec<Vec<Var>>, Vec<Memory>) {
        let look = Look {
            recording: &self.of(episode),
            key: episode.key,
            step: episode.step,
            instant,
        };
        terms.look(&look, &episode.sensors)
    }

    pub(super) fn look(
        &self,
        episode: &Episode,
        past: &Past,
        action: &[Var],
        instant: Instant,
    ) -> (Vec<Vec<Var>>, Vec<Memory>) {
        self.sense(&self.terms(episode, past, action), episode, instant)
    }

    /// What the next action is chosen from: the successor's observation, or another look where the world changed since;
    /// and what the sensors keep.
    pub(super) fn observe(
        &self,
        episode: &Episode,
        outcome: &Outcome,
        action: &Action,
        (reset, resampled): (Mask, Mask),
    ) -> (Vec<Vec<Var>>, Vec<Memory>) {
        let seen = (outcome.observation.clone(), outcome.episode.sensors.clone());
        when(reset | resampled, seen, |_| {
            let mut now = episode.clone();
            now.last_action = select(reset, self.no_action(), now.last_action);
            let begun = (self.no_past(&now), self.no_action());
            let (seen, sensors) = match resampled.as_constant() {
                Some(false) => self.look(&now, &begun.0, &begun.1, Instant::first()),
                _ => {
                    let going = (outcome.past.clone(), action.values.clone());
                    let (past, action) = select(reset, begun, going);
                    self.look(&now, &past, &action, Instant::again(reset))
                }
            };
            // An unsound beginning is found in the step that follows: nobody needs to see it before.
            (sound_or_zero(seen), sensors)
        })
    }
}
