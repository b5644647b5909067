//! What a control step came to: into the running sums, the statistics, and the fields that a learner reads.

use super::builder::Autoreset;
use super::step::{Action, Recipe};
use crate::tasks::{Cause, Episode, Memory, Past, SensorFields};
use crate::trace::{self, Bits, Mask, Var, select, stage, when};

/// What the step came to.
pub(super) struct Outcome {
    /// The world as it stands: advanced, or where it was if it is idle or quarantined.
    pub episode: Episode,
    /// Observations of `episode`, by group.
    pub observation: Vec<Vec<Var>>,
    pub reward: Var,
    pub weighted_terms: Vec<Var>,
    pub termination_terms: Vec<Mask>,
    pub terminated: Mask,
    pub truncated: Mask,
    /// Whether the world went wrong and stays where it was.
    pub quarantined: Mask,
    /// What went wrong, bits of [`Cause`](crate::tasks::Cause).
    pub status: Bits,
    /// How many contacts between links there were, at most at once.
    pub needed: Bits,
    /// The episode was over before: this step does not act.
    pub idle: Mask,
    /// What led to the state that the step arrived at.
    pub past: Past,
}

impl Outcome {
    pub(super) fn done(&self) -> Mask {
        self.terminated | self.truncated
    }

    pub(super) fn valid(&self) -> Mask {
        !(self.idle | self.quarantined)
    }
}

