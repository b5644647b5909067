//! Where an environment's numbers live: five buffers, and the fields in them.
//!
//! | buffer | holds |
//! |---|---|
//! | `parameters` | a table that all worlds share: weights, scales, ranges, what variants differ in |
//! | `state` | what a world carries from step to step |
//! | `io` | what the learner writes (actions) and reads (observations, rewards, ends) |
//! | `statistics` | sums over the episodes that ended since the last look |
//! | `bits` | unsigned integers: random streams, counters, status |
//!
//! Every field is `[component][world]`.

use super::variants::Topology;
use crate::rigid::StateFields;
use crate::tasks::SensorFields;
use crate::tasks::actuators::ActuatorFields;
use crate::trace::{Field, Kind, Layout};

/// Every field of an environment. The names under which [`VecEnv::get`](super::VecEnv::get) finds them stand beside
/// them.
#[derive(Clone, Debug)]
pub struct Fields {
    /// `parameters`: the task's adjustable numbers.
    pub parameters: Field,

    /// `qpos`, `qvel`, `act`, `time`, `mocap_pos`, `mocap_quat`, `eq_active` (integers), and where the solver starts from.
    pub physics: StateFields,
    /// `own.NAME`, in the order of the spec.
    pub own: Vec<Field>,
    /// `history.NAME`: `[entry][component]`, newest first, in the order of the spec.
    pub histories: Vec<Field>,
    /// `actuator.NAME.STAGE`.
    pub actuators: ActuatorFields,
    /// `command.NAME`, in the order of the spec.
    pub commands: Vec<Field>,
    /// `last_action`: the action of the step before.
    pub last_action: Field,
    /// `randomized`: what the world drew of its randomization, in the order of
    /// [`Randomization::labels`](crate::randomize::Randomization::labels), then what follows from it.
    pub randomized: Field,
    /// `sensor.GROUP.TERM.PART`, one for each observation term; most keep nothing.
    pub sensors: Vec<SensorFields>,
    /// `episode_return`: rewards so far in the running episode.
    pub episode_return: Field,
    /// `episode_length`: steps so far in the running episode.
    pub episode_length: Field,
    /// `episode_terms`: weighted reward terms so far; empty with a single term, whose sum is the return.
    pub episode_terms: Field,

    /// `action`.
    pub action: Field,
    /// `obs.GROUP`, in the order of the spec: what the next action is chosen from.
    pub observations: Vec<Field>,
    /// `next_obs.GROUP`, in the order of the spec: the true successor.
    pub next_observations: Vec<Field>,
    /// `reward`.
    pub reward: Field,
    /// `terminated`: 1 or 0.
    pub terminated: Field,
    /// `truncated`: 1 or 0.
    pub truncated: Field,
    /// `done`: either of them.
    pub done: Field,
    /// `valid`: 0 where the step must not be learned from.
    pub valid: Field,
    /// `final_return`: return of the episode that ended last.
    pub final_return: Field,
    /// `final_length`: length of the episode that ended last.
    pub final_length: Field,

    /// The statistics.
    pub statistics: StatisticsFields,

    /// `seed`: low half, high half.
    pub seed: Field,
    /// `stream`: what tells a world's random numbers from its neighbours'.
    pub stream: Field,
    /// `episode`: number of the running episode in its stream.
    pub episode: Field,
    /// `episode_step`: control steps towards the time limit.
    pub episode_step: Field,
    /// `boundary`: the boundary at which the world draws (see
    /// [`Randomization::boundaries`](crate::randomize::Randomization::boundaries)), 0 for none; empty where none moves.
    pub boundary: Field,
    /// `pending`: 1 where the episode is over and the next step does not act.
    pub pending: Field,
    /// `partial`: 1 where the episode did not begin at its beginning.
    pub partial: Field,
    /// `status`: what went wrong in this step, bits of [`Cause`](crate::tasks::Cause); 0 where nothing did.
    pub status: Field,
    /// `selected`: the worlds that the next reset or refresh is about.
    pub selected: Field,
    /// `quarantine`: how often, the causes, and the last step with its episode.
    pub quarantine: Field,
    /// `overflow`: control steps with too many contacts between links; the last of them and its episode; and the most
    /// contacts at once.
    pub overflow: Field,
    /// `unsolved`: control steps in which the solver gave up; the last of them and its episode.
    pub unsolved: Field,
    /// `variant`: which variant of the model the world has, in the order of the configuration; empty without variants.
    /// Worlds may change it among variants of one kernel, and then want a reset.
    pub variant: Field,
    /// `variants.K`: the numbers in which the variants of kernel K differ, `[variant][number]`.
    pub(super) variants: Field,
}

/// What fields there are for variants of a model.
#[derive(Clone, Copy)]
pub(super) struct Variants {
    /// How many there are.
    pub count: usize,
    /// The kernel that the fields are for.
    pub kernel: usize,
}

/// Sums over the episodes that ended. Each world adds in its own row, so the sums do not depend on the order in which
/// worlds run.
#[derive(Clone, Copy, Debug)]
pub struct StatisticsFields {
    /// `statistics.episodes`: how many ended.
    pub episodes: Field,
    /// `statistics.terminated`: how many of them were terminated.
    pub terminated: Field,
    /// `statistics.return`: sum of the returns.
    pub sum: Field,
    /// `statistics.return_squared`: sum of their squares.
    pub sum_of_squares: Field,
    /// `statistics.length`: sum of the lengths.
    pub length: Field,
    /// `statistics.terms`: sum of each weighted reward term; empty with a single term.
    pub terms: Field,
    /// `statistics.terminations`: how often each termination term held at the end.
    pub terminations: Field,
    /// `statistics.measured`: sums of the metric over episodes at no boundary, and at each; empty where none moves.
    pub measured: Field,
    /// `statistics.measurements`: how many episodes these are.
    pub measurements: Field,
}

