//! Frames of bodies, joints, geoms and sites from `qpos` and the poses of mocap bodies (`mj_kinematics`, and the axes of `mj_comPos`).
//!
//! Positions are kept relative to the origin of their kinematic tree, so that a world far from zero loses no
//! precision in `f32`. The origin is the root body's position for a tree that can translate, and a constant for one
//! that is hinged to the world. Rotations are composed as matrices, because a turn about a body-fixed coordinate
//! axis then only mixes two columns; quaternions run beside them and cost nothing unless somebody reads them.

use std::ops::Range;

use crate::math::functions::sin_cos;
use crate::math::{Mat3, Motion, Quat, Vec3};
use crate::model::{Joint, Model};
use crate::trace::Var;

use super::Context;
use super::parameters::Parameters;
use super::state::State;
use super::tree::Tree;

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Kinematics {
    /// `[nbody]` Origin of the body's kinematic tree, world frame, m; zero for bodies fixed in the world.
    pub origin: Vec<Vec3>,
    /// `[nbody]` Position relative to `origin`, world axes, m.
    pub offset: Vec<Vec3>,
    /// `[nbody]` Orientation.
    pub xquat: Vec<Quat>,
    /// `[nbody]` Orientation as a matrix; the columns are the body's axes.
    pub xmat: Vec<Mat3>,
    /// `[njnt]` Anchor relative to `origin`, world axes, m; meaningful for balls and hinges.
    pub anchor: Vec<Vec3>,
    /// `[njnt]` Axis, world frame; meaningful for slides and hinges.
    pub xaxis: Vec<Vec3>,
    /// `[nv]` Motion of a degree of freedom at unit velocity, about `origin`.
    pub cdof: Vec<Motion>,
    /// `[njnt]` The quaternion in `qpos`, normalized; the identity for slides and hinges.
    pub joint_quat: Vec<Quat>,
}

/// A frame in the world.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Position relative to the origin of the body's tree, m.
    pub offset: Vec3,
    /// Position in the world, m.
    pub pos: Vec3,
    /// Orientation as a matrix.
    pub mat: Mat3,
    /// Orientation.
    pub quat: Quat,
}

impl Kinematics {
    /// A body's position in the world (`xpos`), m.
    pub fn xpos(&self, body: usize) -> Vec3 {
        self.origin[body] + self.offset[body]
    }

    /// A body's centre of mass relative to `origin`, world axes, m.
    pub(super) fn com_offset(&self, cx: &Context<'_>, body: usize) -> Vec3 {
        self.offset[body] + self.xmat[body] * cx.parameters.body_ipos[body]
    }

    /// A body's inertial frame: its centre of mass and principal axes (`xipos`, `ximat`).
    pub fn inertial(&self, parameters: &Parameters, body: usize) -> Frame {
        self.frame(
            body,
            parameters.body_ipos[body],
            parameters.body_iquat[body],
        )
    }

    /// A geom's frame (`geom_xpos`, `geom_xmat`).
    pub fn geom(&self, model: &Model, parameters: &Parameters, geom: usize) -> Frame {
        self.frame(
            model.geom_bodyid[geom],
            parameters.geom_pos[geom],
            parameters.geom_quat[geom],
        )
    }

    /// A site's frame (`site_xpos`, `site_xmat`).
    pub fn site(&self, model: &Model, parameters: &Parameters, site: usize) -> Frame {
        self.frame(
            model.site_bodyid[site],
            parameters.site_pos[site],
            parameters.site_quat[site],
        )
    }

    /// A frame that is fixed in a body, by its position and orientation there.
    pub fn frame(&self, body: usize, pos: Vec3, quat: Quat) -> Frame {
        let offset = self.offset[body] + self.xmat[body] * pos;
        Frame {
            offset,
            pos: self.origin[body] + offset,
            mat: self.xmat[body] * quat.to_mat(),
            quat: self.xquat[body] * quat,
        }
    }
}

