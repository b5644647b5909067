//! Contacts: the parameters that two geoms share, the softness of each point, and what it does to a link
//! (`mj_collision`'s parameters, `mj_instantiateContact`, `mj_contactForce`).
//!
//! A contact with friction is a pyramid of edges: with the normal n and friction directions t_k of coefficient μ_k,
//! the rows `n ± μ_k t_k`, each one-sided and of the same regularization. All edges of a contact ask for one
//! acceleration of its point: with the relative velocity v there, `c = −b v − k d (distance − margin) n`. So the edges
//! that push make a stiffness of the relative motion at the point, a symmetric 6 × 6, and a force that is this
//! stiffness times c: no row of a Jacobian is ever formed.

use crate::math::{Articulated, Force, MIN_VALUE, Mat3, Motion, Sym3, Vec3};
use crate::model::{Geom, Model};
use crate::trace::{Bits, Carry, Mask, Slot, Var, select, when};

use super::Context;
use super::collision::{self, Candidate, Point, Shape};
use super::constraint::{Constraints, Law, Softness};
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
    /// Inverse regularization D of every edge.
    stiffness: Var,
    /// b
    pub damping: Var,
    /// k d (distance − margin), m/s².
    spring: Var,
}

/// What two geoms share.
#[derive(Clone)]
struct Shared {
    friction: [Var; 5],
    softness: Softness,
    margin: Var,
    gap: Var,
    /// Sums of both bodies' inverse inertias at `qpos0`: translation, rotation.
    inverse_weight: [Var; 2],
}

impl Carry for Shared {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.friction.slots(visit);
        self.softness.solref.slots(visit);
        self.softness.solimp.slots(visit);
        self.margin.slots(visit);
        self.gap.slots(visit);
        self.inverse_weight.slots(visit);
    }
}

/// The number of rows of a contact under the pyramidal cone.
pub(super) fn edges(dim: usize) -> usize {
    if dim == 1 { 1 } else { 2 * (dim - 1) }
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

/// A possible contact between two links, relative to the origin that they share.
#[derive(Clone)]
pub(super) struct Guest {
    pub dim: usize,
    pub geoms: [usize; 2],
    /// Its number among all of them.
    pub index: Bits,
    /// The links of the first and the second geom.
    pub links: [Bits; 2],
    /// Distance less margin.
    pub violation: Var,
    point: Point,
    shared: Shared,
}

impl Carry for Guest {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.index.slots(visit);
        self.links.slots(visit);
        self.violation.slots(visit);
        self.point.slots(visit);
        self.shared.slots(visit);
    }
}

impl Guest {
    /// The same parameters, and no contact.
    pub(super) fn absent(&self) -> Self {
        let axes = Mat3::identity().columns();
        Self {
            index: Bits::from(u32::MAX),
            violation: collision::ABSENT.into(),
            point: absent(axes),
            ..self.clone()
        }
    }

    /// As a contact whose second geom's link moves.
    pub(super) fn touch(&self, cx: &Context<'_>) -> Touch {
        touch(
            cx,
            (self.geoms, self.dim),
            (0, true),
            self.point,
            &self.shared,
        )
    }
}

fn absent(frame: [Vec3; 3]) -> Point {
    Point {
        distance: collision::ABSENT.into(),
        pos: Vec3::ZERO,
        frame,
    }
}

/// All possible contacts between two links.
pub(super) fn between(cx: &Context<'_>, at: &Kinematics) -> Vec<Guest> {
    let origin = common_origin(cx, at);
    let mut all = Vec::new();
    for candidate in candidates(cx.model) {
        let bodies = candidate.geoms.map(|geom| cx.model.geom_bodyid[geom]);
        let [Some(first), Some(second)] = bodies.map(|body| cx.tree.body_link[body]) else {
            continue;
        };
        let shapes = candidate.geoms.map(|geom| shape(cx, at, geom, origin));
        let shared = shared(cx, &candidate);
        let several = cx.model.opt.flags.multiccd;
        for point in nearby(&shapes, shared.margin + shared.gap, several) {
            all.push(Guest {
                dim: candidate.condim,
                geoms: candidate.geoms,
                index: Bits::from(all.len() as u32),
                links: [first, second].map(|link| Bits::from(link as u32)),
                violation: point.distance - shared.margin,
                point,
                shared: shared.clone(),
            });
        }
    }
    all
}

/// The origin that contacts between links are relative to.
pub(super) fn common_origin(cx: &Context<'_>, at: &Kinematics) -> Vec3 {
    let first = cx.tree.links.first();
    first.map_or(Vec3::ZERO, |link| at.origin[link.body])
}

