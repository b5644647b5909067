//! Imperfect sensors: what stands between a quantity of the simulation and the observation that a policy gets.
//!
//! Each term of an observation group may have a [`Sensor`]; groups without one (a critic's) see the truth. The stages
//! of one sample, in the order in which a measured signal passes them:
//!
//! | stage | what it does | options |
//! |---|---|---|
//! | delay | the truth of a while ago, interpolated between control steps | `delay`, `max_delay` |
//! | gain | times 1 + g, g drawn once per episode and value | `gain` |
//! | bias, drift | plus b, drawn once per episode and value, plus a process that wanders | `bias`, `drift`, `drift_time` |
//! | noise | plus white noise, in the value's unit or in units of its running deviation | `noise`, `relative_noise` |
//! | quantization | to the nearest multiple of a step | `resolution` |
//! | sampling | a sample when the sensor's clock says so, the last reading in between | `rate`, `random_phase` |
//! | failure | samples that are lost; readings that freeze, or stay while they are occluded | `dropout`, `dropout_to`, `freeze_rate`, `freeze_time`, `occlusion`, `together` |
//! | clip, scale | not the sensor's: what the reader makes of the reading | `clip`, `scale` |
//!
//! In hardware the latency comes last, after conversion and transport. Here it comes first, because delaying a reading
//! and reading a delayed signal are the same in distribution (nothing in between depends on the time of day), and only
//! the signal may be interpolated: between two readings, interpolation would halve the variance of the noise and undo the
//! quantization. Noise comes before quantization as it does in a converter. What holds a value holds a whole reading, noise
//! and all: a sensor that did not sample, or whose message is lost, repeats its last message.
//!
//! # State
//! What a sensor keeps between steps ([`Memory`]) is part of the episode: fields `sensor.GROUP.TERM.PART` of the state,
//! none where nothing is configured. An episode begins with a sensor that has seen the first value for ever: the past is
//! full of it, nothing is lost, frozen or drifted. Only the running deviation outlives the episode.
//!
//! A look at the sensors is the first of an episode, the next (a control step has passed), or another at the same
//! instant: after a command changed, or when somebody changed the state from outside. Another look takes the present
//! sample again, with the same random numbers, and is otherwise without consequences: looking twice at the same truth
//! gives the same bits.
//!
//! Random numbers are keyed (seed, stream, episode, `sensor.GROUP.TERM.STAGE`, step), so configuring one sensor changes no
//! draw of another; only white noise is drawn for all terms from one sequence.

mod declare;
mod failure;
mod memory;
mod signal;

pub use declare::{Lost, Sensor};
pub use memory::SensorFields;

pub(crate) use memory::Memory;

use super::recording::Recording;
use super::world::Key;
use crate::math::Rng;
use crate::trace::{Bits, Mask, Var, select, stage};
use failure::Failure;
use memory::Part;
use signal::Signal;

/// What a look at the sensors is to them.
#[derive(Clone, Copy)]
pub(crate) struct Instant {
    /// The first of an episode.
    first: Mask,
    /// A control step has passed since the last.
    next: Mask,
}

impl Instant {
    /// The first look of an episode.
    pub(crate) fn first() -> Self {
        Self {
            first: Mask::from(true),
            next: Mask::from(false),
        }
    }

    /// The look at the end of a control step.
    pub(crate) fn next() -> Self {
        Self {
            first: Mask::from(false),
            next: Mask::from(true),
        }
    }

    /// Another look at the same instant, or the first where an episode has just begun.
    pub(crate) fn again(first: Mask) -> Self {
        Self {
            first,
            next: Mask::from(false),
        }
    }

    /// What begins, goes on, or stays.
    fn choose(self, begins: Var, goes_on: Var, stays: Var) -> Var {
        select(self.first, begins, select(self.next, goes_on, stays))
    }
}

/// A look at the sensors of one world: whose, and when.
pub(crate) struct Look<'a> {
    pub recording: &'a Recording,
    pub key: Key,
    pub step: Bits,
    pub instant: Instant,
}

