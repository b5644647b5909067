//! When a sample reaches its reader: the sensor's clock, lost samples, frozen and occluded readings.

use super::declare::Lost;
use super::memory::{Memory, Part};
use super::{Call, Instant};
use crate::math::functions;
use crate::trace::{Bits, Mask, Var, select};

/// What happens to the samples of one look. A part is a run of components that fail together.
pub(super) struct Failure {
    instant: Instant,
    /// Whether the clock asks for a sample; `None`: always.
    due: Option<Mask>,
    /// `[part]` Whether the sample is lost.
    lost: Vec<Mask>,
    /// What a lost sample is replaced by.
    lost_to: Lost,
    /// `[part]` Whether the reading is frozen.
    frozen: Vec<Mask>,
    /// `[component]` Whether the task says that the sensor is blind.
    occluded: Vec<Mask>,
    /// Components in a part.
    together: usize,
}

impl Failure {
    pub(super) fn new(call: &Call<'_>, memory: &Memory) -> Self {
        let sensor = call.seen.sensor;
        let dim = call.seen.truth.len();
        let parts = sensor.parts(dim);
        let lost = match sensor.dropout {
            None => Vec::new(),
            Some(_) => {
                let (mut rng, probability) = (call.rng("dropout"), call.param("dropout"));
                (0..parts).map(|_| rng.bernoulli(probability)).collect()
            }
        };
        let occluded = match call.seen.occluded {
            Some(masks) if sensor.occlusion => masks.to_vec(),
            _ => Vec::new(),
        };
        Self {
            instant: call.look.instant,
            due: sensor.rate.map(|_| due(call)),
            lost,
            lost_to: sensor.dropout_to,
            frozen: frozen(call, memory.get(Part::Frozen)),
            occluded,
            together: dim.div_ceil(parts.max(1)).max(1),
        }
    }

    /// The reading that a sample leads to, after the `last` one.
    pub(super) fn deliver(&self, component: usize, sample: Var, last: Option<Var>) -> Var {
        let part = component / self.together;
        let lost = self.lost.get(part).copied();
        let mut reading = match (lost, self.lost_to) {
            (None, _) => sample,
            (Some(lost), Lost::Zero) => select(lost & !self.instant.first, Var::ZERO, sample),
            (Some(lost), Lost::Hold) => select(lost, last.unwrap_or(sample), sample),
        };
        let Some(last) = last else { return reading };
        let stuck = [
            self.due.map(|due| !due),
            self.frozen.get(part).copied(),
            self.occluded.get(component).copied(),
        ];
        for stuck in stuck.into_iter().flatten() {
            reading = select(stuck, last, reading);
        }
        select(self.instant.first, sample, reading)
    }

    /// Keeps what is frozen.
    pub(super) fn keep(&self, new: &mut Memory) {
        for (part, frozen) in self.frozen.iter().enumerate() {
            let flag = select(*frozen, Var::from(1.0), Var::ZERO);
            new.put(Part::Frozen, part, flag);
        }
    }
}

/// Whether the clock of a sensor that is slower than the control steps asks for a sample.
///
/// Its phase counts in 2⁻³² of a period, in wrapping integers: step k is due where k · `advance` + phase has wrapped since
/// step k − 1. `advance` is rounded up, by about 2⁻²² of itself, so that a period of n steps is never n + 1; it is n − 1
/// once in more than a million steps.
fn due(call: &Call<'_>) -> Mask {
    const UP: f64 = 1.0 + 1.0 / 4_194_304.0;
    let advance = (call.param("rate") * (call.dt() * 4_294_967_296.0 * UP)).to_bits();
    let phase = match call.seen.sensor.random_phase {
        true => call.rng_of_episode("phase").bits(),
        false => Bits::ZERO,
    };
    let position = call.look.step * advance + phase;
    // At the control rate and above, `advance` is as large as it can be.
    position.lt(advance) | advance.eq(u32::MAX)
}

/// Whether each part is frozen after this look.
///
/// In continuous time a part freezes at the rate h and thaws at the rate 1/m, m being the mean time in ice. Looked at every
/// T seconds, this chain forgets by f = 1 − e^(−(h + 1/m) T) towards its stationary state, in which the share
/// s = h m / (1 + h m) is frozen: it freezes with probability s f and thaws with probability (1 − s) f.
fn frozen(call: &Call<'_>, before: &[Var]) -> Vec<Mask> {
    if before.is_empty() {
        return Vec::new();
    }
    let rate = call.param("freeze_rate").max(0.0);
    let time = call.param("freeze_time").max(1e-6);
    let forgets = 1.0 - functions::exp(-call.dt() * (rate + 1.0 / time));
    let freezes = forgets * rate * time / (1.0 + rate * time);
    let thaws = forgets / (1.0 + rate * time);
    let Instant { first, next } = call.look.instant;
    let mut rng = call.rng("freeze");
    before
        .iter()
        .map(|flag| {
            let before = flag.ne(0.0);
            let draw = rng.uniform();
            let after = select(before, draw.ge(thaws), draw.lt(freezes));
            select(next, after, before) & !first
        })
        .collect()
}