impl Fields {
    /// Adds an environment's buffers and fields to an empty layout.
    pub(super) fn new(layout: &mut Layout, topology: &Topology, variants: &Variants) -> Self {
        let Topology {
            model,
            spec,
            drives,
            variation,
        } = topology;
        let table = layout.table("parameters", Kind::F32);
        let state = layout.buffer("state", Kind::F32);
        let io = layout.buffer("io", Kind::F32);
        let statistics = layout.buffer("statistics", Kind::F32);
        let bits = layout.buffer("bits", Kind::U32);
        let boundaries = spec.randomization().boundaries().len();
        let slots = if boundaries > 0 { boundaries + 1 } else { 0 };
        let terms = if spec.rewards.len() > 1 {
            spec.rewards.len()
        } else {
            0
        };

        // A table without entries would be a buffer without bytes.
        let parameters = layout.field(table, "parameters", spec.parameters().len().max(1));
        let physics = StateFields::declare(model, layout, state, bits);
        let own = spec
            .own
            .iter()
            .map(|own| layout.field(state, &format!("own.{}", own.name), own.dim))
            .collect();
        let histories = spec.histories.iter();
        let histories = histories
            .map(|history| {
                layout.field(
                    state,
                    &format!("history.{}", history.name),
                    history.dim * history.length,
                )
            })
            .collect();
        let actuators = drives.declare(layout, state, table);
        let commands = spec.commands.iter();
        let commands = commands
            .map(|command| {
                layout.field(
                    state,
                    &format!("command.{}", command.name),
                    command.low.len(),
                )
            })
            .collect();
        let groups = |layout: &mut Layout, prefix: &str| -> Vec<Field> {
            let groups = spec.groups.iter();
            groups
                .map(|group| layout.field(io, &format!("{prefix}.{}", group.name), group.dim()))
                .collect()
        };
        Self {
            parameters,
            physics,
            own,
            histories,
            actuators,
            commands,
            last_action: layout.field(state, "last_action", spec.actions.len()),
            randomized: layout.field(state, "randomized", spec.randomization().len()),
            sensors: SensorFields::declare(spec, layout, state),
            episode_return: layout.field(state, "episode_return", 1),
            episode_length: layout.field(state, "episode_length", 1),
            episode_terms: layout.field(state, "episode_terms", terms),
            action: layout.field(io, "action", spec.actions.len()),
            observations: groups(layout, "obs"),
            next_observations: groups(layout, "next_obs"),
            reward: layout.field(io, "reward", 1),
            terminated: layout.field(io, "terminated", 1),
            truncated: layout.field(io, "truncated", 1),
            done: layout.field(io, "done", 1),
            valid: layout.field(io, "valid", 1),
            final_return: layout.field(io, "final_return", 1),
            final_length: layout.field(io, "final_length", 1),
            statistics: StatisticsFields {
                episodes: layout.field(statistics, "statistics.episodes", 1),
                terminated: layout.field(statistics, "statistics.terminated", 1),
                sum: layout.field(statistics, "statistics.return", 1),
                sum_of_squares: layout.field(statistics, "statistics.return_squared", 1),
                length: layout.field(statistics, "statistics.length", 1),
                terms: layout.field(statistics, "statistics.terms", terms),
                terminations: layout.field(
                    statistics,
                    "statistics.terminations",
                    spec.terminations.len(),
                ),
                measured: layout.field(statistics, "statistics.measured", slots),
                measurements: layout.field(statistics, "statistics.measurements", slots),
            },
            seed: layout.field(bits, "seed", 2),
            stream: layout.field(bits, "stream", 1),
            episode: layout.field(bits, "episode", 1),
            episode_step: layout.field(bits, "episode_step", 1),
            boundary: layout.field(bits, "boundary", slots.min(1)),
            pending: layout.field(bits, "pending", 1),
            partial: layout.field(bits, "partial", 1),
            status: layout.field(bits, "status", 1),
            selected: layout.field(bits, "selected", 1),
            quarantine: layout.field(bits, "quarantine", 4),
            overflow: layout.field(bits, "overflow", 4),
            unsolved: layout.field(bits, "unsolved", 3),
            variant: layout.field(bits, "variant", variants.count.min(1)),
            variants: layout.field(
                table,
                &format!("variants.{}", variants.kernel),
                variation.table_len(variants.count),
            ),
        }
    }

    /// The same with room for the state of any kernel's worlds: what the host reads and writes of all worlds.
    pub(super) fn whole(mut self, layout: &Layout) -> Self {
        let whole = |field: &mut Field, name: &str| {
            if let Some(found) = layout.find(name) {
                *field = found;
            }
        };
        let physics = &mut self.physics;
        whole(&mut physics.qpos, "qpos");
        whole(&mut physics.qvel, "qvel");
        whole(&mut physics.act, "act");
        whole(&mut physics.mocap_pos, "mocap_pos");
        whole(&mut physics.mocap_quat, "mocap_quat");
        whole(&mut physics.eq_active, "eq_active");
        whole(&mut physics.active, "active");
        whole(&mut self.randomized, "randomized");
        self
    }
}
