//! Contacts: which geoms may touch, the parameters that two geoms share, and the softness of each point
//! (`mj_collision`'s parameters, `mj_instantiateContact`). What a contact does to a link is its cone's matter.

use crate::math::{Force, MIN_VALUE, Vec3};
use crate::model::{Cone, Model};
use crate::trace::{Bits, Carry, Mask, Slot, Var, select};

use super::Context;
use super::collision::{self, Candidate, Point, Shape};
use super::cone::state_bits;
use super::constraint::{Constraints, Law, Softness};
use super::elliptic::Elliptic;
use super::guest;
use super::kinematics::Kinematics;

/// The smallest coefficient of friction (`mjMINMU`).
const MIN_FRICTION: f64 = 1e-5;

/// A point where two geoms may touch, and the force there.
#[derive(Clone, Debug)]
pub struct Contact {
    /// The two geoms.
    pub geoms: [usize; 2],
    /// Contact dimension: 1, 3, 4 or 6.
    pub dim: usize,
    /// Distance between the surfaces, m: negative in penetration, huge where there is no such point.
    pub distance: Var,
    /// Midpoint between the surfaces in the world, m.
    pub pos: Vec3,
    /// Axes of the contact frame in the world: normal, from the first geom to the second, and two tangents.
    pub frame: [Vec3; 3],
    /// Whether MuJoCo lists it: the distance is below margin plus gap.
    pub detected: Mask,
    /// Whether it is a constraint: the distance is below the margin.
    pub included: Mask,
    /// Force and torque on the second geom in the contact frame, N and N·m (`mj_contactForce`).
    pub force: [Var; 6],
}

impl Contact {
    /// Force on the second geom, world axes, N.
    pub fn world_force(&self) -> Vec3 {
        let [x, y, z] = self.frame;
        x * self.force[0] + y * self.force[1] + z * self.force[2]
    }

    /// Torque on the second geom at `pos` besides that of the force, world axes, N·m.
    pub fn world_torque(&self) -> Vec3 {
        let [x, y, z] = self.frame;
        x * self.force[3] + y * self.force[4] + z * self.force[5]
    }
}

/// A possible contact of a link with the static world.
#[derive(Clone, Debug)]
pub(super) struct Touch {
    pub geoms: [usize; 2],
    pub dim: usize,
    /// The link that moves.
    pub link: usize,
    /// Whether the link carries the second geom.
    pub is_second: bool,
    /// Position relative to the origin of the link's tree.
    pub pos: Vec3,
    pub distance: Var,
    pub frame: [Vec3; 3],
    pub detected: Mask,
    pub present: Mask,
    /// Coefficients in the friction directions: two tangents, spin, two rolls.
    pub friction: [Var; 5],
    /// Inverse regularization D of every edge; of the normal of an elliptic cone.
    pub stiffness: Var,
    /// b
    pub damping: Var,
    /// k d (distance − margin), m/s².
    pub spring: Var,
    /// Its cone, if that is elliptic.
    pub elliptic: Option<Elliptic>,
}

/// What two geoms share.
#[derive(Clone)]
pub(super) struct Shared {
    pub friction: [Var; 5],
    pub softness: Softness,
    /// `solref` of the friction directions of an elliptic cone, where it has one of its own.
    pub slip_solref: Option<[Var; 2]>,
    pub margin: Var,
    pub gap: Var,
    /// Sums of both bodies' inverse inertias at `qpos0`: translation, rotation.
    pub inverse_weight: [Var; 2],
}

impl Carry for Shared {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.friction.slots(visit);
        self.softness.solref.slots(visit);
        self.softness.solimp.slots(visit);
        self.slip_solref.slots(visit);
        self.margin.slots(visit);
        self.gap.slots(visit);
        self.inverse_weight.slots(visit);
    }
}

/// All possible contacts of links with the static world, in MuJoCo's order.
pub(super) fn touches(cx: &Context<'_>, at: &Kinematics) -> Vec<Touch> {
    let mut touches = Vec::new();
    for candidate in candidates(cx.model) {
        let bodies = candidate.geoms.map(|geom| cx.model.geom_bodyid[geom]);
        let (link, is_second) = match bodies.map(|body| cx.tree.body_link[body]) {
            [None, Some(link)] => (link, true),
            [Some(link), None] => (link, false),
            _ => continue,
        };
        let origin = at.origin[cx.tree.links[link].body];
        let shapes = candidate.geoms.map(|geom| shape(cx, at, geom, origin));
        let shared = shared(cx, &candidate);
        let reach = shared.margin + shared.gap;
        let several = cx.model.opt.flags.multiccd;
        for point in collision::collide(&shapes[0], &shapes[1], reach, several) {
            touches.push(touch(
                cx,
                (candidate.geoms, candidate.condim),
                (link, is_second),
                point,
                &shared,
            ));
        }
    }
    touches
}

