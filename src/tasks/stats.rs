//! What happened in the episodes that ended since the last look.

use crate::randomize::Measured;

/// Episode statistics over all worlds.
///
/// Episodes that were quarantined, and those that did not begin at their beginning (staggered starts), are left out of
/// the means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Episodes that ended.
    pub episodes: u64,
    /// Those of them that a termination term ended; the others ran out of time.
    pub terminated: u64,
    /// Mean undiscounted return; 0 without episodes.
    pub mean_return: f64,
    /// Standard deviation of the return over episodes.
    pub std_return: f64,
    /// Mean length in control steps.
    pub mean_length: f64,
    /// Mean return by weighted reward term, in the order of the spec.
    pub terms: Vec<(String, f64)>,
    /// Episodes in which each termination term held at the end, in the order of the spec.
    pub terminations: Vec<(String, u64)>,
    /// What a [`Curriculum`](crate::randomize::Curriculum) goes by.
    pub measured: Measured,
    /// Worlds that were quarantined.
    pub quarantines: Vec<Quarantine>,
    /// What could not be computed exactly in worlds that went on, at most one of each cause.
    pub warnings: Vec<Warning>,
}

/// A world that was quarantined: it went wrong, and began a new episode alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Which world.
    pub world: usize,
    /// How often since the last look.
    pub count: u32,
    /// Everything that was found, over those times.
    pub causes: Vec<Cause>,
    /// The control step of its episode in which it happened last.
    pub step: u32,
    /// The number of that episode in the world's random stream.
    pub episode: u32,
}

/// Worlds that went on although something could not be computed exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it was.
    pub cause: Cause,
    /// In how many worlds since the last look.
    pub worlds: usize,
    /// In how many control steps of all worlds.
    pub steps: u64,
    /// The world in which it was worst.
    pub worst: usize,
    /// The control step of its episode in which it happened there last.
    pub step: u32,
    /// The number of that episode in the world's random stream.
    pub episode: u32,
    /// For [`Cause::Overflow`], the most contacts between links at once; 0 otherwise.
    pub needed: u32,
}

/// What went wrong in a world. The discriminants are bits of the status word.
///
/// A number is *unsound* where it is not finite, or above 1e10 in magnitude (MuJoCo's `mjMAXVAL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Cause {
    /// A number of the action was unsound. The world is quarantined.
    Action = 1,
    /// A number of `qpos`, `qvel` or `act` was unsound. The world is quarantined.
    State = 2,
    /// The reward, or one of its terms, was unsound. The world is quarantined.
    Reward = 4,
    /// An observation was unsound. The world is quarantined.
    Observation = 8,
    /// More contacts between links than there are slots for: the deepest were kept. The world goes on.
    Overflow = 16,
    /// The constraint solver gave up before it found the exact minimum. The world goes on.
    Solver = 32,
    /// Another number that outlives the step was unsound: the task's own quantities and histories, commands, draws of
    /// the randomization, the time, the running episode's sums. The world is quarantined.
    Memory = 64,
    /// The sums over a world's finished episodes were not finite when they were read: they are left out of the means.
    /// Found on the host, so never in a status word. The world goes on.
    Statistics = 128,
}

impl Cause {
    /// All causes, in the order of their bits.
    pub const ALL: [Cause; 8] = [
        Cause::Action,
        Cause::State,
        Cause::Reward,
        Cause::Observation,
        Cause::Overflow,
        Cause::Solver,
        Cause::Memory,
        Cause::Statistics,
    ];

    /// The bit of the status word.
    pub const fn bit(self) -> u32 {
        self as u32
    }

    /// Whether a world in which it happens is quarantined.
    pub const fn quarantines(self) -> bool {
        !matches!(self, Cause::Overflow | Cause::Solver | Cause::Statistics)
    }

    /// The causes in a status word.
    pub fn of(status: u32) -> Vec<Cause> {
        Self::ALL
            .into_iter()
            .filter(|cause| status & cause.bit() != 0)
            .collect()
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Cause::Action => "non-finite or unbounded action",
            Cause::State => "non-finite or unbounded state",
            Cause::Reward => "non-finite or unbounded reward",
            Cause::Observation => "non-finite or unbounded observation",
            Cause::Overflow => "more contacts between links than slots",
            Cause::Solver => "constraint solver not converged",
            Cause::Memory => "non-finite or unbounded number kept between steps",
            Cause::Statistics => "statistics not finite",
        })
    }
}

impl Warning {
    /// What its number of steps is called among a run's metrics.
    pub fn metric(&self) -> &'static str {
        match self.cause {
            Cause::Overflow => "overflowed",
            Cause::Statistics => "lost_statistics",
            _ => "unsolved",
        }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            cause,
            worlds,
            steps,
            worst,
            step,
            episode,
            needed,
        } = self;
        let last = format!("in world {worst}, last in step {step} of its episode {episode}");
        match cause {
            Cause::Statistics => write!(
                f,
                "{cause} in {worlds} worlds, the first is world {worst}: left out of the means"
            ),
            Cause::Overflow => write!(
                f,
                "{cause} in {steps} control steps of {worlds} worlds, up to {needed} at once {last}; the deepest were kept"
            ),
            _ => write!(
                f,
                "{cause} in {steps} control steps of {worlds} worlds, most often {last}"
            ),
        }
    }
}

impl std::fmt::Display for Quarantine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let causes: Vec<String> = self.causes.iter().map(Cause::to_string).collect();
        let Self {
            world,
            count,
            step,
            episode,
            ..
        } = self;
        write!(
            f,
            "world {world} quarantined {count}×, last in step {step} of its episode {episode}: {}",
            causes.join(", ")
        )
    }
}