/// Computes all frames at a state.
pub(super) fn kinematics(cx: &Context<'_>, state: &State) -> Kinematics {
    let model = cx.model;
    let mut walk = Walk {
        cx,
        state,
        links: Vec::with_capacity(cx.tree.links.len()),
        out: Kinematics {
            origin: vec![Vec3::ZERO; model.nbody],
            offset: vec![Vec3::ZERO; model.nbody],
            xquat: vec![Quat::IDENTITY; model.nbody],
            xmat: vec![Mat3::identity(); model.nbody],
            anchor: vec![Vec3::ZERO; model.njnt],
            xaxis: vec![Vec3::ZERO; model.njnt],
            cdof: vec![Motion::ZERO; model.nv],
            joint_quat: vec![Quat::IDENTITY; model.njnt],
        },
    };
    for body in 1..model.nbody {
        walk.visit(body);
    }
    walk.out
}

/// A frame on its way through a body's joints.
#[derive(Clone, Copy)]
struct Moving {
    /// Relative to the tree's origin; to the world's on the way to a tree's first link.
    pos: Vec3,
    mat: Mat3,
    quat: Quat,
}

struct Walk<'a> {
    cx: &'a Context<'a>,
    state: &'a State,
    /// Frames of the links so far, relative to their tree's origin.
    links: Vec<(Vec3, Moving)>,
    out: Kinematics,
}

