//! From the truth to what a sensor would measure without noise: delay, gain, bias, drift; and the running deviation.

use super::memory::{Memory, Part};
use super::{Call, Instant};
use crate::math::{Rng, functions};
use crate::trace::{Var, select};

/// The running mean and variance forget what is older than about this many control steps.
pub(super) const HORIZON: f64 = 16_384.0;

/// Delays this close to a whole number of control steps are whole: `0.06 s / 0.02 s` is not 3 in binary.
const WHOLE: f64 = 1e-4;

/// The stages up to the noise, prepared for all components.
pub(super) struct Signal {
    instant: Instant,
    /// Weight of each entry of the past.
    taps: Vec<Var>,
    gains: Option<Draws>,
    biases: Option<Draws>,
    drifts: Option<Drift>,
    /// How many samples the running deviation weighs after this look, where there is one.
    samples: Option<Var>,
}

/// Draws of a stage and their standard deviation.
struct Draws {
    deviation: Var,
    rng: Rng,
}

/// One step of a drift: `drift ← keep · drift + ξ`, with ξ of this deviation.
struct Drift {
    keep: Var,
    steps: Draws,
}

impl Signal {
    pub(super) fn new(call: &Call<'_>, memory: &Memory) -> Self {
        let sensor = call.seen.sensor;
        let once = |stage: &str| Draws {
            deviation: call.param(stage),
            rng: call.rng_of_episode(stage),
        };
        let instant = call.look.instant;
        let samples = memory.get(Part::Samples).first().map(|samples| {
            let more = (*samples + 1.0).min(HORIZON);
            instant.choose(*samples, more, *samples)
        });
        Self {
            instant,
            taps: match sensor.has_delay() {
                true => taps(call),
                false => Vec::new(),
            },
            gains: sensor.gain.map(|_| once("gain")),
            biases: sensor.bias.map(|_| once("bias")),
            drifts: sensor.has_drift().then(|| Drift::new(call)),
            samples,
        }
    }

    /// A component's value before noise.
    pub(super) fn value(
        &mut self,
        call: &Call<'_>,
        component: usize,
        (old, new): (&Memory, &mut Memory),
    ) -> Var {
        let instant = self.instant;
        let truth = call.seen.truth[component];
        if let Some(samples) = self.samples {
            weigh(instant, (component, truth), samples, new);
        }
        let mut value = truth;
        if !self.taps.is_empty() {
            let dim = call.seen.truth.len();
            let past = |entry: usize| old.get(Part::Past)[entry * dim + component];
            let entries = (0..self.taps.len()).map(|entry| match entry {
                0 => truth,
                _ => instant.choose(truth, past(entry - 1), past(entry)),
            });
            let entries: Vec<Var> = entries.collect();
            value = Var::ZERO;
            for (entry, (tap, sample)) in self.taps.iter().zip(&entries).enumerate() {
                value += *tap * *sample;
                new.put(Part::Past, entry * dim + component, *sample);
            }
        }
        let mut once = |draws: &mut Option<Draws>, part: Part| {
            let Draws { deviation, rng } = draws.as_mut()?;
            let kept = old.get(part)[component];
            let drawn = instant.choose(*deviation * rng.normal(), kept, kept);
            new.put(part, component, drawn);
            Some(drawn)
        };
        if let Some(gain) = once(&mut self.gains, Part::Gain) {
            value *= 1.0 + gain;
        }
        if let Some(bias) = once(&mut self.biases, Part::Bias) {
            value += bias;
        }
        if let Some(Drift { keep, steps }) = &mut self.drifts {
            let before = old.get(Part::Drift)[component];
            let after = *keep * before + steps.deviation * steps.rng.normal();
            let drift = instant.choose(Var::ZERO, after, before);
            new.put(Part::Drift, component, drift);
            value += drift;
        }
        value
    }

    /// Keeps what is the same for all components.
    pub(super) fn keep(&self, new: &mut Memory) {
        if let Some(samples) = self.samples {
            new.put(Part::Samples, 0, samples);
        }
    }
}

/// Weights of the entries of the past: of the two that are nearest in age to the delay, in proportion to nearness.
///
/// With the delay d in control steps, entry i has the weight max(0, 1 − |d − i|). A whole d gives weights of exactly 1
/// and 0, so the reading is the entry to the last bit.
fn taps(call: &Call<'_>) -> Vec<Var> {
    let steps = call.seen.sensor.delay_steps(call.dt());
    let exact = (call.param("delay") * (1.0 / call.dt())).clamp(0.0, steps as f64);
    let whole = exact.round();
    let delay = select((exact - whole).abs().lt(WHOLE), whole, exact);
    (0..=steps)
        .map(|age| (1.0 - (delay - age as f64).abs()).max(0.0))
        .collect()
}

impl Drift {
    /// A random walk moves by q √T in a control step of length T.
    ///
    /// With a time constant τ it is an Ornstein–Uhlenbeck process, sampled exactly: it keeps e^(−u), u = T/τ, and adds a
    /// deviation of q √(τ/2 (1 − e^(−2u))) = q √T √((1 − e^(−2u)) / 2u), whose last factor is 1 − u + ⅔u² − … for small
    /// u, where the difference would cancel. Its deviation ends at q √(τ/2).
    fn new(call: &Call<'_>) -> Self {
        let sensor = call.seen.sensor;
        let walk = call.param("drift") * call.dt().sqrt();
        let rng = call.rng("drift");
        let Some(_) = sensor.drift_time else {
            return Self {
                keep: Var::from(1.0),
                steps: Draws {
                    deviation: walk,
                    rng,
                },
            };
        };
        let time = call.param("drift_time").max(1e-6);
        let u = call.dt() / time;
        let full = (1.0 - functions::exp(-2.0 * u)) / (2.0 * u);
        let small = 1.0 - u * (1.0 - u * (2.0 / 3.0));
        let share = select(u.lt(0.01), small, full);
        Self {
            keep: functions::exp(-u),
            steps: Draws {
                deviation: walk * share.sqrt(),
                rng,
            },
        }
    }
}

/// Adds the present truth to a component's running mean and variance, once per control step.
///
/// With n samples, δ = x − mean: mean ← mean + δ/n, variance ← variance + (δ (x − new mean) − variance)/n (Welford, Note
/// on a Method for Calculating Corrected Sums of Squares and Products, 1962). When n stops growing, it is an exponential
/// average.
fn weigh(instant: Instant, (component, truth): (usize, Var), samples: Var, new: &mut Memory) {
    let [mean, variance] = [Part::Mean, Part::Variance].map(|part| new.get(part)[component]);
    let share = samples.max(1.0).recip();
    let delta = truth - mean;
    let moved = mean + delta * share;
    let spread = variance + (delta * (truth - moved) - variance) * share;
    new.put(Part::Mean, component, instant.choose(mean, moved, mean));
    new.put(
        Part::Variance,
        component,
        instant.choose(variance, spread, variance),
    );
}