/// How many possible contacts of a dimension there are between two links.
pub(super) fn count_between(model: &Model, dim: usize) -> usize {
    let all = candidates(model);
    let chosen = all
        .iter()
        .filter(|candidate| !is_touch(model, candidate) && candidate.condim == dim);
    chosen.map(|candidate| point_count(model, candidate)).sum()
}

/// How many points a candidate has.
fn point_count(model: &Model, candidate: &Candidate) -> usize {
    let [a, b] = candidate.geoms.map(|geom| model.geom_type[geom]);
    collision::points(a, b, model.opt.flags.multiccd).unwrap_or(0)
}

/// The contacts with their forces in their frames, as they are told to the outside.
pub(super) fn contacts(
    cx: &Context<'_>,
    at: &Kinematics,
    constraints: &Constraints,
    forces: &[[Var; 6]],
) -> Contacts {
    let (touches, slots) = (&constraints.touches, &constraints.slots);
    let (own, in_slots) = forces.split_at(touches.len());
    let grounded = touches.iter().zip(own).map(|(touch, &force)| {
        let body = cx.tree.links[touch.link].body;
        told(touch, at.origin[body], force)
    });
    let slotted = slots.slots.iter().zip(in_slots);
    let pressing = slotted.map(|(slot, &force)| {
        let contact = told(&slot.touch, slot.origin, force);
        Pressing {
            bodies: slot.bodies,
            pos: contact.pos,
            force: contact.world_force(),
            torque: contact.world_torque(),
        }
    });
    let between = slots.all.iter().map(|(index, touch)| {
        // In whichever slot it stands, if it has one.
        let mut sum = [Var::ZERO; 6];
        for (slot, force) in slots.slots.iter().zip(in_slots) {
            if slot.touch.dim == touch.dim {
                let here = slot.index.eq(*index);
                let part = |k: usize| sum[k] + select(here, force[k], Var::ZERO);
                sum = std::array::from_fn(part);
            }
        }
        let first = cx.model.geom_bodyid[touch.geoms[0]];
        told(touch, at.origin[first], sum)
    });
    let grounded: Vec<Contact> = grounded.collect();
    let listed = grounded.iter().map(|contact| guest::flag(contact.detected));
    Contacts {
        detected: listed.fold(slots.detected, |sum, one| sum + one),
        pressing: pressing.collect(),
        on_ground: grounded.len(),
        all: grounded.into_iter().chain(between).collect(),
    }
}

fn told(touch: &Touch, origin: Vec3, force: [Var; 6]) -> Contact {
    Contact {
        geoms: touch.geoms,
        dim: touch.dim,
        distance: touch.distance,
        pos: origin + touch.pos,
        frame: touch.frame,
        detected: touch.detected,
        included: touch.present,
        force,
    }
}

/// All contacts of a state.
#[derive(Clone, Debug)]
pub(super) struct Contacts {
    /// Every point where geoms may touch: with the static world first.
    pub all: Vec<Contact>,
    /// How many of them MuJoCo lists.
    pub detected: Bits,
    /// How many of them are with the static world.
    on_ground: usize,
    /// The contacts between links that have slots.
    pressing: Vec<Pressing>,
}

/// A contact between two links, whichever they are.
#[derive(Clone, Debug)]
struct Pressing {
    bodies: [Bits; 2],
    /// In the world.
    pos: Vec3,
    /// On the second body, world axes.
    force: Vec3,
    /// On the second body, world axes.
    torque: Vec3,
}