/// One term of one observation group, as it is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub group: &'a str,
    pub term: &'a str,
    pub sensor: &'a Sensor,
    /// `[component]`
    pub truth: &'a [Var],
    /// `[component]` Where the task says that the sensor is blind.
    pub occluded: Option<&'a [Mask]>,
}

/// What the stages are told: who looks at what.
struct Call<'a> {
    look: &'a Look<'a>,
    seen: Seen<'a>,
}

impl Call<'_> {
    /// One of the sensor's numbers.
    fn param(&self, name: &str) -> Var {
        let Seen { group, term, .. } = self.seen;
        let key = format!("observation.{group}.{term}.{name}");
        self.look.recording.param(&key)
    }

    /// Random numbers of a stage in this control step.
    fn rng(&self, stage: &str) -> Rng {
        self.rng_at(stage, self.look.step)
    }

    /// Random numbers of a stage for the whole episode.
    fn rng_of_episode(&self, stage: &str) -> Rng {
        self.rng_at(stage, Bits::ZERO)
    }

    fn rng_at(&self, stage: &str, step: Bits) -> Rng {
        let Seen { group, term, .. } = self.seen;
        let purpose = format!("sensor.{group}.{term}.{stage}");
        self.look.key.rng(&purpose, step)
    }

    /// Time between two control steps, s.
    fn dt(&self) -> f64 {
        self.look.recording.spec.control_dt
    }
}

/// A sensor at work.
pub(crate) struct Reader<'a> {
    call: Call<'a>,
    signal: Signal,
    failure: Failure,
    old: Memory,
    new: Memory,
}

impl<'a> Reader<'a> {
    /// A sensor that keeps `memory`.
    pub(crate) fn new(look: &'a Look<'a>, seen: Seen<'a>, memory: &Memory) -> Self {
        stage("sensing", || {
            let call = Call { look, seen };
            Self {
                signal: Signal::new(&call, memory),
                failure: Failure::new(&call, memory),
                call,
                old: memory.clone(),
                new: memory.clone(),
            }
        })
    }

    /// The reading of a component; each once, in order. `white` makes the white noise.
    pub(crate) fn read(&mut self, component: usize, white: &mut Rng) -> Var {
        let sensor = self.call.seen.sensor;
        let mut sample = self.call.seen.truth[component];
        if sensor.has_signal() {
            sample = stage("sensing", || {
                let memories = (&self.old, &mut self.new);
                self.signal.value(&self.call, component, memories)
            });
        }
        if let Some(deviation) = self.deviation(component) {
            sample += deviation * white.normal();
        }
        if sensor.has_failure() {
            sample = stage("sensing", || self.deliver(component, sample));
        }
        sample
    }

    /// What the sensor keeps after all components were read.
    pub(crate) fn finish(mut self) -> Memory {
        stage("sensing", || {
            self.signal.keep(&mut self.new);
            self.failure.keep(&mut self.new);
        });
        self.new
    }

    /// Standard deviation of a component's white noise: independent sources add their variances.
    fn deviation(&self, component: usize) -> Option<Var> {
        let sensor = self.call.seen.sensor;
        let absolute = sensor.noise.map(|_| self.call.param("noise"));
        let relative = sensor.relative_noise.map(|_| {
            let variance = self.new.get(Part::Variance)[component];
            stage("sensing", || {
                self.call.param("relative_noise") * variance.sqrt()
            })
        });
        match (absolute, relative) {
            (Some(absolute), Some(relative)) => {
                Some((absolute.square() + relative.square()).sqrt())
            }
            (absolute, relative) => absolute.or(relative),
        }
    }

    /// Quantization, and what reaches the reader.
    fn deliver(&mut self, component: usize, mut sample: Var) -> Var {
        if self.call.seen.sensor.resolution.is_some() {
            let step = self.call.param("resolution");
            sample = select(step.gt(0.0), (sample / step).round() * step, sample);
        }
        let last = self.old.get(Part::Reading).get(component).copied();
        let reading = self.failure.deliver(component, sample, last);
        self.new.put(Part::Reading, component, reading);
        reading
    }
}
