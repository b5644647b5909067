//! Every number that a stage reads, as a recorded scalar.
//!
//! [`Parameters::constant`] makes all of them constants, which fold away. To randomize one, replace it by a load
//! from the world's parameters; what is derived from it is then computed once per launch, outside of the substeps.

use crate::math::{Quat, Vec3};
use crate::model::Model;
use crate::trace::{Carry, Slot, Var};

/// The model's numbers, with [`Model`]'s names, shapes and units. As a [`Carry`] it visits all of them in this order.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Simulation time step, s.
    pub timestep: Var,
    /// Gravitational acceleration, m/s².
    pub gravity: Vec3,
    /// Velocity of the medium, m/s.
    pub wind: Vec3,
    /// Density of the medium, kg/m³.
    pub density: Var,
    /// Viscosity of the medium, Pa·s.
    pub viscosity: Var,

    /// `[nq]`
    pub qpos0: Vec<Var>,
    /// `[nq]`
    pub qpos_spring: Vec<Var>,

    /// `[nbody]`
    pub body_pos: Vec<Vec3>,
    /// `[nbody]` Of unit length.
    pub body_quat: Vec<Quat>,
    /// `[nbody]`
    pub body_ipos: Vec<Vec3>,
    /// `[nbody]` Of unit length.
    pub body_iquat: Vec<Quat>,
    /// `[nbody]`
    pub body_mass: Vec<Var>,
    /// `[nbody]`
    pub body_inertia: Vec<Vec3>,
    /// `[nbody]`
    pub body_invweight0: Vec<[Var; 2]>,
    /// `[nbody]`
    pub body_gravcomp: Vec<Var>,

    /// `[njnt]`
    pub jnt_pos: Vec<Vec3>,
    /// `[njnt]` Of unit length.
    pub jnt_axis: Vec<Vec3>,
    /// `[njnt]`
    pub jnt_stiffness: Vec<Var>,
    /// `[njnt]`
    pub jnt_range: Vec<[Var; 2]>,
    /// `[njnt]`
    pub jnt_margin: Vec<Var>,
    /// `[njnt]`
    pub jnt_solref: Vec<[Var; 2]>,
    /// `[njnt]`
    pub jnt_solimp: Vec<[Var; 5]>,
    /// `[njnt]`
    pub jnt_actfrcrange: Vec<[Var; 2]>,

    /// `[nv]`
    pub dof_armature: Vec<Var>,
    /// `[nv]`
    pub dof_damping: Vec<Var>,
    /// `[nv]`
    pub dof_frictionloss: Vec<Var>,
    /// `[nv]`
    pub dof_solref: Vec<[Var; 2]>,
    /// `[nv]`
    pub dof_solimp: Vec<[Var; 5]>,
    /// `[nv]`
    pub dof_invweight0: Vec<Var>,

    /// `[ngeom]`
    pub geom_size: Vec<Vec3>,
    /// `[ngeom]`
    pub geom_pos: Vec<Vec3>,
    /// `[ngeom]` Of unit length.
    pub geom_quat: Vec<Quat>,
    /// `[ngeom]`
    pub geom_friction: Vec<[Var; 3]>,
    /// `[ngeom]`
    pub geom_margin: Vec<Var>,
    /// `[ngeom]`
    pub geom_gap: Vec<Var>,
    /// `[ngeom]`
    pub geom_solmix: Vec<Var>,
    /// `[ngeom]`
    pub geom_solref: Vec<[Var; 2]>,
    /// `[ngeom]`
    pub geom_solimp: Vec<[Var; 5]>,
    /// `[neq]`
    pub eq_solref: Vec<[Var; 2]>,
    /// `[neq]`
    pub eq_solimp: Vec<[Var; 5]>,
    /// `[neq]`
    pub eq_data: Vec<[Var; 12]>,
    /// `[nsite]`
    pub site_pos: Vec<Vec3>,
    /// `[nsite]` Of unit length.
    pub site_quat: Vec<Quat>,

    /// `[nu]`
    pub actuator_gear: Vec<[Var; 6]>,
    /// `[nu]`
    pub actuator_dynprm: Vec<[Var; 10]>,
    /// `[nu]`
    pub actuator_gainprm: Vec<[Var; 10]>,
    /// `[nu]`
    pub actuator_biasprm: Vec<[Var; 10]>,
    /// `[nu]`
    pub actuator_ctrlrange: Vec<[Var; 2]>,
    /// `[nu]`
    pub actuator_forcerange: Vec<[Var; 2]>,
    /// `[nu]`
    pub actuator_actrange: Vec<[Var; 2]>,
}

