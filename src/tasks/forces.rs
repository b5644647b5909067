//! What contacts did over the substeps of a control step: to each link, and between each two geoms or links.
//!
//! Everything is summed in every substep while it is recorded; what no task reads is dropped from the kernel.

use crate::error::{Error, Result};
use crate::math::Vec3;
use crate::model::Model;
use crate::rigid::Forward;
use crate::rigid::collision;
use crate::trace::{Carry, Slot, Var};

/// What contacts did over the substeps of a control step: all of a link's, or those between two geoms or two links.
#[derive(Clone, Copy, Debug)]
pub struct ContactForce {
    /// Mean over the substeps of the sum of their forces, world axes, N.
    pub force: Vec3,
    /// Largest magnitude of that sum, N.
    pub max: Var,
}

/// Sum and maximum over the substeps of one force.
#[derive(Clone, Debug)]
struct Tally {
    /// N
    sum: Vec3,
    /// N
    max: Var,
}

impl Tally {
    const NONE: Self = Self {
        sum: Vec3::ZERO,
        max: Var::ZERO,
    };

    fn add(&mut self, force: Vec3) {
        self.sum += force;
        self.max = self.max.max(force.norm());
    }
}

impl Carry for Tally {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.sum.slots(visit);
        self.max.slots(visit);
    }
}

/// [`ContactForce`] of everything, before sums are divided.
#[derive(Clone)]
pub(crate) struct ContactForces {
    /// `[nbody]` On each body.
    bodies: Vec<Tally>,
    /// On the second of two geoms, for those that can touch.
    geoms: Vec<([usize; 2], Tally)>,
    /// On the second of two bodies with such geoms, the first having the smaller number.
    links: Vec<([usize; 2], Tally)>,
    substeps: Var,
}

impl ContactForces {
    /// No contacts, over no substeps.
    pub(crate) fn none(model: &Model) -> Self {
        let mut geoms: Vec<[usize; 2]> = Vec::new();
        let mut links: Vec<[usize; 2]> = Vec::new();
        for candidate in collision::candidates(model) {
            let bodies = sorted(candidate.geoms.map(|geom| model.geom_bodyid[geom]));
            for (pairs, pair) in [(&mut geoms, candidate.geoms), (&mut links, bodies)] {
                if !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
        }
        let tallied = |pairs: Vec<[usize; 2]>| -> Vec<_> {
            pairs.into_iter().map(|pair| (pair, Tally::NONE)).collect()
        };
        Self {
            bodies: vec![Tally::NONE; model.nbody],
            geoms: tallied(geoms),
            links: tallied(links),
            substeps: Var::ZERO,
        }
    }

    /// Adds those at the start of a substep.
    pub(crate) fn add(&mut self, model: &Model, start: &Forward) {
        for (body, tally) in self.bodies.iter_mut().enumerate().skip(1) {
            tally.add(start.contact_wrench(model, body, Vec3::ZERO).lin);
        }
        let mut on_second = vec![Vec3::ZERO; self.geoms.len()];
        for contact in start.contacts() {
            let pair = self
                .geoms
                .iter()
                .position(|(pair, _)| *pair == contact.geoms);
            if let Some(pair) = pair {
                on_second[pair] += contact.world_force();
            }
        }
        let mut between = vec![Vec3::ZERO; self.links.len()];
        for ((pair, tally), &force) in self.geoms.iter_mut().zip(&on_second) {
            tally.add(force);
            let bodies = pair.map(|geom| model.geom_bodyid[geom]);
            let link = self
                .links
                .iter()
                .position(|(pair, _)| *pair == sorted(bodies));
            if let Some(link) = link {
                between[link] += if bodies[0] < bodies[1] { force } else { -force };
            }
        }
        for ((_, tally), &force) in self.links.iter_mut().zip(&between) {
            tally.add(force);
        }
        self.substeps += 1.0;
    }

    /// That of all contacts on a body.
    pub(super) fn of(&self, body: usize) -> ContactForce {
        self.mean(&self.bodies[body], 1.0)
    }

    /// That on a geom by the contacts with another.
    pub(super) fn of_geoms(&self, on: usize, from: usize) -> Result<ContactForce> {
        self.of_pair(&self.geoms, on, from)
            .ok_or_else(|| apart("geoms"))
    }

    /// That on a body by the contacts with another.
    pub(super) fn of_links(&self, on: usize, from: usize) -> Result<ContactForce> {
        self.of_pair(&self.links, on, from)
            .ok_or_else(|| apart("links"))
    }

    fn of_pair(
        &self,
        pairs: &[([usize; 2], Tally)],
        on: usize,
        from: usize,
    ) -> Option<ContactForce> {
        let wanted = sorted([on, from]);
        let (pair, tally) = pairs.iter().find(|(pair, _)| sorted(*pair) == wanted)?;
        let sign = if pair[1] == on { 1.0 } else { -1.0 };
        Some(self.mean(tally, sign))
    }

    fn mean(&self, tally: &Tally, sign: f64) -> ContactForce {
        ContactForce {
            force: tally.sum * (sign * self.substeps.max(1.0).recip()),
            max: tally.max,
        }
    }
}

impl Carry for ContactForces {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.bodies.slots(visit);
        for (_, tally) in self.geoms.iter_mut().chain(&mut self.links) {
            tally.slots(visit);
        }
        self.substeps.slots(visit);
    }
}

fn sorted([a, b]: [usize; 2]) -> [usize; 2] {
    [a.min(b), a.max(b)]
}

fn apart(what: &str) -> Error {
    Error::invalid(format!("these {what} never touch")).hint(
        "look at contype, conaffinity, <exclude>, and that they are not of one body or of parent and child",
    )
}
