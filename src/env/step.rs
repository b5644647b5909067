//! The control step, in the one place that orders its stages; and the two kernels that share them, reset and refresh.
//!
//! actuate and substeps → update → terms → done → statistics → (when done) reset → commands → observation.
//!
//! A world whose action, state, reward or observation is not finite is *quarantined* in the same step: its state and
//! observation stay at the last finite ones, it reports `truncated` with a status and `valid` = 0, and its episode
//! ends. Finiteness is tested on the bits, because shader compilers may assume that NaN does not occur. A world never
//! reads another world's numbers, so neighbours cannot notice.

use std::rc::Rc;
use std::sync::Arc;

use super::builder::Autoreset;
use super::fields::Fields;
use super::outcome::{Outcome, load_groups, store_groups, store_sensors};
use crate::error::Result;
use crate::model::Model;
use crate::rigid::{self, Forces, Health};
use crate::tasks::recording::Recording;
use crate::tasks::{
    Cause, ContactForces, Ctrl, Episode, Init, Instant, Key, Look, Memory, Params, Past,
    SensorFields, Spec, Task, TaskState, Terms, World, check,
};
use crate::trace::{
    self, Bits, Carry, Graph, Layout, Mask, Slot, Var, repeat, select, stage, uniform, when,
};

/// What the kernels of an environment are recorded from.
pub(super) struct Plan {
    pub name: String,
    pub task: Box<dyn Task>,
    pub model: Arc<Model>,
    pub spec: Arc<Spec>,
    pub layout: Layout,
    pub fields: Fields,
    pub autoreset: Autoreset,
}

/// Largest magnitude of a number in the state; MuJoCo's `mjMAXVAL`.
pub(super) const MAX_STATE: f32 = 1e10;

