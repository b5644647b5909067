//! Equality constraints: `connect`, `weld` and `joint` (`mj_instantiateEquality`, and their part of `mj_diagApprox`,
//! `mj_makeImpedance` and `mj_referenceConstraint`).
//!
//! Their rows hold both ways and always, so each is a spring with damper: it asks for the acceleration `aref` along
//! its Jacobian J and pushes with `D (aref − J qacc)`, whatever the sign. Rows of one constraint share an impedance,
//! that of the length of their violations. A constraint that is switched off ([`State::eq_active`]) has no such rows in
//! MuJoCo; here `D` and `aref` are zero, and so is all that they add to the problem: exactly, for nothing is divided by D.
//!
//! A connection holds two points together: its violation is their difference, its Jacobian that of their relative
//! velocity. A weld holds two frames together, with the unit quaternions p (of the first, turned by the relative pose)
//! and q: the violation is s times the vector part of `c = q* p`, with the torque scale s. At the relative angular
//! velocity ω it changes by `½ s vec(q* ω p) = ½ s vec((q* ω q) c) = ½ s (c_w ω' + ω' × c_v)` with `ω' = Rᵀ ω` in the
//! second frame, so its Jacobian is `G = ½ s (c_w − [c_v]×) Rᵀ` times that of ω.
//!
//! The reference acceleration of connections and welds accounts for the change of their Jacobian, `aref = −b J qvel −
//! k d pos − J̇ qvel`. The last term is the second derivative of the violation where qacc is zero: the relative
//! acceleration of the points, and `s vec(c̈) = G (α − ω_q × ω) − ¼ s |ω|² c_v` with the relative angular acceleration α
//! and the second frame's velocity ω_q.
//!
//! Rows between a link and the static world are a stiffness of that link, a symmetric 6 × 6; a row of a single joint
//! adds to the joint's block. Both are part of what is factored, at no extra cost. Rows between two links or joints
//! couple branches, see [`coupling`].

use crate::math::{Articulated, Force, Mat3, Motion, Quat, Sym3, Vec3};
use crate::model::{self, Model, Object};
use crate::trace::{Mask, Var, select};

use super::Context;
use super::articulated::{JointBlocks, Loads, Response};
use super::constraint::{Law, Softness};
use super::coupling::{self, Coupling, dot};
use super::kinematics::{Frame, Kinematics};
use super::state::State;
use super::tree::Tree;
use super::velocity::{Velocity, ground, velocity};

/// The rows of an equality constraint (`efc_*` in MuJoCo): three of a connection, translation and rotation of a weld,
/// one of a joint. Where the constraint is switched off, MuJoCo has none, and `stiffness`, `aref` and `force` are zero.
#[derive(Clone, Debug)]
pub struct Equality {
    /// Which of the model's constraints it is.
    pub id: usize,
    /// Violation of each row, m or rad (`efc_pos`).
    pub pos: Vec<Var>,
    /// `[rows][nv]` Jacobian (`efc_J`).
    pub jacobian: Vec<Vec<Var>>,
    /// Inverse regularization of each row (`efc_D`).
    pub stiffness: Vec<Var>,
    /// Reference acceleration of each row, m/s² or rad/s² (`efc_aref`).
    pub aref: Vec<Var>,
    /// Force of each row, N or N·m (`efc_force`).
    pub force: Vec<Var>,
    /// Where the forces of a connection or weld act; none for joints.
    grip: Option<Grip>,
}

/// The two sides of a connection or weld.
#[derive(Clone, Copy, Debug)]
struct Grip {
    ends: [End; 2],
    /// The rotational part of a weld.
    turn: Option<Turn>,
}

/// A frame that a connection or weld holds.
#[derive(Clone, Copy, Debug)]
struct End {
    body: usize,
    /// The link that carries it; none in the static world.
    link: Option<usize>,
    /// The frame; its offset is relative to the origin of the link's tree.
    frame: Frame,
}

impl Equality {
    /// The rows as they are where the constraint is active, and pushing with nothing elsewhere.
    fn only_where(self, active: Mask) -> Self {
        let only = |values: Vec<Var>| {
            let each = values.into_iter();
            each.map(|x| select(active, x, Var::ZERO)).collect()
        };
        Self {
            stiffness: only(self.stiffness),
            aref: only(self.aref),
            ..self
        }
    }