impl Contacts {
    /// The wrench of all of them on a body about a point in the world, world axes.
    ///
    /// Contacts between links are summed over the slots, which are few, and not over all that are possible.
    pub(super) fn wrench(&self, model: &Model, body: usize, about: Vec3) -> Force {
        let mut sum = Force::ZERO;
        for contact in &self.all[..self.on_ground] {
            let [first, second] = contact.geoms.map(|geom| model.geom_bodyid[geom] == body);
            if first || second {
                let (torque, force) = (contact.world_torque(), contact.world_force());
                let wrench = Force::acting_at(contact.pos - about, torque, force);
                sum += if second { wrench } else { -wrench };
            }
        }
        for Pressing {
            bodies,
            pos,
            force,
            torque,
        } in &self.pressing
        {
            let [first, second] =
                bodies.map(|own| select(own.eq(body as u32), Var::ONE, Var::ZERO));
            let sign = second - first;
            if !sign.is_zero() {
                sum += Force::acting_at(*pos - about, *torque, *force) * sign;
            }
        }
        sum
    }
}

/// How many contacts [`Forward::contacts`](super::Forward::contacts) has for a model.
pub fn count(model: &Model) -> usize {
    let all = candidates(model);
    all.iter()
        .map(|candidate| point_count(model, candidate))
        .sum()
}

/// Whether one of the geoms is fixed in the world or to a mocap body.
fn is_touch(model: &Model, candidate: &Candidate) -> bool {
    candidate
        .geoms
        .iter()
        .any(|&geom| model.body_treeid[model.geom_bodyid[geom]].is_none())
}

/// Whether contacts with friction have elliptic cones.
pub(super) fn is_elliptic(model: &Model) -> bool {
    model.opt.cone == Cone::Elliptic
}

/// How many bits the states of the contacts of links with the static world take.
pub(super) fn capacity(model: &Model) -> usize {
    let rows = |candidate: &Candidate| {
        state_bits(candidate.condim, is_elliptic(model)) * point_count(model, candidate)
    };
    let all = candidates(model);
    let touches = all.iter().filter(|candidate| is_touch(model, candidate));
    touches.map(rows).sum()
}

/// The pairs of geoms that can touch.
pub(super) fn candidates(model: &Model) -> Vec<Candidate> {
    let mut candidates = collision::candidates(model);
    candidates.retain(|candidate| {
        let [a, b] = candidate.geoms.map(|geom| model.geom_type[geom]);
        collision::points(a, b, false).is_some()
    });
    candidates
}

/// A geom's shape relative to a given origin. That of its own tree costs nothing.
pub(super) fn shape(cx: &Context<'_>, at: &Kinematics, geom: usize, origin: Vec3) -> Shape {
    let frame = at.geom(cx.model, cx.parameters, geom);
    let own = at.origin[cx.model.geom_bodyid[geom]];
    Shape {
        kind: cx.model.geom_type[geom],
        size: cx.parameters.geom_size[geom].to_array(),
        pos: frame.offset + (own - origin),
        mat: frame.mat,
    }
}

/// The parameters of a pair of geoms (`mj_contactParam`): its own, those of the geom with priority, or mixed.
pub(super) fn shared(cx: &Context<'_>, candidate: &Candidate) -> Shared {
    let (model, parameters) = (cx.model, cx.parameters);
    let [a, b] = candidate.geoms;
    let weight = |k: usize| {
        let of = |geom: usize| parameters.body_invweight0[model.geom_bodyid[geom]][k];
        of(a) + of(b)
    };
    let inverse_weight = [weight(0), weight(1)];
    if candidate.pair.is_some() || model.opt.flags.override_contacts {
        return Shared {
            friction: candidate.friction.map(Var::from),
            softness: Softness {
                solref: candidate.solref.map(Var::from),
                solimp: candidate.solimp.map(Var::from),
            },
            slip_solref: Some(candidate.solreffriction)
                .filter(|given| *given != [0.0; 2])
                .map(|given| given.map(Var::from)),
            margin: candidate.margin.into(),
            gap: candidate.gap.into(),
            inverse_weight,
        };
    }
    let (friction, softness) = match model.geom_priority[a].cmp(&model.geom_priority[b]) {
        std::cmp::Ordering::Less => own(cx, b),
        std::cmp::Ordering::Greater => own(cx, a),
        std::cmp::Ordering::Equal => mixed(cx, a, b),
    };
    let [slide, spin, roll] = friction;
    Shared {
        friction: [slide, slide, spin, roll, roll].map(|mu| mu.max(MIN_FRICTION)),
        softness,
        slip_solref: None,
        margin: parameters.geom_margin[a] + parameters.geom_margin[b],
        gap: parameters.geom_gap[a] + parameters.geom_gap[b],
        inverse_weight,
    }
}