impl Plan {
    /// The control step. Run-time value: `substeps`.
    pub(super) fn step(&self, params: &Params) -> Result<Graph> {
        self.record("step", params, |recipe| {
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
    pub(super) fn reset(&self, params: &Params) -> Result<Graph> {
        self.record("reset", params, |recipe| {
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
    pub(super) fn refresh(&self, params: &Params) -> Result<Graph> {
        self.record("refresh", params, |recipe| {
            let fields = &recipe.plan.fields;
            when(fields.selected.load_bits(0).ne(0), (), |()| {
                let episode = recipe.load();
                let past = recipe.no_past(&episode);
                let instant = Instant::again(episode.step.eq(0));
                let (observation, sensors) =
                    recipe.look(&episode, &past, &fields.action.load_all(), instant);
                let sane = !above(observation.iter().flatten(), f32::MAX);
                when(sane, (), |()| {
                    store_groups(&fields.observations, &observation);
                    store_sensors(&fields.sensors, &sensors);
                });
            });
        })
    }

    fn record(&self, name: &str, params: &Params, body: impl FnOnce(&Recipe<'_>)) -> Result<Graph> {
        let recording = Rc::new(Recording::new(
            &self.model,
            &self.spec,
            params,
            self.fields.parameters,
        ));
        let recipe = Recipe {
            plan: self,
            recording,
        };
        let graph = trace::record(name, &self.layout, || body(&recipe));
        check(&recipe.recording, &self.name)?;
        Ok(graph)
    }
}

/// A kernel being recorded.
pub(super) struct Recipe<'a> {
    pub plan: &'a Plan,
    pub recording: Rc<Recording>,
}

/// The action of this step.
pub(super) struct Action {
    /// Finite: zeros where the world is idle or the action is not finite.
    pub values: Vec<Var>,
    /// Whether a number was not finite.
    broken: Mask,
    /// The episode was over before: this step does not act.
    idle: Mask,
}

/// What the last substep leaves behind, and what all of them add up to.
#[derive(Clone)]
struct Told {
    evaluated: rigid::State,
    forces: Forces,
    contacts: ContactForces,
    health: Health,
}

impl Told {
    /// Before the first substep.
    fn nothing(model: &Model, state: &rigid::State) -> Self {
        Self {
            evaluated: state.clone(),
            forces: Forces::none(model),
            contacts: ContactForces::none(model),
            health: Health::sound(),
        }
    }
}

impl Carry for Told {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.evaluated.slots(visit);
        self.forces.slots(visit);
        self.contacts.slots(visit);
        self.health.slots(visit);
    }
}

/// What an episode leaves to the next.
struct Lasting {
    draws: Vec<Var>,
    sensors: Vec<Memory>,
}

/// Where the substeps led.
struct Advanced {
    episode: Episode,
    past: Past,
    health: Health,
}

impl Recipe<'_> {
    fn key(&self) -> Key {
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
            commands: fields
                .commands
                .iter()
                .map(|field| field.load_all())
                .collect(),
            last_action: fields.last_action.load_all(),
            draws: fields.randomized.load_all(),
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
    fn idle(&self) -> Mask {
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
            let broken = above(&raw, f32::MAX) & !idle;
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

    fn no_action(&self) -> Vec<Var> {
        vec![Var::from(0.0); self.plan.spec.actions.len()]
    }

    fn no_past(&self, episode: &Episode) -> Past {
        Past::none(&self.recording, &episode.physics)
    }

    /// What recording needs in a world with an episode's draws.
    fn of(&self, episode: &Episode) -> Rc<Recording> {
        self.recording.with_draws(&episode.draws)
    }

    /// The episode with the draws of this control step.
    fn drawn(&self, before: &Episode) -> Episode {
        let randomization = &self.plan.spec.randomization();
        let mut episode = before.clone();
        let source = self.recording.source(episode.key, episode.step);
        let drawn = randomization.step(&source, &before.draws, self.plan.spec.control_dt);
        randomization.disturb(&mut episode.physics, &drawn);
        episode.draws = drawn.draws;
        episode
    }

    /// Substeps under the action, then the task's own update.
    fn advance(&self, before: &Episode, action: &Action) -> Advanced {
        let go = !(action.idle | action.broken);
        let before = &self.drawn(before);
        let recording = self.of(before);
        let model = &self.plan.model;
        let substeps = uniform("substeps");
        let substep = |(physics, mut told): (rigid::State, Told), index: Bits| {
            let inputs = self.actuate(before, &physics, action);
            let step = rigid::substep(
                model,
                &recording.physics,
                &physics,
                &inputs.ctrl,
                &inputs.applied,
            );
            told.contacts.add(model, &step.start);
            told.health = told.health.and(step.health);
            let is_last = (index + 1).eq(substeps);
            told.forces = when(is_last, told.forces, |_| step.forces(model));
            told.evaluated = step.evaluated;
            (step.state, told)
        };
        let (physics, told) = stage("physics", || {
            let start = (
                before.physics.clone(),
                Told::nothing(model, &before.physics),
            );
            repeat(substeps, start, |_| go, substep)
        });
        let Told {
            evaluated,
            forces,
            contacts,
            health,
        } = told;
        let Ctrl { ctrl, applied, .. } = self.actuate(before, &evaluated, action);
        let past = Past {
            before: before.physics.clone(),
            evaluated,
            ctrl,
            applied,
            forces,
            contacts,
        };
        let mut after = Episode {
            physics,
            step: before.step + 1,
            ..before.clone()
        };
        let mut own = after.task.clone();
        stage("update", || {
            let world = World::new(&recording, &after, &past, &action.values);
            self.plan.task.update(&world, &mut own);
        });
        after.task = own;
        Advanced {
            episode: after,
            past,
            health,
        }
    }

    /// What the task sends to the physics in one substep of the control step that began at `before`.
    fn actuate(&self, before: &Episode, physics: &rigid::State, action: &Action) -> Ctrl {
        stage("actuate", || {
            let now = Episode {
                physics: physics.clone(),
                ..before.clone()
            };
            let past = Past {
                before: before.physics.clone(),
                ..self.no_past(&now)
            };
            let recording = self.of(&now);
            let world = World::new(&recording, &now, &past, &action.values);
            let mut ctrl = Ctrl::new(&recording);
            self.plan.task.actuate(&world, &action.values, &mut ctrl);
            let randomization = self.plan.spec.randomization();
            randomization.push(&recording.physics, &mut ctrl.applied, &now.draws);
            ctrl
        })
    }

    /// Terms, then what ends the episode: the task, the time limit, or numbers that are not finite.
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
            let found = [
                (Cause::Action, action.broken),
                (Cause::State, above(state, MAX_STATE)),
                (Cause::Reward, above([&reward], f32::MAX)),
                (
                    Cause::Observation,
                    above(observation.iter().flatten(), f32::MAX),
                ),
            ];
            // What is found first explains the rest: a state that is not finite is seen, too.
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
            // The last finite observation is the one that this step's action was chosen from.
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

    fn terms(&self, episode: &Episode, past: &Past, action: &[Var]) -> Terms {
        let recording = self.of(episode);
        let mut terms = Terms::new(&recording);
        let world = World::new(&recording, episode, past, action);
        stage("terms", || {
            self.plan.task.terms(&world, &episode.task, &mut terms)
        });
        terms.observe_draws(&episode.draws);
        terms
    }

    /// What the sensors make of a task's observation terms, by group, and what they keep.
    fn sense(
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

    fn look(
        &self,
        episode: &Episode,
        past: &Past,
        action: &[Var],
        instant: Instant,
    ) -> (Vec<Vec<Var>>, Vec<Memory>) {
        self.sense(&self.terms(episode, past, action), episode, instant)
    }

    /// A new episode where it is due.
    fn begin_again(&self, outcome: &Outcome) -> (Episode, Mask) {
        let due = match self.plan.autoreset {
            Autoreset::SameStep => outcome.done(),
            Autoreset::NextStep => outcome.idle,
            Autoreset::Disabled => Mask::from(false),
        };
        let episode = outcome.episode.clone();
        (
            when(due, episode, |old| {
                let lasting = Lasting {
                    draws: old.draws,
                    sensors: old.sensors,
                };
                self.fresh(old.key, lasting)
            }),
            due,
        )
    }

    /// The beginning of the episode after the one that `key` names. The sensors begin when they are looked at.
    fn fresh(&self, key: Key, Lasting { draws, sensors }: Lasting) -> Episode {
        stage("reset", || {
            let key = Key {
                episode: key.episode + 1,
                ..key
            };
            let start = Bits::ZERO;
            let randomization = self.plan.spec.randomization();
            let source = self.recording.source(key, start);
            let drawn = randomization.begin(&source, &draws);
            let recording = self.recording.with_draws(&drawn.draws);
            let mut init = Init::new(&recording);
            let mut task = TaskState::zero(&recording);
            self.plan
                .task
                .reset(&mut init, &mut task, &mut key.rng("reset", start));
            let mut physics = init.state;
            randomization.disturb(&mut physics, &drawn);
            Episode {
                physics,
                task,
                commands: self.sample(&recording, key, start),
                last_action: self.no_action(),
                draws: drawn.draws,
                sensors,
                step: start,
                key,
            }
        })
    }

    /// A step somewhere between the episode's beginning and its time limit, uniformly.
    fn somewhere(&self, key: Key) -> Bits {
        let limit = self.plan.spec.max_episode_steps;
        let uniform = key.rng("stagger", Bits::ZERO).uniform();
        (uniform * f64::from(limit)).to_bits().min(limit - 1)
    }

    /// New values of all commands.
    fn sample(&self, recording: &Recording, key: Key, step: Bits) -> Vec<Vec<Var>> {
        let mut rng = key.rng("command", step);
        let commands = self.plan.spec.commands.iter();
        commands
            .map(|command| {
                let param = |field: &str, i: usize| {
                    recording.param(&format!("command.{}.{field}[{i}]", command.name))
                };
                (0..command.low.len())
                    .map(|i| rng.range(param("low", i), param("high", i)))
                    .collect()
            })
            .collect()
    }

    /// New values of the commands whose time has come, except where they are new anyway.
    fn command(&self, mut episode: Episode, except: Mask) -> (Episode, Mask) {
        stage("command", || {
            let recording = self.of(&episode);
            let mut any = Mask::from(false);
            for (index, command) in self.plan.spec.commands.iter().enumerate() {
                let interval = recording.param(&format!("command.{}.interval", command.name));
                let steps = (interval * (1.0 / self.plan.spec.control_dt))
                    .round()
                    .to_bits();
                let due = steps.ne(0)
                    & episode.step.ne(0)
                    & (episode.step % steps.max(1)).eq(0)
                    & !except;
                let values = episode.commands[index].clone();
                let (key, step) = (episode.key, episode.step);
                episode.commands[index] = when(due, values, |_| {
                    self.sample(&recording, key, step).swap_remove(index)
                });
                any |= due;
            }
            (episode, any)
        })
    }

    /// New draws where an interval of the randomization begins.
    fn draw_again(&self, mut episode: Episode, except: Mask) -> (Episode, Mask) {
        let randomization = self.plan.spec.randomization();
        let (key, step, dt) = (episode.key, episode.step, self.plan.spec.control_dt);
        let source = self.recording.source(key, step);
        let drawn = randomization.interval(&source, &episode.draws, (step, dt), except);
        randomization.disturb(&mut episode.physics, &drawn);
        let any = drawn.any();
        episode.draws = drawn.draws;
        (episode, any)
    }

    /// What the next action is chosen from: the successor's observation, or another look where the world changed since;
    /// and what the sensors keep.
    fn observe(
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
            match resampled.as_constant() {
                Some(false) => self.look(&now, &begun.0, &begun.1, Instant::first()),
                _ => {
                    let going = (outcome.past.clone(), action.values.clone());
                    let (past, action) = select(reset, begun, going);
                    self.look(&now, &past, &action, Instant::again(reset))
                }
            }
        })
    }
}

/// Whether a number's magnitude is above `limit`, infinite, or no number, by the bits: for finite floats the order of
/// magnitudes is the order of the bits without the sign, and everything else lies above.
pub(super) fn above<'v>(values: impl IntoIterator<Item = &'v Var>, limit: f32) -> Mask {
    let magnitudes = values
        .into_iter()
        .map(|value| value.bitcast() & 0x7fff_ffff);
    magnitudes
        .reduce(|a, b| a.max(b))
        .map_or(Mask::from(false), |largest| largest.gt(limit.to_bits()))
}
