//! Boundaries of ranges, and the worlds at them: which there are, who is where, and what is drawn there.

use super::adr::{Adr, Metric};
use super::distribution::Argument;
use super::entry::Timing;
use super::{Family, Randomization, Resolved, Source};
use crate::error::{Error, Result, unknown};
use crate::trace::{Bits, Mask, Var, select};

/// A side of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The lower edge.
    Low,
    /// The upper edge.
    High,
}

impl Side {
    /// Its name among metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
        }
    }
}

/// A side of an entry's range that can move.
#[derive(Clone, Debug, PartialEq)]
pub struct Boundary {
    /// The entry's name.
    pub entry: String,
    /// Which side.
    pub side: Side,
    /// The key of its number.
    pub key: String,
    /// The keys of both edges.
    pub(super) range: [String; 2],
    /// Where it began.
    pub(super) start: f64,
    /// Whether it moves by factors.
    pub(super) is_logarithmic: bool,
    /// Its number among the arguments of the distribution.
    argument: usize,
    /// The entry's place among all.
    index: usize,
}

/// The boundaries of a randomization, and what counts there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Boundaries {
    all: Vec<Boundary>,
    metric: Metric,
}

impl Family {
    /// The arguments that are the edges of its range, if it has one.
    fn edges(self) -> Option<[usize; 2]> {
        match self {
            Self::Uniform | Self::LogUniform => Some([0, 1]),
            Self::TruncatedNormal => Some([2, 3]),
            Self::Constant | Self::Normal | Self::Exponential | Self::Categorical => None,
        }
    }
}

impl Randomization {
    /// The same with boundaries that move. `rewards` are the names of the task's reward terms.
    ///
    /// # Errors
    /// Settings that make no sense, an entry whose range cannot move, limits that do not hold its range, an entry with
    /// `adr` without settings, or a metric that does not exist.
    pub fn with_adr(mut self, adr: Option<&Adr>, rewards: &[&str]) -> Result<Self> {
        let mut all = Vec::new();
        for (index, resolved) in self.entries.iter().enumerate() {
            let place = |error: Error| error.context(format!("randomize.{}", resolved.entry.name));
            all.extend(resolved.boundaries(index).map_err(place)?);
            if resolved.entry.adr.is_some() && adr.is_none() {
                let cause = Error::invalid("`adr` without [randomize.adr]");
                return Err(place(cause.hint(
                    "say there what is measured and when edges move: metric, low, high",
                )));
            }
        }
        if let Some(adr) = adr {
            let place = |error: Error| error.context("randomize.adr");
            adr.check().map_err(place)?;
            check_metric(&adr.metric, rewards).map_err(place)?;
            self.boundaries = Boundaries {
                all,
                metric: adr.metric.clone(),
            };
        }
        Ok(self)
    }

    /// The boundaries that automatic domain randomization moves. Boundary `i` is `i + 1` in the field `boundary`, where 0
    /// is none.
    pub fn boundaries(&self) -> &[Boundary] {
        &self.boundaries.all
    }

    /// What is measured at boundaries, and in the worlds that are at none.
    pub fn metric(&self) -> &Metric {
        &self.boundaries.metric
    }

    /// The boundary at which an episode that begins is held: 0 for none. Nothing where no range has one.
    pub(super) fn choose_boundary(&self, source: &dyn Source) -> Option<Bits> {
        let count = self.boundaries().len() as u32;
        (count > 0).then(|| {
            let share = source.number("randomize.adr.boundary_share");
            let mut rng = source.rng("boundary");
            let chosen = rng.bernoulli(share);
            select(chosen, rng.below(count) + 1, Bits::ZERO)
        })
    }