    /// The bodies that a connection or weld acts on, and its wrench on each about the origin of the body's tree.
    pub(super) fn wrenches(&self) -> Vec<(usize, Force)> {
        let Some(Grip { ends, turn }) = self.grip else {
            return Vec::new();
        };
        let force = Vec3::from_slice(&self.force);
        let torque = turn.map_or(Vec3::ZERO, |turn| turn.torque(&self.force));
        let on = |end: End| Force::acting_at(end.frame.offset, torque, force);
        let [first, second] = ends;
        vec![(first.body, on(first)), (second.body, -on(second))]
    }
}

/// How the rows of a constraint enter the problem.
#[derive(Clone, Debug)]
enum How {
    /// They hold a link to the static world.
    Anchored(Box<Anchor>),
    /// One row, of one degree of freedom.
    Joint { joint: usize, dof: usize },
    /// They couple two links or joints.
    Coupled,
}

/// What holds a link to the static world.
#[derive(Clone, Debug)]
struct Anchor {
    link: usize,
    /// 1 for the first of the two, −1 for the second.
    sign: f64,
    /// The point relative to the origin of the link's tree.
    point: Vec3,
    /// G, of a weld.
    turn: Option<Turn>,
}

/// The rotational part of a weld.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// `s c_v`
    violation: Vec3,
    /// G
    jacobian: Mat3,
    /// `½ s`
    half: Var,
    /// `|c|²`
    size: Var,
    /// `R c_v`
    axis: Vec3,
}

/// A constraint with its place in the problem.
pub(super) struct Held {
    /// The rows; their forces are not known yet.
    pub rows: Equality,
    how: How,
}

/// The equality constraints that can push, in the model's order: those that are not constantly off.
fn holding(model: &Model, state: &State) -> Vec<usize> {
    let flags = &model.opt.flags;
    if !flags.constraint || !flags.equality {
        return Vec::new();
    }
    let is_off = |id: usize| state.eq_active[id].as_constant() == Some(false);
    (0..model.neq).filter(|&id| !is_off(id)).collect()
}

/// The constraints at a state.
pub(super) fn equalities(cx: &Context<'_>, at: &Kinematics, state: &State) -> Vec<Held> {
    let ids = holding(cx.model, state).into_iter();
    ids.filter_map(|id| match cx.model.eq_type[id] {
        model::Equality::Joint => Some(of_joints(cx, state, id)),
        model::Equality::Connect | model::Equality::Weld => of_frames(cx, at, state, id),
    })
    .collect()
}

/// The constraints with their forces, as they are told to the outside.
pub(super) fn told(held: &[Held], forces: Vec<Vec<Var>>) -> Vec<Equality> {
    let pairs = held.iter().zip(forces);
    pairs
        .map(|(held, force)| Equality {
            force,
            ..held.rows.clone()
        })
        .collect()
}

/// The first joint's displacement is a polynomial of the second's, or a constant.
fn of_joints(cx: &Context<'_>, state: &State, id: usize) -> Held {
    let (model, parameters, active) = (cx.model, cx.parameters, state.eq_active[id]);
    let displacement = |joint: usize| {
        let q = model.jnt_qposadr[joint];
        state.qpos[q] - parameters.qpos0[q]
    };
    let first = model.eq_obj1id[id];
    let dof = model.jnt_dofadr[first];
    let mut jacobian = vec![Var::ZERO; model.nv];
    jacobian[dof] = Var::ONE;
    let mut pos = displacement(first) - parameters.eq_data[id][0];
    let mut inverse_inertia = parameters.dof_invweight0[dof];
    let mut how = How::Joint { joint: first, dof };
    if let Some(second) = model.eq_obj2id[id] {
        let other = model.jnt_dofadr[second];
        // A joint that turns for long is far away: its fourth power must not be infinite where nobody asks for it, for
        // zero times that is not zero.
        let x = select(active, displacement(second), Var::ZERO);
        // Horner's scheme for Σ a_k xᵏ without its constant, and for its derivative.
        let powers = (1..5).rev().map(|k| (k, parameters.eq_data[id][k]));
        let rise = powers.clone().fold(Var::ZERO, |sum, (_, a)| (sum + a) * x);
        let slope = powers.fold(Var::ZERO, |sum, (k, a)| sum * x + a * k as f64);
        pos -= rise;
        jacobian[other] = -slope;
        inverse_inertia += parameters.dof_invweight0[other];
        how = How::Coupled;
    }
    let law = Law::new(cx, &softness(cx, id), pos);
    let moving = dot(&jacobian, &state.qvel);
    Held {
        rows: Equality {
            id,
            pos: vec![pos],
            jacobian: vec![jacobian],
            stiffness: vec![law.strength(inverse_inertia)],
            aref: vec![law.reference(moving, pos)],
            force: Vec::new(),
            grip: None,
        }
        .only_where(active),
        how,
    }
}

