//! What depends on the reference configuration `qpos0`: poses, inertia, inverse weights, statistics.
//!
//! The joint-space inertia is M = Σ Jᵦᵀ Iᵦ Jᵦ + armature. Row i of M has entries only for the
//! ancestors of degree of freedom i, so M is kept by rows along those chains and factorized as
//! M = Lᵀ D L without fill-in (Featherstone, "Rigid Body Dynamics Algorithms", 2008, section 6.5).
//! Then xᵀ M⁻¹ x = Σ yᵢ² / Dᵢ with y = L⁻ᵀ x.

use super::tree::MINVAL;
use super::{Geom, Joint, Model, Statistics, Transmission, equalities};
use crate::scene::StatisticsGiven;
use crate::scene::pose::{self, Pose};

/// A spatial vector: rotation, then translation, about a common origin.
type Spatial = [f64; 6];

/// The model's geometry and inertia at `qpos0`.
pub(super) struct Reference {
    /// `[nbody]` World pose of every body.
    body: Vec<Pose>,
    /// `[nbody]` World position of every centre of mass.
    xipos: Vec<[f64; 3]>,
    /// `[njnt]` World position of every joint's anchor.
    xanchor: Vec<[f64; 3]>,
    /// `[nv]` Motion of every degree of freedom about its tree's centre of mass.
    cdof: Vec<Spatial>,
    /// `[nbody]` The origin of `cdof` for a body's tree.
    origin: Vec<[f64; 3]>,
    /// `[nv]` Rows of M along each chain of ancestors, the diagonal first.
    rows: Vec<Vec<f64>>,
    /// `[nv]` Rows of L (its unit diagonal left out) and D.
    lower: Vec<Vec<f64>>,
    diagonal: Vec<f64>,
}

/// What the user says that is needed here and not kept in the model.
pub(super) struct Given {
    /// Statistics that replace the computed ones.
    pub(super) statistics: StatisticsGiven,
    /// `[njnt]` Time constants and damping ratios.
    pub(super) springdamper: Vec<[f64; 2]>,
    /// `[nbody]` Whether a body may be called simple.
    pub(super) simple: Vec<bool>,
}

/// Fills `dof_m0`, the inverse weights, the subtree masses, and what follows from them.
pub(super) fn fill(model: &mut Model, given: &Given) {
    model.body_subtreemass = subtree_sums(model);
    let reference = Reference::new(model);
    model.dof_m0 = reference.rows.iter().map(|row| row[0]).collect();
    let simple = simple_bodies(model, &given.simple);
    model.body_invweight0 = (0..model.nbody)
        .map(|b| reference.body_weight(model, &simple, b))
        .collect();
    model.dof_invweight0 = reference.dof_weights(model, &simple);
    reference.actuators(model);
    equalities::place(model, &reference.body);
    model.stat = reference.statistics(model);
    override_statistics(&mut model.stat, &given.statistics);
    spring_dampers(model, &given.springdamper);
}

fn subtree_sums(model: &Model) -> Vec<f64> {
    let mut mass = model.body_mass.clone();
    for body in (1..model.nbody).rev() {
        mass[model.body_parentid[body]] += mass[body];
    }
    mass
}

impl Reference {
    fn new(model: &Model) -> Self {
        let mut body: Vec<Pose> = Vec::with_capacity(model.nbody);
        for b in 0..model.nbody {
            let own = Pose {
                pos: model.body_pos[b],
                quat: model.body_quat[b],
            };
            body.push(if b == 0 {
                Pose::default()
            } else {
                body[model.body_parentid[b]].then(&own)
            });
        }
        let xipos: Vec<_> = body
            .iter()
            .zip(&model.body_ipos)
            .map(|(pose, &p)| pose.point(p))
            .collect();
        let xanchor: Vec<_> = (0..model.njnt)
            .map(|j| body[model.jnt_bodyid[j]].point(model.jnt_pos[j]))
            .collect();

        // The centre of mass of each tree under the world, so that numbers stay small far away.
        let mut moment = vec![[0.0; 3]; model.nbody];
        for (b, &center) in xipos.iter().enumerate() {
            let root = model.body_rootid[b];
            moment[root] = pose::add(moment[root], pose::scale(center, model.body_mass[b]));
        }
        let origin: Vec<_> = (0..model.nbody)
            .map(|b| match model.body_subtreemass[model.body_rootid[b]] {
                mass if b > 0 && mass > 0.0 => moment[model.body_rootid[b]].map(|x| x / mass),
                _ => [0.0; 3],
            })
            .collect();

        let mut reference = Self {
            body,
            xipos,
            xanchor,
            cdof: Vec::with_capacity(model.nv),
            origin,
            rows: Vec::new(),
            lower: Vec::new(),
            diagonal: Vec::new(),
        };
        for joint in 0..model.njnt {
            reference.push_motions(model, joint);
        }
        reference.rows = reference.inertia(model);
        reference.factorize(model);
        reference
    }