    /// A draw of an entry in a world at a boundary: the edge, if it is the entry's. `index` is the entry's place.
    pub(super) fn hold(
        &self,
        index: usize,
        boundary: Option<Bits>,
        arguments: &[Var],
        draw: Var,
    ) -> Var {
        let Some(boundary) = boundary else {
            return draw;
        };
        let own = (1..).zip(self.boundaries());
        let own = own.filter(|(_, own)| own.index == index);
        own.fold(draw, |draw, (code, own)| {
            select(boundary.eq(Bits::from(code)), arguments[own.argument], draw)
        })
    }

    /// Whether a world is at no boundary, or was drawn at the edge where that is now.
    pub fn is_current(&self, source: &dyn Source, draws: &[Var], boundary: Bits) -> Mask {
        (1..)
            .zip(self.boundaries())
            .fold(Mask::from(true), |current, (code, own)| {
                let drawn = draws[self.entries[own.index].first];
                current & (boundary.ne(Bits::from(code)) | drawn.eq(source.number(&own.key)))
            })
    }
}

impl Resolved {
    /// The edges that may move; `index` is the entry's place among all.
    fn boundaries(&self, index: usize) -> Result<Vec<Boundary>> {
        let entry = &self.entry;
        let Some(growth) = entry.adr.filter(|_| self.draws > 0) else {
            return Ok(Vec::new());
        };
        let family = entry.distribution.family;
        let Some(arguments) = family.edges() else {
            let cause = Error::invalid(format!("`adr` of {}, which has no edges", family.name()));
            return Err(cause.hint("it moves those of uniform, log_uniform and truncated_normal"));
        };
        let edges = arguments.map(|i| match entry.distribution.arguments[i] {
            Argument::Number(number) => Some(number),
            Argument::Drawn(_) => None,
        });
        let [Some(low), Some(high)] = edges else {
            let cause = Error::invalid("`adr` of a range that another entry draws");
            return Err(cause.hint("let it move that entry's range"));
        };
        if entry.timing == Timing::Startup {
            let cause = Error::invalid("`adr` with timing = \"startup\"");
            return Err(cause.hint("what is drawn once never sees an edge move: use \"reset\""));
        }
        if entry.probability.is_some() || entry.decay.is_some() {
            let cause = Error::invalid("`adr` with `probability` or `decay`");
            return Err(cause.hint("let it move the range of another entry, which this one reads"));
        }
        let [least, most] = growth.limits;
        let wrong = |what: String| {
            let range = format!(
                "adr = {{ limits = [{least}, {most}], step = {} }}",
                growth.step
            );
            Err(Error::invalid(what).hint(format!("the range begins as [{low}, {high}], {range}")))
        };
        if ![least, most, growth.step]
            .iter()
            .all(|x| (*x as f32).is_finite())
        {
            return wrong("`adr` takes finite numbers".into());
        }
        if growth.step <= 0.0 {
            return wrong(format!("`adr.step` is {}", growth.step));
        }
        if least > low || most < high {
            return wrong("`adr.limits` do not hold the range".into());
        }
        let is_logarithmic = family == Family::LogUniform;
        if is_logarithmic && least < f64::from(f32::MIN_POSITIVE) {
            return wrong("`adr.limits` of log_uniform are positive".into());
        }
        let range = arguments.map(|i| entry.argument_key(i));
        let sides = [(Side::Low, low, least), (Side::High, high, most)];
        let all = sides.into_iter().zip(arguments).zip(range.clone());
        Ok(all
            .filter(|(((_, start, limit), _), _)| start != limit)
            .map(|(((side, start, _), argument), key)| Boundary {
                entry: entry.name.clone(),
                side,
                key,
                range: range.clone(),
                start,
                is_logarithmic,
                argument,
                index,
            })
            .collect())
    }
}

fn check_metric(metric: &Metric, rewards: &[&str]) -> Result<()> {
    match metric {
        Metric::Reward(name) if !rewards.contains(&name.as_str()) => {
            Err(unknown("reward term", name, rewards.iter().copied()))
        }
        _ => Ok(()),
    }
}