fn softness(cx: &Context<'_>, id: usize) -> Softness {
    Softness {
        solref: cx.parameters.eq_solref[id],
        solimp: cx.parameters.eq_solimp[id],
    }
}

/// A connection or weld; none where the two frames cannot move against each other.
fn of_frames(cx: &Context<'_>, at: &Kinematics, state: &State, id: usize) -> Option<Held> {
    let ends = ends(cx, at, id);
    let links = ends.map(|end| end.link);
    if links[0] == links[1] {
        return None;
    }
    let turn = (cx.model.eq_type[id] == model::Equality::Weld).then(|| {
        let scale = cx.parameters.eq_data[id][10];
        Turn::new(ends.map(|end| end.frame.quat), scale)
    });
    let mut pos = difference(cx.tree, &ends).to_array().to_vec();
    pos.extend(turn.iter().flat_map(|turn| turn.violation.to_array()));
    let jacobian = jacobian(cx, at, &ends, turn.as_ref());

    let anchored = |link: usize, side: usize| {
        How::Anchored(Box::new(Anchor {
            link,
            sign: if side == 0 { 1.0 } else { -1.0 },
            point: ends[side].frame.offset,
            turn,
        }))
    };
    let how = match links {
        [Some(link), None] => anchored(link, 0),
        [None, Some(link)] => anchored(link, 1),
        _ => How::Coupled,
    };
    let velocity = velocity(cx, at, &state.qvel);
    let turning = turning(cx, &velocity, &ends, turn.as_ref());
    let moving = match &how {
        How::Anchored(anchor) => anchor.along(velocity.cvel[anchor.link]),
        _ => jacobian.iter().map(|row| dot(row, &state.qvel)).collect(),
    };

    let length = pos.iter().map(|x| x.square()).sum::<Var>().sqrt();
    let law = Law::new(cx, &softness(cx, id), length);
    let weight = |k: usize| {
        let of = |end: End| cx.parameters.body_invweight0[end.body][k];
        of(ends[0]) + of(ends[1])
    };
    let strengths = [law.strength(weight(0)), law.strength(weight(1))];
    Some(Held {
        rows: Equality {
            id,
            stiffness: (0..pos.len()).map(|row| strengths[row / 3]).collect(),
            aref: moving
                .iter()
                .zip(&pos)
                .zip(turning)
                .map(|((&moving, &pos), turning)| law.reference(moving, pos) - turning)
                .collect(),
            pos,
            jacobian,
            force: Vec::new(),
            grip: Some(Grip { ends, turn }),
        }
        .only_where(state.eq_active[id]),
        how,
    })
}

/// The frames that a connection or weld holds together: sites, or frames given in two bodies.
fn ends(cx: &Context<'_>, at: &Kinematics, id: usize) -> [End; 2] {
    let (model, parameters) = (cx.model, cx.parameters);
    let objects = [model.eq_obj1id[id], model.eq_obj2id[id].unwrap_or(0)];
    let end = |body: usize, frame: Frame| End {
        body,
        link: cx.tree.body_link[body],
        frame,
    };
    if model.eq_objtype[id] == Some(Object::Site) {
        return objects.map(|site| end(model.site_bodyid[site], at.site(model, parameters, site)));
    }
    let data = &parameters.eq_data[id];
    let points = [Vec3::from_slice(data), Vec3::from_slice(&data[3..])];
    let given = match model.eq_type[id] {
        // The anchor of a weld is in the second body.
        model::Equality::Weld => [
            (points[1], Quat::from_slice(&data[6..])),
            (points[0], Quat::IDENTITY),
        ],
        _ => points.map(|point| (point, Quat::IDENTITY)),
    };
    [0, 1].map(|side| {
        let (body, (pos, quat)) = (objects[side], given[side]);
        end(body, at.frame(body, pos, quat))
    })
}

/// Whether two links are of one tree, and so share their origin.
fn share_origin(tree: &Tree, [first, second]: [Option<usize>; 2]) -> bool {
    let root = |link: Option<usize>| link.map(|link| tree.links[link].root);
    root(first) == root(second)
}

/// From the second point to the first.
fn difference(tree: &Tree, [first, second]: &[End; 2]) -> Vec3 {
    let between = first.frame.offset - second.frame.offset;
    if share_origin(tree, [first.link, second.link]) {
        return between;
    }
    let origin = |end: &End| end.frame.pos - end.frame.offset;
    between + (origin(first) - origin(second))
}