impl Walk<'_> {
    fn visit(&mut self, body: usize) {
        let Tree { links, body_link } = self.cx.tree;
        if let Some(mocap) = self.cx.model.body_mocapid[body] {
            let quat = self.state.mocap_quat[mocap].normalize();
            self.out.offset[body] = self.state.mocap_pos[mocap];
            self.out.xmat[body] = quat.to_mat();
            self.out.xquat[body] = quat;
            return;
        }
        let placed = self.cx.placement[body];
        let own = body_link[body].filter(|&link| links[link].body == body);
        let carrier = match own {
            Some(link) => links[link].parent,
            None => body_link[body],
        };
        let still = || (Vec3::ZERO, self.ground(body));
        let (origin, base) = carrier.map_or_else(still, |link| self.links[link]);
        let start = Moving {
            pos: base.pos + base.mat * placed.pos,
            mat: base.mat * placed.quat.to_mat(),
            quat: base.quat * placed.quat,
        };
        let (origin, end) = match own {
            None => (origin, start),
            Some(link) => {
                let joints = links[link].joints.clone();
                let moved = match carrier {
                    Some(_) => (origin, self.joints(joints, start, 0)),
                    None => self.root(joints, start),
                };
                self.links.push(moved);
                moved
            }
        };
        self.out.origin[body] = origin;
        self.out.offset[body] = end.pos;
        self.out.xmat[body] = end.mat;
        self.out.xquat[body] = end.quat;
    }

    /// The frame that a body without a moving carrier is placed in: a mocap body's, or the world's.
    fn ground(&self, body: usize) -> Moving {
        let model = self.cx.model;
        let base = model.body_weldid[model.body_parentid[body]];
        let base = if model.body_mocapid[base].is_some() {
            base
        } else {
            0
        };
        Moving {
            pos: self.out.offset[base],
            mat: self.out.xmat[base],
            quat: self.out.xquat[base],
        }
    }

    /// The first link of a tree: what it slides before its first turn moves the tree's origin.
    fn root(&mut self, joints: Range<usize>, start: Moving) -> (Vec3, Moving) {
        let model = self.cx.model;
        if model.jnt_type[joints.start] == Joint::Free {
            return self.free(joints.start);
        }
        let slides = joints
            .clone()
            .take_while(|&joint| model.jnt_type[joint] == Joint::Slide);
        let (mut origin, mut held) = (start.pos, 0);
        for joint in slides {
            origin += start.mat * self.cx.parameters.jnt_axis[joint] * self.displacement(joint);
            held += 1;
        }
        (
            origin,
            self.joints(
                joints,
                Moving {
                    pos: Vec3::ZERO,
                    ..start
                },
                held,
            ),
        )
    }

    /// A free joint replaces the body's frame.
    fn free(&mut self, joint: usize) -> (Vec3, Moving) {
        let model = self.cx.model;
        let q = &self.state.qpos[model.joint_qpos(joint)];
        let (origin, quat) = (Vec3::from_slice(q), Quat::from_slice(&q[3..]).normalize());
        let mat = quat.to_mat();
        self.out.joint_quat[joint] = quat;
        self.out.xaxis[joint] = self.cx.parameters.jnt_axis[joint];
        let dof = model.jnt_dofadr[joint];
        for (k, axis) in Mat3::identity().columns().into_iter().enumerate() {
            self.out.cdof[dof + k] = Motion::new(Vec3::ZERO, axis);
            self.out.cdof[dof + 3 + k] = Motion::new(mat.columns()[k], Vec3::ZERO);
        }
        (
            origin,
            Moving {
                pos: Vec3::ZERO,
                mat,
                quat,
            },
        )
    }

    /// The displacement of a slide or hinge from the reference.
    fn displacement(&self, joint: usize) -> Var {
        let address = self.cx.model.jnt_qposadr[joint];
        self.state.qpos[address] - self.cx.parameters.qpos0[address]
    }

    /// Moves a frame through joints other than free ones; the first `held` slides do not move it, because they
    /// move the origin.
    fn joints(&mut self, joints: Range<usize>, start: Moving, held: usize) -> Moving {
        let model = self.cx.model;
        let mut at = start;
        let mut last_anchor: Option<(Vec3, Vec3)> = None;
        for (order, joint) in joints.enumerate() {
            let (pos, axis) = (
                self.cx.parameters.jnt_pos[joint],
                self.cx.parameters.jnt_axis[joint],
            );
            let xaxis = at.mat * axis;
            // Joints that share an anchor leave it where it is.
            let anchor = match last_anchor {
                Some((same, anchor)) if equal(same, pos) => anchor,
                _ => at.pos + at.mat * pos,
            };
            self.out.anchor[joint] = anchor;
            self.out.xaxis[joint] = xaxis;
            let dof = model.jnt_dofadr[joint];
            match model.jnt_type[joint] {
                Joint::Free => unreachable!("a free joint is a root's only joint"),
                Joint::Slide => {
                    if order >= held {
                        at.pos += xaxis * self.displacement(joint);
                    }
                    self.out.cdof[dof] = Motion::new(Vec3::ZERO, xaxis);
                    last_anchor = None;
                    continue;
                }
                Joint::Hinge => {
                    let (sin, cos) = sin_cos(0.5 * self.displacement(joint));
                    // sin θ = 2 sin ½θ cos ½θ, cos θ = 1 − 2 sin² ½θ: one evaluation serves matrix and quaternion.
                    at.mat = at.mat * Mat3::rotation(axis, 2.0 * sin * cos, 1.0 - 2.0 * sin * sin);
                    at.quat = at.quat * Quat::from_parts(cos, axis * sin);
                    self.out.cdof[dof] = Motion::about(xaxis, anchor);
                }
                Joint::Ball => {
                    let quat =
                        Quat::from_slice(&self.state.qpos[model.joint_qpos(joint)]).normalize();
                    at.mat = at.mat * quat.to_mat();
                    at.quat = at.quat * quat;
                    self.out.joint_quat[joint] = quat;
                    for (k, column) in at.mat.columns().into_iter().enumerate() {
                        self.out.cdof[dof + k] = Motion::about(column, anchor);
                    }
                }
            }
            at.pos = anchor - at.mat * pos;
            last_anchor = Some((pos, anchor));
        }
        at
    }
}

/// Whether two vectors are the same constant.
fn equal(a: Vec3, b: Vec3) -> bool {
    a.as_constant().is_some() && a.as_constant() == b.as_constant()
}