    /// The motions of a joint's degrees of freedom.
    fn push_motions(&mut self, model: &Model, joint: usize) {
        let body = model.jnt_bodyid[joint];
        let pose = self.body[body];
        // A rotation about an axis through the anchor moves the origin by axis × (origin − anchor).
        let arm = pose::sub(self.origin[body], self.xanchor[joint]);
        let rotation = |axis: [f64; 3]| {
            let v = pose::cross(axis, arm);
            [axis[0], axis[1], axis[2], v[0], v[1], v[2]]
        };
        let unit = |i: usize| std::array::from_fn(|k| if k == i { 1.0 } else { 0.0 });
        let local = |i: usize| rotation(pose::rotate(pose.quat, unit(i)));
        let axis = pose::rotate(pose.quat, model.jnt_axis[joint]);
        match model.jnt_type[joint] {
            Joint::Free => {
                self.cdof.extend((0..3).map(|i| {
                    let v: [f64; 3] = unit(i);
                    [0.0, 0.0, 0.0, v[0], v[1], v[2]]
                }));
                self.cdof.extend((0..3).map(local));
            }
            Joint::Ball => self.cdof.extend((0..3).map(local)),
            Joint::Slide => self.cdof.push([0.0, 0.0, 0.0, axis[0], axis[1], axis[2]]),
            Joint::Hinge => self.cdof.push(rotation(axis)),
        }
    }

    /// M by the composite-body method, with each body's inertia about its tree's centre of mass.
    fn inertia(&self, model: &Model) -> Vec<Vec<f64>> {
        let mut composite: Vec<[Spatial; 6]> = (0..model.nbody)
            .map(|b| self.body_inertia(model, b))
            .collect();
        for b in (1..model.nbody).rev() {
            let child = composite[b];
            for (into, from) in composite[model.body_parentid[b]].iter_mut().zip(child) {
                into.iter_mut().zip(from).for_each(|(a, b)| *a += b);
            }
        }
        (0..model.nv)
            .map(|i| {
                let force: Spatial =
                    composite[model.dof_bodyid[i]].map(|row| inner(&row, &self.cdof[i]));
                chain(model, i)
                    .map(|j| {
                        let armature = if j == i { model.dof_armature[i] } else { 0.0 };
                        armature + inner(&self.cdof[j], &force)
                    })
                    .collect()
            })
            .collect()
    }

    /// A body's spatial inertia about its tree's centre of mass.
    ///
    /// With c from the origin to the body's centre: rotation block I + m (c² 1 − c cᵀ), coupling
    /// block m [c]×, translation block m 1.
    fn body_inertia(&self, model: &Model, b: usize) -> [Spatial; 6] {
        let mut spatial = [[0.0; 6]; 6];
        if b == 0 {
            return spatial;
        }
        let mass = model.body_mass[b];
        let c = pose::sub(self.xipos[b], self.origin[b]);
        let r = pose::matrix(pose::multiply(self.body[b].quat, model.body_iquat[b]));
        let cross = [[0.0, -c[2], c[1]], [c[2], 0.0, -c[0]], [-c[1], c[0], 0.0]];
        let square = pose::dot(c, c);
        for i in 0..3 {
            for j in 0..3 {
                let own: f64 = (0..3)
                    .map(|k| r[i][k] * model.body_inertia[b][k] * r[j][k])
                    .sum();
                let far = if i == j {
                    square - c[i] * c[j]
                } else {
                    -c[i] * c[j]
                };
                spatial[i][j] = own + mass * far;
                spatial[i][j + 3] = mass * cross[i][j];
                spatial[i + 3][j] = -mass * cross[i][j];
            }
            spatial[i + 3][i + 3] = mass;
        }
        spatial
    }