/// `[rows][nv]` How fast each row's violation changes per unit velocity.
fn jacobian(
    cx: &Context<'_>,
    at: &Kinematics,
    ends: &[End; 2],
    turn: Option<&Turn>,
) -> Vec<Vec<Var>> {
    let rows = if turn.is_some() { 6 } else { 3 };
    let mut jacobian = vec![vec![Var::ZERO; cx.model.nv]; rows];
    let carries = ends.map(|end| carriers(cx.tree, end.link));
    let [first, second] = ends.map(|end| end.frame.offset);
    for (index, link) in cx.tree.links.iter().enumerate() {
        for dof in cx.model.body_dofs(link.body) {
            let axis = at.cdof[dof];
            let relative = match [carries[0][index], carries[1][index]] {
                [true, false] => Motion::new(axis.ang, axis.at(first)),
                [false, true] => -Motion::new(axis.ang, axis.at(second)),
                // Both turn alike, so that only the distance between the points counts.
                [true, true] => Motion::new(Vec3::ZERO, axis.ang.cross(first - second)),
                [false, false] => continue,
            };
            let turned = turn.map(|turn| (turn.jacobian * relative.ang).to_array());
            let entries = relative.lin.to_array().into_iter();
            for (row, entry) in jacobian
                .iter_mut()
                .zip(entries.chain(turned.into_iter().flatten()))
            {
                row[dof] = entry;
            }
        }
    }
    jacobian
}

/// `[rows]` `J̇ qvel`: the second derivative of each row's violation where qacc is zero.
fn turning(
    cx: &Context<'_>,
    velocity: &Velocity,
    ends: &[End; 2],
    turn: Option<&Turn>,
) -> Vec<Var> {
    let moving = ends.map(|end| match end.link {
        Some(link) => (velocity.cvel[link], velocity.cacc[link] - ground(cx)),
        None => (Motion::ZERO, Motion::ZERO),
    });
    let [first, second] = [0, 1].map(|side| {
        let ((v, a), point) = (moving[side], ends[side].frame.offset);
        a.at(point) + v.ang.cross(v.at(point))
    });
    let mut rows = (first - second).to_array().to_vec();
    if let Some(turn) = turn {
        let [(v, a), (v_second, a_second)] = moving;
        let (spin, change) = (v.ang - v_second.ang, a.ang - a_second.ang);
        let carried = turn.jacobian * (change - v_second.ang.cross(spin));
        let inwards = turn.violation * (0.25 * spin.norm_squared());
        rows.extend((carried - inwards).to_array());
    }
    rows
}

/// `[links]` Whether a link carries another, or is it.
fn carriers(tree: &Tree, carried: Option<usize>) -> Vec<bool> {
    let mut carries = vec![false; tree.links.len()];
    let mut next = carried;
    while let Some(link) = next {
        carries[link] = true;
        next = tree.links[link].parent;
    }
    carries
}

impl Turn {
    /// For the orientations p and q, and the torque scale.
    fn new([p, q]: [Quat; 2], scale: Var) -> Self {
        let c = q.conj() * p;
        let (half, mat) = (0.5 * scale, q.to_mat());
        let v = c.vector();
        let bracket = Mat3::diagonal(Vec3::new(c.w, c.w, c.w)) + Mat3::skew(-v);
        Self {
            violation: v * scale,
            jacobian: (bracket * mat.transpose()) * half,
            half,
            size: c.w.square() + v.norm_squared(),
            axis: mat * v,
        }
    }

    /// `Gᵀ f`: the torque of forces in the rows of a weld on the first body.
    fn torque(&self, force: &[Var]) -> Vec3 {
        self.jacobian.transposed_mul(Vec3::from_slice(&force[3..]))
    }

    /// `D GᵀG`: since `(c_w − [v]×)ᵀ (c_w − [v]×) = |c|² 1 − v vᵀ`, turned into the world by R.
    fn squared(&self, d: Var) -> Sym3 {
        let weight = d * self.half.square();
        let all = weight * self.size;
        Sym3::from_diagonal(Vec3::new(all, all, all))
            - Sym3::outer_scaled(self.axis * weight, self.axis)
    }
}

impl Anchor {
    /// `J y` for a motion y of the link about its tree's origin.
    fn along(&self, motion: Motion) -> Vec<Var> {
        let lin = motion.at(self.point);
        let turned = self
            .turn
            .map(|turn| (turn.jacobian * motion.ang).to_array());
        let rows = lin
            .to_array()
            .into_iter()
            .chain(turned.into_iter().flatten());
        rows.map(|along| along * self.sign).collect()
    }