/// The contact points of two shapes, computed only where the balls around them are within reach.
fn nearby(shapes: &[Shape; 2], reach: Var, several: bool) -> Vec<Point> {
    let [a, b] = shapes;
    if [a.kind, b.kind] == [Geom::Sphere; 2] {
        return collision::collide(a, b, reach, several);
    }
    let radius = |shape: &Shape| match shape.kind {
        Geom::Sphere => shape.size[0],
        Geom::Capsule => shape.size[0] + shape.size[1],
        _ => Vec3::from(shape.size).norm(),
    };
    let reaching = radius(a) + radius(b) + reach;
    let near = (a.pos - b.pos).norm_squared().lt(reaching.square());
    let count = collision::points(a.kind, b.kind, several).unwrap_or(0);
    let none = vec![absent(Mat3::identity().columns()); count];
    when(near, none, |_| collision::collide(a, b, reach, several))
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
) -> Vec<Contact> {
    let told = |touch: &Touch, origin: Vec3, force: [Var; 6]| Contact {
        geoms: touch.geoms,
        dim: touch.dim,
        distance: touch.distance,
        pos: origin + touch.pos,
        frame: touch.frame,
        detected: touch.detected,
        included: touch.present,
        force,
    };
    let (touches, slots) = (&constraints.touches, &constraints.slots);
    let (own, in_slots) = forces.split_at(touches.len());
    let origin = |link: usize| at.origin[cx.tree.links[link].body];
    let mut all: Vec<Contact> = touches
        .iter()
        .zip(own)
        .map(|(touch, &force)| told(touch, origin(touch.link), force))
        .collect();
    for (index, touch) in slots.all.iter().enumerate() {
        // In whichever slot it stands, if it has one.
        let mut sum = [Var::ZERO; 6];
        for (slot, force) in slots.slots.iter().zip(in_slots) {
            if slot.touch.dim == touch.dim {
                let here = slot.index.eq(index as u32);
                let part = |k: usize| sum[k] + select(here, force[k], Var::ZERO);
                sum = std::array::from_fn(part);
            }
        }
        all.push(told(touch, origin(0), sum));
    }
    all
}

/// How many contacts [`Forward::contacts`](super::Forward::contacts) has for a model.
pub fn count(model: &Model) -> usize {
    let all = candidates(model);
    all.iter()
        .map(|candidate| point_count(model, candidate))
        .sum()
}

/// Whether one of the geoms is fixed in the world.
fn is_touch(model: &Model, candidate: &Candidate) -> bool {
    candidate
        .geoms
        .iter()
        .any(|&geom| model.body_weldid[model.geom_bodyid[geom]] == 0)
}

/// How many rows the contacts of links with the static world can have at most.
pub(super) fn capacity(model: &Model) -> usize {
    let rows = |candidate: &Candidate| edges(candidate.condim) * point_count(model, candidate);
    let all = candidates(model);
    let touches = all.iter().filter(|candidate| is_touch(model, candidate));
    touches.map(rows).sum()
}

/// The pairs of geoms that can touch.
fn candidates(model: &Model) -> Vec<Candidate> {
    let mut candidates = collision::candidates(model);
    candidates.retain(|candidate| {
        let [a, b] = candidate.geoms.map(|geom| model.geom_type[geom]);
        collision::points(a, b, false).is_some()
    });
    candidates
}