    fn factorize(&mut self, model: &Model) {
        self.lower = self.rows.clone();
        for k in (0..model.nv).rev() {
            let row = self.lower[k].clone();
            let ancestors: Vec<usize> = chain(model, k).skip(1).collect();
            // M_ij −= M_ki M_kj / M_kk for the ancestors i of k and j of i.
            for (a, &i) in ancestors.iter().enumerate() {
                let factor = row[a + 1] / row[0];
                for (entry, value) in self.lower[i].iter_mut().zip(&row[a + 1..]) {
                    *entry -= factor * value;
                }
            }
            self.diagonal.push(row[0]);
            self.lower[k] = row[1..].iter().map(|value| value / row[0]).collect();
        }
        self.diagonal.reverse();
    }

    /// y = L⁻ᵀ x, in place.
    fn half_solve(&self, model: &Model, x: &mut [f64]) {
        for i in (0..model.nv).rev() {
            if x[i] != 0.0 {
                for (j, factor) in chain(model, i).skip(1).zip(&self.lower[i]) {
                    x[j] -= factor * x[i];
                }
            }
        }
    }

    /// xᵀ M⁻¹ x.
    fn inverse_form(&self, model: &Model, mut x: Vec<f64>) -> f64 {
        self.half_solve(model, &mut x);
        x.iter().zip(&self.diagonal).map(|(y, d)| y * y / d).sum()
    }

    /// M⁻¹ x.
    fn solve(&self, model: &Model, mut x: Vec<f64>) -> Vec<f64> {
        self.half_solve(model, &mut x);
        x.iter_mut().zip(&self.diagonal).for_each(|(x, d)| *x /= d);
        for i in 0..model.nv {
            for (j, factor) in chain(model, i).skip(1).zip(&self.lower[i]) {
                x[i] -= factor * x[j];
            }
        }
        x
    }

    /// Means of the diagonal of J M⁻¹ Jᵀ, translation and rotation, at a body's centre of mass.
    fn body_weight(&self, model: &Model, simple: &[Simple], b: usize) -> [f64; 2] {
        let weld = model.body_weldid[b];
        if b == 0 || model.body_dofnum[weld] == 0 {
            return [0.0; 2];
        }
        if simple[b] == Simple::Sliding {
            return [1.0 / model.body_mass[b], 0.0];
        }
        let arm = pose::sub(self.xipos[b], self.origin[b]);
        let last = model.body_dofadr[weld] + model.body_dofnum[weld] - 1;
        let mut rows = [(); 6].map(|()| vec![0.0; model.nv]);
        for i in chain(model, last) {
            let c = self.cdof[i];
            let v = pose::cross([c[0], c[1], c[2]], arm);
            for k in 0..3 {
                rows[k][i] = c[k + 3] + v[k];
                rows[k + 3][i] = c[k];
            }
        }
        let form = rows.map(|row| self.inverse_form(model, row));
        [
            (form[0] + form[1] + form[2]) / 3.0,
            (form[3] + form[4] + form[5]) / 3.0,
        ]
    }

    /// The diagonal of M⁻¹, averaged over the rotations and over the translations of a joint.
    fn dof_weights(&self, model: &Model, simple: &[Simple]) -> Vec<f64> {
        let mut weights: Vec<f64> = (0..model.nv)
            .map(|i| {
                let body = model.dof_bodyid[i];
                if simple[body] == Simple::Sliding {
                    return 1.0 / model.body_mass[body];
                }
                let mut unit = vec![0.0; model.nv];
                unit[i] = 1.0;
                self.inverse_form(model, unit)
            })
            .collect();
        for joint in 0..model.njnt {
            let adr = model.jnt_dofadr[joint];
            let groups: &[usize] = match model.jnt_type[joint] {
                Joint::Free => &[0, 3],
                Joint::Ball => &[0],
                Joint::Slide | Joint::Hinge => &[],
            };
            for first in groups {
                let group = &mut weights[adr + first..adr + first + 3];
                let mean = group.iter().sum::<f64>() / 3.0;
                group.fill(mean);
            }
        }
        weights
    }