    /// `Jᵀ f`: the wrench of forces in the rows on the link, about its tree's origin.
    fn wrench(&self, force: &[Var]) -> Force {
        let torque = self.turn.map_or(Vec3::ZERO, |turn| turn.torque(force));
        let wrench = Force::acting_at(self.point, torque, Vec3::from_slice(force));
        wrench * Var::from(self.sign)
    }

    /// `Jᵀ D J` about the tree's origin.
    fn stiffness(&self, d: &[Var]) -> Articulated {
        let about_point = Articulated {
            ang: self.turn.map_or(Sym3::zero(), |turn| turn.squared(d[3])),
            cross: Mat3::zero(),
            lin: Sym3::from_diagonal(Vec3::new(d[0], d[1], d[2])),
        };
        about_point.about_origin(self.point)
    }
}

impl Held {
    /// Its rows as a coupling, where they couple two links or joints.
    pub(super) fn coupling(&self) -> Option<Coupling> {
        matches!(self.how, How::Coupled).then(|| self.as_coupling())
    }

    fn as_coupling(&self) -> Coupling {
        let rows = &self.rows;
        Coupling::held(rows.jacobian.clone(), &rows.stiffness, &rows.aref)
    }

    /// The force of each row at accelerations (`[nv]`) and the motions of the links that belong to them.
    pub(super) fn force(&self, qacc: &[Var], motion: &[Motion]) -> Vec<Var> {
        let rows = &self.rows;
        let Some(along) = self.along(qacc, motion) else {
            return self.as_coupling().force(qacc);
        };
        let asked = rows.aref.iter().zip(&rows.stiffness);
        let pulls = along.into_iter().zip(asked);
        pulls
            .map(|(along, (&aref, &d))| d * (aref - along))
            .collect()
    }

    /// The acceleration along each row; none where it is a coupling.
    fn along(&self, qacc: &[Var], motion: &[Motion]) -> Option<Vec<Var>> {
        match &self.how {
            How::Anchored(anchor) => Some(anchor.along(motion[anchor.link])),
            &How::Joint { dof, .. } => Some(vec![qacc[dof]]),
            How::Coupled => None,
        }
    }

    /// First and second derivative of its cost at a response on the way to another; none where it is a coupling.
    pub(super) fn slope(&self, from: &Response, to: &Response) -> [Var; 2] {
        let [start, end] = [from, to].map(|at| self.along(&at.x, &at.motion));
        let (Some(start), Some(end)) = (start, end) else {
            return [Var::ZERO; 2];
        };
        let rows = self.rows.aref.iter().zip(&self.rows.stiffness);
        let ways = start.into_iter().zip(end).zip(rows);
        ways.fold(
            [Var::ZERO; 2],
            |[slope, bend], ((start, end), (&aref, &d))| {
                let step = end - start;
                let pull = d * step;
                [slope + pull * (start - aref), bend + pull * step]
            },
        )
    }

    /// Adds the forces of its rows to generalized forces, or to the wrench on its link.
    pub(super) fn push(&self, force: &[Var], qfrc: &mut [Var], wrenches: &mut [Force]) {
        if let How::Anchored(anchor) = &self.how {
            wrenches[anchor.link] += anchor.wrench(force);
            return;
        }
        coupling::push(&self.rows.jacobian, force, qfrc);
    }

    /// Adds rows that do not couple to what is factored: `Jᵀ D J` to the inertias and blocks, `Jᵀ D aref` to the
    /// forces.
    pub(super) fn load(
        &self,
        cx: &Context<'_>,
        loads: &mut Loads,
        blocks: &mut JointBlocks,
        tau: &mut [Var],
    ) {
        let rows = &self.rows;
        match &self.how {
            How::Anchored(anchor) => {
                let wanted = rows.aref.iter().zip(&rows.stiffness);
                let force: Vec<Var> = wanted.map(|(&aref, &d)| aref * d).collect();
                let link = anchor.link;
                loads.k[link] = loads.k[link] + anchor.stiffness(&rows.stiffness);
                loads.p[link] -= anchor.wrench(&force);
            }
            &How::Joint { joint, dof } => {
                blocks.add_outer(cx.model, joint, &[(dof, Var::ONE)], rows.stiffness[0]);
                tau[dof] += rows.stiffness[0] * rows.aref[0];
            }
            How::Coupled => {}
        }
    }
}
