//! What begins: episodes, and within them commands and draws whose interval is over.

use super::builder::Autoreset;
use super::outcome::Outcome;
use super::sound::{sound_or_blank, unsound};
use super::step::Recipe;
use crate::tasks::recording::Recording;
use crate::tasks::{Episode, Init, Key, Memory, TaskState};
use crate::trace::{Bits, Mask, Var, stage, when};

/// What an episode leaves to the next.
pub(super) struct Lasting {
    pub draws: Vec<Var>,
    pub sensors: Vec<Memory>,
}

impl Recipe<'_> {
    /// A new episode where it is due.
    pub(super) fn begin_again(&self, outcome: &Outcome) -> (Episode, Mask) {
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
    pub(super) fn fresh(&self, key: Key, Lasting { draws, sensors }: Lasting) -> Episode {
        stage("reset", || {
            let key = Key {
                episode: key.episode + 1,
                ..key
            };
            let start = Bits::ZERO;
            let randomization = self.plan.spec.randomization();
            // What lasts longer than an episode and was lost begins anew.
            let mut source = self.recording.source(key, start);
            source.lost = unsound(&draws);
            let drawn = randomization.begin(&source, &draws);
            let sensors = sound_or_blank(sensors);
            let recording = self.recording.with_draws(&drawn.draws);
            let mut init = Init::new(&recording);
            let mut task = TaskState::zero(&recording);
            self.task
                .reset(&mut init, &mut task, &mut key.rng("reset", start));
            let mut physics = init.state;
            randomization.disturb(&mut physics, &drawn);
            Episode {
                physics,
                task,
                actuators: self.plan.fields.actuators.begin(),
                commands: self.sample(&recording, key, start),
                last_action: self.no_action(),
                draws: drawn.draws,
                boundary: drawn.boundary,
                sensors,
                step: start,
                key,
            }
        })
    }

    /// A step somewhere between the episode's beginning and its time limit, uniformly.
    pub(super) fn somewhere(&self, key: Key) -> Bits {
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
    pub(super) fn command(&self, mut episode: Episode, except: Mask) -> (Episode, Mask) {
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
    pub(super) fn draw_again(&self, mut episode: Episode, except: Mask) -> (Episode, Mask) {
        let randomization = self.plan.spec.randomization();
        let (key, step, dt) = (episode.key, episode.step, self.plan.spec.control_dt);
        let source = self.recording.source(key, step);
        let old = (episode.draws.as_slice(), episode.boundary);
        let drawn = randomization.interval(&source, old, (step, dt), except);
        randomization.disturb(&mut episode.physics, &drawn);
        let any = drawn.any();
        episode.draws = drawn.draws;
        (episode, any)
    }
}