    /// `actuator_length0`, `actuator_acc0`, and dampings from damping ratios.
    fn actuators(&self, model: &mut Model) {
        for actuator in 0..model.nu {
            let moment = self.moment(model, actuator);
            let joint = model.actuator_trnid[actuator];
            let length = match model.jnt_type[joint] {
                Joint::Free | Joint::Ball => 0.0,
                Joint::Slide | Joint::Hinge => {
                    model.qpos0[model.jnt_qposadr[joint]] * model.actuator_gear[actuator][0]
                }
            };
            model.actuator_length0.push(length);
            let acceleration = self.solve(model, moment.clone());
            model
                .actuator_acc0
                .push(acceleration.iter().map(|a| a * a).sum::<f64>().sqrt());

            // A position servo with a positive biasprm[2] has that as its damping ratio:
            // damping = 2 ratio √(kp m), m = 1 / (J M⁻¹ Jᵀ) the inertia that the actuator sees.
            let kp = model.actuator_gainprm[actuator][0];
            let bias = &mut model.actuator_biasprm[actuator];
            if kp == -bias[1] && bias[2] > 0.0 {
                let inverse: f64 = moment.iter().zip(&acceleration).map(|(j, a)| j * a).sum();
                bias[2] *= -2.0 * (kp / inverse.max(MINVAL)).sqrt();
            }
        }
    }

    /// The generalized force of a unit actuator force.
    fn moment(&self, model: &Model, actuator: usize) -> Vec<f64> {
        let joint = model.actuator_trnid[actuator];
        let gear = model.actuator_gear[actuator];
        let adr = model.jnt_dofadr[joint];
        let mut moment = vec![0.0; model.nv];
        match model.jnt_type[joint] {
            Joint::Slide | Joint::Hinge => moment[adr] = gear[0],
            // At qpos0 a ball joint's frames coincide.
            Joint::Ball => moment[adr..adr + 3].copy_from_slice(&gear[..3]),
            Joint::Free => {
                let mut torque = [gear[3], gear[4], gear[5]];
                if model.actuator_trntype[actuator] == Transmission::JointInParent {
                    let back = pose::conjugate(self.body[model.jnt_bodyid[joint]].quat);
                    torque = pose::rotate(back, torque);
                }
                moment[adr..adr + 3].copy_from_slice(&gear[..3]);
                moment[adr + 3..adr + 6].copy_from_slice(&torque);
            }
        }
        moment
    }

    /// Sizes of the model, as `mj_setConst` finds them.
    fn statistics(&self, model: &Model) -> Statistics {
        let geoms: Vec<[f64; 3]> = (0..model.ngeom)
            .map(|g| self.body[model.geom_bodyid[g]].point(model.geom_pos[g]))
            .collect();
        let (mut low, mut high) = ([1e10_f64; 3], [-1e10_f64; 3]);
        let mut stretch = |point: [f64; 3], radius: f64| {
            for k in 0..3 {
                low[k] = low[k].min(point[k] - radius);
                high[k] = high[k].max(point[k] + radius);
            }
        };
        for b in 1..model.nbody {
            stretch(self.body[b].pos, 0.0);
            stretch(self.xipos[b], 0.0);
        }
        self.xanchor.iter().for_each(|&anchor| stretch(anchor, 0.0));
        for s in 0..model.nsite {
            stretch(
                self.body[model.site_bodyid[s]].point(model.site_pos[s]),
                0.0,
            );
        }
        for (g, &center) in geoms.iter().enumerate() {
            let [a, b, _] = model.geom_size[g];
            let radius = match model.geom_type[g] {
                Geom::Plane if a != 0.0 || b != 0.0 => 0.1 * a.max(b),
                Geom::Plane => 0.01,
                _ => model.geom_rbound[g],
            };
            stretch(center, radius);
        }

        // A body's size: how far joints and geoms reach from its centre of mass.
        let distance = |a, b| pose::norm(pose::sub(a, b));
        let mut size = vec![0.0_f64; model.nbody];
        for j in 0..model.njnt {
            let body = model.jnt_bodyid[j];
            for b in [body, model.body_parentid[body]] {
                size[b] = size[b].max(distance(self.xipos[b], self.xanchor[j]));
            }
        }
        for (g, &center) in geoms.iter().enumerate() {
            let b = model.geom_bodyid[g];
            if model.geom_rbound[g] > 0.0 {
                size[b] = size[b].max(model.geom_rbound[g] + distance(self.xipos[b], center));
            }
        }

        let mut stat = Statistics {
            meaninertia: 1.0,
            meanmass: 1.0,
            meansize: 0.2,
            extent: 2.0,
            center: [0.0; 3],
        };
        stat.center = std::array::from_fn(|k| (low[k] + high[k]) * 0.5);
        if high[0] > low[0] {
            stat.extent = (0..3).map(|k| high[k] - low[k]).fold(1e-5, f64::max);
        }
        let moving = (model.nbody - 1) as f64;
        if model.nbody > 1 {
            stat.meansize = size[1..].iter().map(|size| size.max(1e-5)).sum::<f64>() / moving;
            stat.meanmass = model.body_mass[1..].iter().sum::<f64>() / moving;
        }
        stat.extent = stat.extent.max(2.0 * stat.meansize);
        if model.nv > 0 {
            stat.meaninertia = model.dof_m0.iter().sum::<f64>() / model.nv as f64;
        }
        stat
    }
}