impl Parameters {
    /// The numbers of a model, all constant.
    pub fn constant(model: &Model) -> Self {
        Self {
            timestep: model.opt.timestep.into(),
            gravity: Vec3::constant(model.opt.gravity),
            wind: Vec3::constant(model.opt.wind),
            density: model.opt.density.into(),
            viscosity: model.opt.viscosity.into(),
            qpos0: scalars(&model.qpos0),
            qpos_spring: scalars(&model.qpos_spring),
            body_pos: vectors(&model.body_pos),
            body_quat: quaternions(&model.body_quat),
            body_ipos: vectors(&model.body_ipos),
            body_iquat: quaternions(&model.body_iquat),
            body_mass: scalars(&model.body_mass),
            body_inertia: vectors(&model.body_inertia),
            body_invweight0: arrays(&model.body_invweight0),
            body_gravcomp: scalars(&model.body_gravcomp),
            jnt_pos: vectors(&model.jnt_pos),
            jnt_axis: vectors(&model.jnt_axis),
            jnt_stiffness: scalars(&model.jnt_stiffness),
            jnt_range: arrays(&model.jnt_range),
            jnt_margin: scalars(&model.jnt_margin),
            jnt_solref: arrays(&model.jnt_solref),
            jnt_solimp: arrays(&model.jnt_solimp),
            jnt_actfrcrange: arrays(&model.jnt_actfrcrange),
            dof_armature: scalars(&model.dof_armature),
            dof_damping: scalars(&model.dof_damping),
            dof_frictionloss: scalars(&model.dof_frictionloss),
            dof_solref: arrays(&model.dof_solref),
            dof_solimp: arrays(&model.dof_solimp),
            dof_invweight0: scalars(&model.dof_invweight0),
            geom_size: vectors(&model.geom_size),
            geom_pos: vectors(&model.geom_pos),
            geom_quat: quaternions(&model.geom_quat),
            geom_friction: arrays(&model.geom_friction),
            geom_margin: scalars(&model.geom_margin),
            geom_gap: scalars(&model.geom_gap),
            geom_solmix: scalars(&model.geom_solmix),
            geom_solref: arrays(&model.geom_solref),
            geom_solimp: arrays(&model.geom_solimp),
            eq_solref: arrays(&model.eq_solref),
            eq_solimp: arrays(&model.eq_solimp),
            eq_data: arrays(&model.eq_data),
            site_pos: vectors(&model.site_pos),
            site_quat: quaternions(&model.site_quat),
            actuator_gear: arrays(&model.actuator_gear),
            actuator_dynprm: arrays(&model.actuator_dynprm),
            actuator_gainprm: arrays(&model.actuator_gainprm),
            actuator_biasprm: arrays(&model.actuator_biasprm),
            actuator_ctrlrange: arrays(&model.actuator_ctrlrange),
            actuator_forcerange: arrays(&model.actuator_forcerange),
            actuator_actrange: arrays(&model.actuator_actrange),
        }
    }
}

impl Carry for Parameters {
    fn slots(&mut self, visit: &mut dyn FnMut(Slot<'_>)) {
        self.timestep.slots(visit);
        self.gravity.slots(visit);
        self.wind.slots(visit);
        self.density.slots(visit);
        self.viscosity.slots(visit);
        self.qpos0.slots(visit);
        self.qpos_spring.slots(visit);
        self.body_pos.slots(visit);
        self.body_quat.slots(visit);
        self.body_ipos.slots(visit);
        self.body_iquat.slots(visit);
        self.body_mass.slots(visit);
        self.body_inertia.slots(visit);
        self.body_invweight0.slots(visit);
        self.body_gravcomp.slots(visit);
        self.jnt_pos.slots(visit);
        self.jnt_axis.slots(visit);
        self.jnt_stiffness.slots(visit);
        self.jnt_range.slots(visit);
        self.jnt_margin.slots(visit);
        self.jnt_solref.slots(visit);
        self.jnt_solimp.slots(visit);
        self.jnt_actfrcrange.slots(visit);
        self.dof_armature.slots(visit);
        self.dof_damping.slots(visit);
        self.dof_frictionloss.slots(visit);
        self.dof_solref.slots(visit);
        self.dof_solimp.slots(visit);
        self.dof_invweight0.slots(visit);
        self.geom_size.slots(visit);
        self.geom_pos.slots(visit);
        self.geom_quat.slots(visit);
        self.geom_friction.slots(visit);
        self.geom_margin.slots(visit);
        self.geom_gap.slots(visit);
        self.geom_solmix.slots(visit);
        self.geom_solref.slots(visit);
        self.geom_solimp.slots(visit);
        self.eq_solref.slots(visit);
        self.eq_solimp.slots(visit);
        self.eq_data.slots(visit);
        self.site_pos.slots(visit);
        self.site_quat.slots(visit);
        self.actuator_gear.slots(visit);
        self.actuator_dynprm.slots(visit);
        self.actuator_gainprm.slots(visit);
        self.actuator_biasprm.slots(visit);
        self.actuator_ctrlrange.slots(visit);
        self.actuator_forcerange.slots(visit);
        self.actuator_actrange.slots(visit);
    }
}

fn scalars(values: &[f64]) -> Vec<Var> {
    values.iter().map(|&value| value.into()).collect()
}

fn arrays<const N: usize>(values: &[[f64; N]]) -> Vec<[Var; N]> {
    values.iter().map(|value| value.map(Var::from)).collect()
}

fn vectors(values: &[[f64; 3]]) -> Vec<Vec3> {
    values.iter().map(|&value| Vec3::constant(value)).collect()
}

fn quaternions(values: &[[f64; 4]]) -> Vec<Quat> {
    values.iter().map(|&value| Quat::constant(value)).collect()
}