impl Recipe<'_> {
    /// Adds to the running episode's sums, and to the statistics where it ended.
    pub(super) fn account(&self, outcome: &Outcome) {
        stage("statistics", || {
            let fields = &self.plan.fields;
            let (zero, one) = (Var::from(0.0), Var::from(1.0));
            let episode_return = fields.episode_return.load(0) + outcome.reward;
            let length = fields.episode_length.load(0) + select(outcome.valid(), one, zero);
            let sums = fields
                .episode_terms
                .load_all()
                .into_iter()
                .zip(&outcome.weighted_terms);
            let sums: Vec<Var> = sums.map(|(sum, term)| sum + *term).collect();
            let done = outcome.done();
            fields
                .episode_return
                .store(0, select(done, zero, episode_return));
            fields.episode_length.store(0, select(done, zero, length));
            for (component, sum) in sums.iter().enumerate() {
                fields
                    .episode_terms
                    .store(component, select(done, zero, *sum));
            }
            when(done, (), |()| {
                fields.final_return.store(0, episode_return);
                fields.final_length.store(0, length);
                let counts = !outcome.quarantined & fields.partial.load_bits(0).eq(0);
                when(counts, (), |()| {
                    let add = |field: trace::Field, component: usize, value: Var| {
                        field.store(component, field.load(component) + value);
                    };
                    let statistics = &fields.statistics;
                    add(statistics.episodes, 0, one);
                    add(
                        statistics.terminated,
                        0,
                        select(outcome.terminated, one, zero),
                    );
                    add(statistics.sum, 0, episode_return);
                    add(statistics.sum_of_squares, 0, episode_return.square());
                    add(statistics.length, 0, length);
                    for (component, sum) in sums.iter().enumerate() {
                        add(statistics.terms, component, *sum);
                    }
                    for (component, term) in outcome.termination_terms.iter().enumerate() {
                        add(statistics.terminations, component, select(*term, one, zero));
                    }
                });
                fields.partial.store_bits(0, 0);
            });
            when(outcome.quarantined, (), |()| {
                let quarantine = fields.quarantine;
                let (count, causes) = (quarantine.load_bits(0), quarantine.load_bits(1));
                quarantine.store_bits(0, count + 1);
                quarantine.store_bits(1, causes | outcome.status);
                quarantine.store_bits(2, outcome.episode.step);
                quarantine.store_bits(3, outcome.episode.key.episode);
            });
            self.warn(outcome);
        })
    }

    /// Counts the steps that were not exact.
    fn warn(&self, outcome: &Outcome) {
        let has = |cause: Cause| (outcome.status & cause.bit()).ne(0);
        let (overflow, unsolved) = (has(Cause::Overflow), has(Cause::Solver));
        when(overflow | unsolved, (), |()| {
            let warning = self.plan.fields.warning;
            let [overflows, needed, solver] = [0, 1, 2].map(|i| warning.load_bits(i));
            warning.store_bits(0, overflows + flag(overflow));
            let more = select(overflow, outcome.needed, Bits::ZERO);
            warning.store_bits(1, needed.max(more));
            warning.store_bits(2, solver + flag(unsolved));
        });
    }

    pub(super) fn store(
        &self,
        episode: &Episode,
        outcome: &Outcome,
        action: &Action,
        observation: &[Vec<Var>],
    ) {
        let fields = &self.plan.fields;
        self.store_episode(episode);
        if self.recording.reads_last_action.get() {
            let reset = episode.step.eq(0);
            let values = action
                .values
                .iter()
                .map(|value| select(reset, Var::from(0.0), *value));
            fields.last_action.store_all(&values.collect::<Vec<_>>());
        }
        store_groups(&fields.observations, observation);
        store_groups(&fields.next_observations, &outcome.observation);
        fields.reward.store(0, outcome.reward);
        fields.valid.store(0, number(outcome.valid()));
        fields.status.store_bits(0, outcome.status);
        match self.plan.autoreset {
            Autoreset::SameStep => self.store_ends(outcome),
            Autoreset::NextStep => {
                self.store_ends(outcome);
                fields.pending.store_bits(0, flag(outcome.done()));
            }
            // A world that is over stays so, and keeps saying why, until it is reset.
            Autoreset::Disabled => {
                when(!outcome.idle, (), |()| self.store_ends(outcome));
                fields
                    .pending
                    .store_bits(0, flag(outcome.idle | outcome.done()));
            }
        }
    }

    fn store_ends(&self, outcome: &Outcome) {
        let fields = &self.plan.fields;
        fields.terminated.store(0, number(outcome.terminated));
        fields.truncated.store(0, number(outcome.truncated));
        fields.done.store(0, number(outcome.done()));
    }

    fn store_episode(&self, episode: &Episode) {
        let fields = &self.plan.fields;
        fields.physics.store(&episode.physics);
        fields
            .own
            .iter()
            .zip(&episode.task.own)
            .for_each(|(field, values)| field.store_all(values));
        let histories = fields.histories.iter().zip(&episode.task.histories);
        histories.for_each(|(field, entries)| field.store_all(&entries.concat()));
        fields
            .commands
            .iter()
            .zip(&episode.commands)
            .for_each(|(field, values)| field.store_all(values));
        fields.randomized.store_all(&episode.draws);
        store_sensors(&fields.sensors, &episode.sensors);
        fields.episode.store_bits(0, episode.key.episode);
        fields.episode_step.store_bits(0, episode.step);
    }

    /// Everything about a world whose episode has just begun by request.
    pub(super) fn store_begun(&self, episode: &Episode, observation: &[Vec<Var>]) {
        let fields = &self.plan.fields;
        self.store_episode(episode);
        fields.last_action.store_all(&episode.last_action);
        store_groups(&fields.observations, observation);
        store_groups(&fields.next_observations, observation);
        let outputs = [
            fields.reward,
            fields.terminated,
            fields.truncated,
            fields.done,
        ];
        let sums = [
            fields.episode_return,
            fields.episode_length,
            fields.episode_terms,
        ];
        for field in outputs.into_iter().chain(sums) {
            field.store_all(&vec![Var::from(0.0); field.len()]);
        }
        fields.valid.store(0, 1.0);
        fields.status.store_bits(0, 0);
        fields.pending.store_bits(0, 0);
        fields.partial.store_bits(0, flag(episode.step.ne(0)));
    }
}

pub(super) fn load_groups(fields: &[trace::Field]) -> Vec<Vec<Var>> {
    fields.iter().map(|field| field.load_all()).collect()
}

pub(super) fn store_groups(fields: &[trace::Field], groups: &[Vec<Var>]) {
    fields
        .iter()
        .zip(groups)
        .for_each(|(field, values)| field.store_all(values));
}

pub(super) fn store_sensors(fields: &[SensorFields], memories: &[Memory]) {
    fields
        .iter()
        .zip(memories)
        .for_each(|(fields, memory)| fields.store(memory));
}

/// 1 where the mask holds, else 0.
fn flag(mask: Mask) -> Bits {
    select(mask, Bits::from(1), Bits::from(0))
}

/// 1.0 where the mask holds, else 0.0.
fn number(mask: Mask) -> Var {
    select(mask, Var::from(1.0), Var::from(0.0))
}