/// A degree of freedom and its ancestors, towards the root.
fn chain(model: &Model, dof: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(dof), |&dof| model.dof_parentid[dof])
}

fn inner(a: &Spatial, b: &Spatial) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn override_statistics(stat: &mut Statistics, given: &StatisticsGiven) {
    stat.meaninertia = given.meaninertia.unwrap_or(stat.meaninertia);
    stat.meanmass = given.meanmass.unwrap_or(stat.meanmass);
    stat.meansize = given.meansize.unwrap_or(stat.meansize);
    stat.extent = given.extent.unwrap_or(stat.extent);
    stat.center = given.center.unwrap_or(stat.center);
}

/// Stiffness and damping of joints that give a time constant and a damping ratio instead.
///
/// With the inertia m that the joint sees at `qpos0`: stiffness m / (time² ratio²), damping 2 m / time.
fn spring_dampers(model: &mut Model, springdamper: &[[f64; 2]]) {
    for (joint, &[time, ratio]) in springdamper.iter().enumerate() {
        if time <= 0.0 || ratio <= 0.0 {
            continue;
        }
        let dofs = model.joint_dofs(joint);
        let total: f64 = model.dof_invweight0[dofs.clone()].iter().sum();
        let mass = dofs.len() as f64 / total.max(MINVAL);
        model.jnt_stiffness[joint] = mass / (time * time * ratio * ratio).max(MINVAL);
        model.dof_damping[dofs].fill(2.0 * mass / time.max(MINVAL));
    }
}

/// Whether MuJoCo treats a body's inertia as diagonal, and its weights as its bare mass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Simple {
    No,
    Diagonal,
    /// Diagonal, and it only slides: inverse weights are 1/mass, without armature.
    Sliding,
}

/// Which bodies MuJoCo calls simple: leaves near the world whose inertial frame is their own and
/// whose joints are aligned with it.
fn simple_bodies(model: &Model, allowed: &[bool]) -> Vec<Simple> {
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6);
    let mut simple = vec![Simple::No; model.nbody];
    for b in 0..model.nbody {
        let parent = model.body_parentid[b];
        if parent > 0 {
            simple[parent] = Simple::No;
        }
        let [w, x, y, z] = model.body_iquat[b];
        let unturned = near(&[w.abs(), x, y, z], &pose::UNIT);
        let same_frame = near(&model.body_ipos[b], &[0.0; 3]) && unturned;
        let fixed_parent = model.body_parentid[parent] == 0 && model.body_dofnum[parent] == 0;
        if !same_frame || !(model.body_rootid[b] == b || fixed_parent) || !allowed[b] {
            continue;
        }
        let mut rotated = false;
        let aligned = model.body_joints(b).all(|j| {
            let kind = model.jnt_type[j];
            let oblique = model.jnt_axis[j].iter().filter(|x| x.abs() > 1e-14).count() != 1;
            let scalar = matches!(kind, Joint::Hinge | Joint::Slide);
            let fits = !rotated && near(&model.jnt_pos[j], &[0.0; 3]) && !(scalar && oblique);
            rotated |= matches!(kind, Joint::Ball | Joint::Hinge);
            fits
        });
        if !aligned {
            continue;
        }
        let slides = model
            .body_joints(b)
            .all(|j| model.jnt_type[j] == Joint::Slide);
        simple[b] = if slides && model.body_dofnum[b] > 0 {
            Simple::Sliding
        } else {
            Simple::Diagonal
        };
    }
    simple
}