fn own(cx: &Context<'_>, geom: usize) -> ([Var; 3], Softness) {
    let softness = Softness {
        solref: cx.parameters.geom_solref[geom],
        solimp: cx.parameters.geom_solimp[geom],
    };
    (cx.parameters.geom_friction[geom], softness)
}

/// The larger friction; softness as a mean weighted by `solmix`, the smaller `solref` where it is not in the
/// standard format.
fn mixed(cx: &Context<'_>, a: usize, b: usize) -> ([Var; 3], Softness) {
    let ((friction_a, soft_a), (friction_b, soft_b)) = (own(cx, a), own(cx, b));
    let (x, y) = (cx.parameters.geom_solmix[a], cx.parameters.geom_solmix[b]);
    let (no_x, no_y) = (x.lt(MIN_VALUE), y.lt(MIN_VALUE));
    let one_sided = select(no_x, Var::ZERO, Var::ONE);
    let part = select(
        no_x & no_y,
        Var::from(0.5),
        select(no_x | no_y, one_sided, x / (x + y).max(MIN_VALUE)),
    );
    let mean = |a: Var, b: Var| part * a + (1.0 - part) * b;
    let standard = soft_a.solref[0].gt(0.0) & soft_b.solref[0].gt(0.0);
    let solref = |k: usize| {
        let (a, b) = (soft_a.solref[k], soft_b.solref[k]);
        select(standard, mean(a, b), a.min(b))
    };
    let softness = Softness {
        solref: [solref(0), solref(1)],
        solimp: std::array::from_fn(|k| mean(soft_a.solimp[k], soft_b.solimp[k])),
    };
    (
        std::array::from_fn(|k| friction_a[k].max(friction_b[k])),
        softness,
    )
}

/// The constraint of one point.
///
/// The regularization of an edge is `2 μ² R` with the first tangent's μ and R, that of a frictionless contact scaled
/// by `1 + μ²`; the normal of an elliptic cone has a frictionless contact's (`mj_diagApprox`, `mj_makeImpedance`).
pub(super) fn touch(
    cx: &Context<'_>,
    (geoms, dim): ([usize; 2], usize),
    (link, is_second): (usize, bool),
    point: Point,
    shared: &Shared,
) -> Touch {
    let violation = point.distance - shared.margin;
    let law = Law::new(cx, &shared.softness, violation);
    let translation = shared.inverse_weight[0];
    let impratio = cx.model.opt.impratio;
    let has_ellipse = dim > 1 && is_elliptic(cx.model);
    let stiffness = if dim == 1 || has_ellipse {
        law.strength(translation)
    } else {
        let squared = shared.friction[0].square();
        law.strength(translation * (1.0 + squared)) / (2.0 * squared / impratio)
    };
    let elliptic = has_ellipse.then(|| {
        let slip = shared.slip_solref.map(|solref| Softness {
            solref,
            ..shared.softness.clone()
        });
        let mut cone = Elliptic::new(&shared.friction[..dim - 1], stiffness, impratio);
        cone.slip_damping = slip.map(|softness| Law::new(cx, &softness, violation).damping);
        cone
    });
    Touch {
        geoms,
        dim,
        link,
        is_second,
        pos: point.pos,
        distance: point.distance,
        frame: tidy(point.frame),
        detected: violation.lt(shared.gap),
        present: violation.lt(0.0),
        friction: shared.friction,
        stiffness,
        damping: law.damping,
        spring: law.stiffness * law.impedance * violation,
        elliptic,
    }
}

/// Tangents without the components along a constant normal that is a coordinate axis: they are zero, and as constants
/// they fold.
fn tidy(frame: [Vec3; 3]) -> [Vec3; 3] {
    let [normal, ..] = frame;
    let is_axis = |n: [f64; 3]| n.iter().filter(|&&x| x == 0.0).count() == 2;
    match normal.as_constant() {
        Some(n) if is_axis(n) => {
            let across = |tangent: Vec3| {
                let x = tangent.to_array();
                let kept = |k: usize| if n[k] == 0.0 { x[k] } else { Var::ZERO };
                Vec3::from(std::array::from_fn(kept))
            };
            [normal, across(frame[1]), across(frame[2])]
        }
        _ => frame,
    }
}