/// A geom's shape relative to a given origin. That of its own tree costs nothing.
fn shape(cx: &Context<'_>, at: &Kinematics, geom: usize, origin: Vec3) -> Shape {
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
fn shared(cx: &Context<'_>, candidate: &Candidate) -> Shared {
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
/// by `1 + μ²` (`mj_diagApprox`, `mj_makeImpedance`).
fn touch(
    cx: &Context<'_>,
    (geoms, dim): ([usize; 2], usize),
    (link, is_second): (usize, bool),
    point: Point,
    shared: &Shared,
) -> Touch {
    let violation = point.distance - shared.margin;
    let law = Law::new(cx, &shared.softness, violation);
    let translation = shared.inverse_weight[0];
    let stiffness = if dim == 1 {
        law.strength(translation)
    } else {
        let squared = shared.friction[0].square();
        law.strength(translation * (1.0 + squared)) / (2.0 * squared / cx.model.opt.impratio)
    };
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

impl Touch {
    /// The axes of the contact frame such that a force along them acts on the link.
    fn axes(&self) -> [Vec3; 3] {
        if self.is_second {
            self.frame
        } else {
            self.frame.map(|axis| -axis)
        }
    }

    /// The stiffness about the origin of the edges that push, and the force that it exerts at zero acceleration,
    /// given `−c` as a motion of the link but for the spring's part.
    ///
    /// The edges of direction k with `s = D₊ + D₋` and `e = μ (D₊ − D₋)` are
    /// `s n nᵀ + μ² s t tᵀ + e (n tᵀ + t nᵀ)`.
    pub(super) fn load(&self, pushes: &[Mask], drift: Motion) -> (Articulated, Force) {
        let strength = |edge: usize| select(pushes[edge], self.stiffness, Var::ZERO);
        let [n, t1, t2] = self.axes();
        let (mut normal, mut with_normal, mut with_spin) = (Var::ZERO, Vec3::ZERO, Vec3::ZERO);
        let (mut lin, mut ang) = (Sym3::zero(), Sym3::zero());
        if self.dim == 1 {
            normal = strength(0);
        }
        for (k, axis) in [t1, t2, n, t1, t2]
            .into_iter()
            .enumerate()
            .take(self.dim - 1)
        {
            let (plus, minus, mu) = (strength(2 * k), strength(2 * k + 1), self.friction[k]);
            let (own, shared) = ((plus + minus) * mu.square(), (plus - minus) * mu);
            normal += plus + minus;
            if k < 2 {
                // The part n tᵀ + t nᵀ is added below.
                lin = lin + Sym3::outer_scaled(axis * own, axis);
                with_normal += axis * shared;
            } else {
                ang = ang + Sym3::outer_scaled(axis * own, axis);
                with_spin += axis * shared;
            }
        }
        let across = Sym3::outer_scaled(n, with_normal) + Sym3::outer_scaled(with_normal, n);
        lin = lin + Sym3::outer_scaled(n * normal, n) + across;
        let cross = Mat3::from_columns(with_spin * n.x, with_spin * n.y, with_spin * n.z);
        let about_point = Articulated { ang, cross, lin };
        let force = about_point * Motion::new(drift.ang, drift.at(self.pos) + n * self.spring);
        (
            about_point.about_origin(self.pos),
            Force::acting_at(self.pos, force.ang, force.lin),
        )
    }

    /// The parts of a motion, relative to the origin, in the contact's directions: the normal and the friction's.
    pub(super) fn along(&self, motion: Motion) -> Vec<Var> {
        let [n, t1, t2] = self.axes();
        let lin = motion.at(self.pos);
        let along = |k: usize| match k {
            0 => n.dot(lin),
            1 => t1.dot(lin),
            2 => t2.dot(lin),
            3 => n.dot(motion.ang),
            4 => t1.dot(motion.ang),
            _ => t2.dot(motion.ang),
        };
        (0..self.dim).map(along).collect()
    }

    /// How far each edge exceeds its reference acceleration, given the accelerations in the contact's directions less
    /// `c` but for the spring's part; and the size of the terms.
    pub(super) fn residuals_of(&self, excess: &[Var]) -> (Vec<Var>, Var) {
        let normal = excess[0] + self.spring;
        let mut size = excess[0].abs() + self.spring.abs();
        if self.dim == 1 {
            return (vec![normal], size);
        }
        let mut edges = Vec::new();
        for (&along, &mu) in excess[1..].iter().zip(&self.friction) {
            let slip = along * mu;
            edges.extend([normal + slip, normal - slip]);
            size += slip.abs();
        }
        (edges, size)
    }

    /// Which edges should push, given which do. `slack` is the part of the terms' size by which a residual must be on
    /// the other side.
    pub(super) fn wanted(&self, excess: &[Var], pushes: &[Mask], slack: Var) -> Vec<Mask> {
        let (edges, size) = self.residuals_of(excess);
        let band = slack * size;
        edges
            .iter()
            .zip(pushes)
            .map(|(residual, &pushing)| residual.lt(select(pushing, band, -band)))
            .collect()
    }

    /// The force in the contact frame.
    pub(super) fn force(&self, excess: &[Var], pushes: &[Mask]) -> [Var; 6] {
        let (edges, _) = self.residuals_of(excess);
        let pushes = edges.iter().zip(pushes);
        let push: Vec<Var> = pushes
            .map(|(&residual, &pushing)| select(pushing, -residual * self.stiffness, Var::ZERO))
            .collect();
        let mut force = [Var::ZERO; 6];
        force[0] = push.iter().copied().sum();
        for k in 0..self.dim - 1 {
            force[k + 1] = (push[2 * k] - push[2 * k + 1]) * self.friction[k];
        }
        force
    }

    /// The regularization R of every edge.
    pub(super) fn softness(&self) -> Var {
        self.stiffness.max(MIN_VALUE).recip()
    }

    /// A force in the contact frame as a wrench on the link about the origin of its tree.
    pub(super) fn wrench(&self, force: &[Var; 6]) -> Force {
        let [n, t1, t2] = self.axes();
        let turned = |k: usize| n * force[k] + t1 * force[k + 1] + t2 * force[k + 2];
        Force::acting_at(self.pos, turned(3), turned(0))
    }
}
