//! The compiled model: flat arrays named and ordered as in MuJoCo's `mjModel`.
//!
//! A [`Model`] is plain host data in f64 and SI units, quaternions w-x-y-z. It is derived from a
//! [`Scene`](crate::scene::Scene) with the semantics of MuJoCo's compiler (3.17), so that every
//! array equals `mjModel`'s. Where `mjModel` has −1 for "none", there is an [`Option`] here, or an
//! address that is meaningless because the matching count is 0.

mod actuators;
mod compile;
mod equalities;
mod fuse;
mod inertia;
mod names;
mod reference;
mod tree;

use std::ops::Range;

use crate::error::Error;
use crate::scene::Place;

pub use crate::scene::kinds::{
    Bias, Cone, Dynamics, Equality, Gain, Geom, Integrator, Jacobian, Joint, Object, Sensor,
    Solver, Tracking, Transmission,
};
pub use crate::scene::{Flags, Options, Statistics};
pub use names::Names;

/// What a geom adds to the mass and inertia of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum GeomMass {
    /// Nothing, or what cannot be told from the other geoms': the body's inertia is given, bounded, merged, or a shell's.
    #[default]
    None,
    /// A solid of this mass, kg, whatever its size.
    Fixed(f64),
    /// A solid of this density, kg/m³.
    Density(f64),
}

/// A compiled model. Shapes stand beside each array; `[n]` arrays of `[f64; k]` are MuJoCo's `n × k`.
///
/// Body 0 is the world. Bodies are in depth-first order, so a parent's id is below its children's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// The model's name (`<mujoco model="…">`).
    pub name: String,

    // Sizes.
    /// Generalized coordinates: length of `qpos`.
    pub nq: usize,
    /// Degrees of freedom: length of `qvel`.
    pub nv: usize,
    /// Controls, one per actuator.
    pub nu: usize,
    /// Activation states.
    pub na: usize,
    /// Bodies, the world included.
    pub nbody: usize,
    /// Joints.
    pub njnt: usize,
    /// Geoms.
    pub ngeom: usize,
    /// Sites.
    pub nsite: usize,
    /// Cameras.
    pub ncam: usize,
    /// Lights.
    pub nlight: usize,
    /// Materials.
    pub nmat: usize,
    /// Explicit contact pairs.
    pub npair: usize,
    /// Excluded body pairs.
    pub nexclude: usize,
    /// Equality constraints.
    pub neq: usize,
    /// Sensors.
    pub nsensor: usize,
    /// Numbers in all sensors' outputs.
    pub nsensordata: usize,
    /// Keyframes.
    pub nkey: usize,
    /// Mocap bodies.
    pub nmocap: usize,

    /// Options.
    pub opt: Options,
    /// Statistics at `qpos0`.
    pub stat: Statistics,
    /// The most contacts of each contact dimension between two moving links that are solved at once, where the model
    /// says so: `<custom><numeric name="max_contact_points" data="…"/></custom>`, the name that MJX reads. The deepest
    /// count. Contacts with what is fixed in the world have no such limit.
    pub max_contact_points: Option<usize>,

    // Reference configurations.
    /// `[nq]` Reference configuration: joints at `ref`, free bodies where the file puts them.
    pub qpos0: Vec<f64>,
    /// `[nq]` Configuration at which joint springs are at rest.
    pub qpos_spring: Vec<f64>,

    // Bodies.
    /// `[nbody]` Parent; the world is its own parent.
    pub body_parentid: Vec<usize>,
    /// `[nbody]` Ancestor that is a direct child of the world.
    pub body_rootid: Vec<usize>,
    /// `[nbody]` Topmost body that this one cannot move against.
    pub body_weldid: Vec<usize>,
    /// `[nbody]` Index among mocap bodies.
    pub body_mocapid: Vec<Option<usize>>,
    /// `[nbody]` Number of joints.
    pub body_jntnum: Vec<usize>,
    /// `[nbody]` First joint; meaningless where `body_jntnum` is 0.
    pub body_jntadr: Vec<usize>,
    /// `[nbody]` Number of degrees of freedom.
    pub body_dofnum: Vec<usize>,
    /// `[nbody]` First degree of freedom; meaningless where `body_dofnum` is 0.
    pub body_dofadr: Vec<usize>,
    /// `[nbody]` Kinematic tree; none for bodies welded to the world.
    pub body_treeid: Vec<Option<usize>>,
    /// `[nbody]` Number of geoms.
    pub body_geomnum: Vec<usize>,
    /// `[nbody]` First geom; meaningless where `body_geomnum` is 0.
    pub body_geomadr: Vec<usize>,
    /// `[nbody]` Position in the parent's frame, m.
    pub body_pos: Vec<[f64; 3]>,
    /// `[nbody]` Orientation in the parent's frame.
    pub body_quat: Vec<[f64; 4]>,
    /// `[nbody]` Centre of mass in the body's frame, m.
    pub body_ipos: Vec<[f64; 3]>,
    /// `[nbody]` Orientation of the principal axes of inertia in the body's frame.
    pub body_iquat: Vec<[f64; 4]>,
    /// `[nbody]` Mass, kg.
    pub body_mass: Vec<f64>,
    /// `[nbody]` Mass of the subtree that starts here, kg.
    pub body_subtreemass: Vec<f64>,
    /// `[nbody]` Principal moments of inertia in the `ipos`, `iquat` frame, kg·m².
    pub body_inertia: Vec<[f64; 3]>,
    /// `[nbody]` Products of inertia xy, xz, yz in the same frame, kg·m²: 0, since its axes are principal. Not in
    /// `mjModel`; a world whose geoms differ from the model's has others.
    pub body_products: Vec<[f64; 3]>,
    /// `[nbody]` Mean inverse inertia at `qpos0`: translation 1/kg, rotation 1/(kg·m²).
    pub body_invweight0: Vec<[f64; 2]>,
    /// `[nbody]` Anti-gravity force in units of body weight.
    pub body_gravcomp: Vec<f64>,

    // Joints.
    /// `[njnt]` Kind.
    pub jnt_type: Vec<Joint>,
    /// `[njnt]` First number in `qpos`.
    pub jnt_qposadr: Vec<usize>,
    /// `[njnt]` First degree of freedom.
    pub jnt_dofadr: Vec<usize>,
    /// `[njnt]` Body.
    pub jnt_bodyid: Vec<usize>,
    /// `[njnt]` Group for visibility.
    pub jnt_group: Vec<i32>,
    /// `[njnt]` Whether `jnt_range` holds.
    pub jnt_limited: Vec<bool>,
    /// `[njnt]` Whether `jnt_actfrcrange` holds.
    pub jnt_actfrclimited: Vec<bool>,
    /// `[njnt]` Whether gravity compensation counts as an actuator force.
    pub jnt_actgravcomp: Vec<bool>,
    /// `[njnt]` Limit constraint's reference.
    pub jnt_solref: Vec<[f64; 2]>,
    /// `[njnt]` Limit constraint's impedance.
    pub jnt_solimp: Vec<[f64; 5]>,
    /// `[njnt]` Anchor in the body's frame, m.
    pub jnt_pos: Vec<[f64; 3]>,
    /// `[njnt]` Unit axis in the body's frame.
    pub jnt_axis: Vec<[f64; 3]>,
    /// `[njnt]` Linear stiffness, N/m or N·m/rad.
    pub jnt_stiffness: Vec<f64>,
    /// `[njnt]` Limits, m or rad.
    pub jnt_range: Vec<[f64; 2]>,
    /// `[njnt]` Range of the total actuator force, N or N·m.
    pub jnt_actfrcrange: Vec<[f64; 2]>,
    /// `[njnt]` Distance at which a limit becomes active, m or rad.
    pub jnt_margin: Vec<f64>,

    // Degrees of freedom.
    /// `[nv]` Body.
    pub dof_bodyid: Vec<usize>,
    /// `[nv]` Joint.
    pub dof_jntid: Vec<usize>,
    /// `[nv]` The nearest degree of freedom towards the root.
    pub dof_parentid: Vec<Option<usize>>,
    /// `[nv]` Kinematic tree.
    pub dof_treeid: Vec<usize>,
    /// `[nv]` Friction loss constraint's reference.
    pub dof_solref: Vec<[f64; 2]>,
    /// `[nv]` Friction loss constraint's impedance.
    pub dof_solimp: Vec<[f64; 5]>,
    /// `[nv]` Dry friction, N or N·m.
    pub dof_frictionloss: Vec<f64>,
    /// `[nv]` Reflected inertia, kg or kg·m².
    pub dof_armature: Vec<f64>,
    /// `[nv]` Linear damping, N·s/m or N·m·s/rad.
    pub dof_damping: Vec<f64>,
    /// `[nv]` Diagonal of the inverse inertia at `qpos0`.
    pub dof_invweight0: Vec<f64>,
    /// `[nv]` Diagonal of the inertia at `qpos0` (`dof_M0`).
    pub dof_m0: Vec<f64>,

    // Geoms.
    /// `[ngeom]` Shape.
    pub geom_type: Vec<Geom>,
    /// `[ngeom]` Contact type bits.
    pub geom_contype: Vec<u32>,
    /// `[ngeom]` Contact affinity bits.
    pub geom_conaffinity: Vec<u32>,
    /// `[ngeom]` Contact dimension: 1, 3, 4 or 6.
    pub geom_condim: Vec<usize>,
    /// `[ngeom]` Body.
    pub geom_bodyid: Vec<usize>,
    /// `[ngeom]` Material.
    pub geom_matid: Vec<Option<usize>>,
    /// `[ngeom]` Group for visibility.
    pub geom_group: Vec<i32>,
    /// `[ngeom]` Contact priority.
    pub geom_priority: Vec<i32>,
    /// `[ngeom]` Weight when `solref` and `solimp` of a pair are mixed.
    pub geom_solmix: Vec<f64>,
    /// `[ngeom]` Contact reference.
    pub geom_solref: Vec<[f64; 2]>,
    /// `[ngeom]` Contact impedance.
    pub geom_solimp: Vec<[f64; 5]>,
    /// `[ngeom]` Size; its meaning depends on the shape, see [`Geom`].
    pub geom_size: Vec<[f64; 3]>,
    /// `[ngeom]` Radius of the bounding sphere, m; 0 for planes.
    pub geom_rbound: Vec<f64>,
    /// `[ngeom]` Position in the body's frame, m.
    pub geom_pos: Vec<[f64; 3]>,
    /// `[ngeom]` Orientation in the body's frame.
    pub geom_quat: Vec<[f64; 4]>,
    /// `[ngeom]` What it adds to its body's mass. Not in `mjModel`.
    pub geom_mass: Vec<GeomMass>,
    /// `[ngeom]` Friction: sliding, torsional (m), rolling (m).
    pub geom_friction: Vec<[f64; 3]>,
    /// `[ngeom]` Inflation for contact, m.
    pub geom_margin: Vec<f64>,
    /// `[ngeom]` Additional detection distance, m.
    pub geom_gap: Vec<f64>,
    /// `[ngeom]` Colour where there is no material.
    pub geom_rgba: Vec<[f32; 4]>,

    // Sites.
    /// `[nsite]` Shape.
    pub site_type: Vec<Geom>,
    /// `[nsite]` Body.
    pub site_bodyid: Vec<usize>,
    /// `[nsite]` Material.
    pub site_matid: Vec<Option<usize>>,
    /// `[nsite]` Group for visibility.
    pub site_group: Vec<i32>,
    /// `[nsite]` Size, m.
    pub site_size: Vec<[f64; 3]>,
    /// `[nsite]` Position in the body's frame, m.
    pub site_pos: Vec<[f64; 3]>,
    /// `[nsite]` Orientation in the body's frame.
    pub site_quat: Vec<[f64; 4]>,
    /// `[nsite]` Colour where there is no material.
    pub site_rgba: Vec<[f32; 4]>,

    // Cameras.
    /// `[ncam]` Body.
    pub cam_bodyid: Vec<usize>,
    /// `[ncam]` Position in the body's frame, m.
    pub cam_pos: Vec<[f64; 3]>,
    /// `[ncam]` Orientation in the body's frame.
    pub cam_quat: Vec<[f64; 4]>,
    /// `[ncam]` How it follows its body.
    pub cam_mode: Vec<Tracking>,
    /// `[ncam]` Body that it looks at.
    pub cam_targetbodyid: Vec<Option<usize>>,
    /// `[ncam]` Vertical field of view, degrees.
    pub cam_fovy: Vec<f64>,

    // Lights.
    /// `[nlight]` Body.
    pub light_bodyid: Vec<usize>,
    /// `[nlight]` Position in the body's frame, m.
    pub light_pos: Vec<[f64; 3]>,
    /// `[nlight]` Unit direction in the body's frame.
    pub light_dir: Vec<[f64; 3]>,
    /// `[nlight]` How it follows its body.
    pub light_mode: Vec<Tracking>,
    /// `[nlight]` Body that it points at.
    pub light_targetbodyid: Vec<Option<usize>>,

    // Materials.
    /// `[nmat]` Colour.
    pub mat_rgba: Vec<[f32; 4]>,

    // Contact pairs and exclusions.
    /// `[npair]` Contact dimension.
    pub pair_dim: Vec<usize>,
    /// `[npair]` First geom.
    pub pair_geom1: Vec<usize>,
    /// `[npair]` Second geom.
    pub pair_geom2: Vec<usize>,
    /// `[npair]` Reference, normal direction.
    pub pair_solref: Vec<[f64; 2]>,
    /// `[npair]` Reference, friction directions; 0, 0 stands for `pair_solref`.
    pub pair_solreffriction: Vec<[f64; 2]>,
    /// `[npair]` Impedance.
    pub pair_solimp: Vec<[f64; 5]>,
    /// `[npair]` Inflation, m.
    pub pair_margin: Vec<f64>,
    /// `[npair]` Additional detection distance, m.
    pub pair_gap: Vec<f64>,
    /// `[npair]` Friction: two tangents, spin, two rolls.
    pub pair_friction: Vec<[f64; 5]>,
    /// `[nexclude]` The two bodies, the smaller id first.
    pub exclude_bodies: Vec<[usize; 2]>,

    // Equality constraints.
    /// `[neq]` What is held together.
    pub eq_type: Vec<Equality>,
    /// `[neq]` Whether the two objects are bodies or sites; none for joints.
    pub eq_objtype: Vec<Option<Object>>,
    /// `[neq]` First body, site or joint.
    pub eq_obj1id: Vec<usize>,
    /// `[neq]` Second body, site or joint; none for a joint held at a constant.
    pub eq_obj2id: Vec<Option<usize>>,
    /// `[neq]` Whether it holds in the initial state.
    pub eq_active0: Vec<bool>,
    /// `[neq]` Reference.
    pub eq_solref: Vec<[f64; 2]>,
    /// `[neq]` Impedance.
    pub eq_solimp: Vec<[f64; 5]>,
    /// `[neq]` Connected bodies: anchor in the first's frame, and in the second's (3 each, m). Welded bodies: anchor
    /// in the second's frame, and in the first's (3 each, m), orientation of the second in the first (4). Welds:
    /// `torquescale` (at 10, m). Joints: the polynomial (5). The last number is 1 where a weld's pose is the
    /// reference configuration's.
    pub eq_data: Vec<[f64; 12]>,

    // Actuators.
    /// `[nu]` What it acts on.
    pub actuator_trntype: Vec<Transmission>,
    /// `[nu]` The joint it acts on.
    pub actuator_trnid: Vec<usize>,
    /// `[nu]` Activation dynamics.
    pub actuator_dyntype: Vec<Dynamics>,
    /// `[nu]` Gain.
    pub actuator_gaintype: Vec<Gain>,
    /// `[nu]` Bias.
    pub actuator_biastype: Vec<Bias>,
    /// `[nu]` First activation; none where stateless.
    pub actuator_actadr: Vec<Option<usize>>,
    /// `[nu]` Number of activations.
    pub actuator_actnum: Vec<usize>,
    /// `[nu]` Group; `opt.disableactuator` switches groups off.
    pub actuator_group: Vec<i32>,
    /// `[nu]` Whether `actuator_ctrlrange` holds.
    pub actuator_ctrllimited: Vec<bool>,
    /// `[nu]` Whether `actuator_forcerange` holds.
    pub actuator_forcelimited: Vec<bool>,
    /// `[nu]` Whether `actuator_actrange` holds.
    pub actuator_actlimited: Vec<bool>,
    /// `[nu]` Whether the force uses the next activation, not the current one.
    pub actuator_actearly: Vec<bool>,
    /// `[nu]` Dynamics parameters.
    pub actuator_dynprm: Vec<[f64; 10]>,
    /// `[nu]` Gain parameters.
    pub actuator_gainprm: Vec<[f64; 10]>,
    /// `[nu]` Bias parameters.
    pub actuator_biasprm: Vec<[f64; 10]>,
    /// `[nu]` Range of the control.
    pub actuator_ctrlrange: Vec<[f64; 2]>,
    /// `[nu]` Range of the force, N or N·m.
    pub actuator_forcerange: Vec<[f64; 2]>,
    /// `[nu]` Range of the activation.
    pub actuator_actrange: Vec<[f64; 2]>,
    /// `[nu]` Scale of length and transmitted force.
    pub actuator_gear: Vec<[f64; 6]>,
    /// `[nu]` Norm of the acceleration at `qpos0` from a unit force.
    pub actuator_acc0: Vec<f64>,
    /// `[nu]` Length at `qpos0`.
    pub actuator_length0: Vec<f64>,

    // Sensors.
    /// `[nsensor]` What it measures.
    pub sensor_type: Vec<Sensor>,
    /// `[nsensor]` What sort of object it is attached to; none for model-wide sensors.
    pub sensor_objtype: Vec<Option<Object>>,
    /// `[nsensor]` That object's id.
    pub sensor_objid: Vec<Option<usize>>,
    /// `[nsensor]` What sort of frame it is relative to; none for the world's.
    pub sensor_reftype: Vec<Option<Object>>,
    /// `[nsensor]` That frame's id.
    pub sensor_refid: Vec<Option<usize>>,
    /// `[nsensor]` Numbers in its output.
    pub sensor_dim: Vec<usize>,
    /// `[nsensor]` First number in `sensordata`.
    pub sensor_adr: Vec<usize>,
    /// `[nsensor]` Cut-off of the output; 0 ignores it.
    pub sensor_cutoff: Vec<f64>,
    /// `[nsensor]` Standard deviation of the noise (not applied by MuJoCo).
    pub sensor_noise: Vec<f64>,

    // Keyframes.
    /// `[nkey]` Time, s.
    pub key_time: Vec<f64>,
    /// `[nkey][nq]` Positions.
    pub key_qpos: Vec<Vec<f64>>,
    /// `[nkey][nv]` Velocities.
    pub key_qvel: Vec<Vec<f64>>,
    /// `[nkey][na]` Activations.
    pub key_act: Vec<Vec<f64>>,
    /// `[nkey][nu]` Controls.
    pub key_ctrl: Vec<Vec<f64>>,
    /// `[nkey][nmocap]` Positions of mocap bodies.
    pub key_mpos: Vec<Vec<[f64; 3]>>,
    /// `[nkey][nmocap]` Orientations of mocap bodies.
    pub key_mquat: Vec<Vec<[f64; 4]>>,

    // Names.
    /// Names of bodies; the world's is `world`.
    pub body_names: Names,
    /// Names of joints.
    pub jnt_names: Names,
    /// Names of geoms.
    pub geom_names: Names,
    /// Names of sites.
    pub site_names: Names,
    /// Names of cameras.
    pub cam_names: Names,
    /// Names of lights.
    pub light_names: Names,
    /// Names of materials.
    pub mat_names: Names,
    /// Names of equality constraints.
    pub eq_names: Names,
    /// Names of actuators.
    pub actuator_names: Names,
    /// Names of sensors.
    pub sensor_names: Names,
    /// Names of keyframes.
    pub key_names: Names,
}

impl Model {
    /// The joints of a body.
    pub fn body_joints(&self, body: usize) -> Range<usize> {
        self.body_jntadr[body]..self.body_jntadr[body] + self.body_jntnum[body]
    }

    /// The degrees of freedom of a body.
    pub fn body_dofs(&self, body: usize) -> Range<usize> {
        self.body_dofadr[body]..self.body_dofadr[body] + self.body_dofnum[body]
    }

    /// The geoms of a body.
    pub fn body_geoms(&self, body: usize) -> Range<usize> {
        self.body_geomadr[body]..self.body_geomadr[body] + self.body_geomnum[body]
    }

    /// The numbers of `qpos` that belong to a joint.
    pub fn joint_qpos(&self, joint: usize) -> Range<usize> {
        self.jnt_qposadr[joint]..self.jnt_qposadr[joint] + self.jnt_type[joint].nq()
    }

    /// The degrees of freedom that belong to a joint.
    pub fn joint_dofs(&self, joint: usize) -> Range<usize> {
        self.jnt_dofadr[joint]..self.jnt_dofadr[joint] + self.jnt_type[joint].nv()
    }
}

/// Puts the place and the element before an error.
fn locate(place: &Place, kind: &str, name: &str, error: Error) -> Error {
    let element = if name.is_empty() {
        format!("<{kind}>")
    } else {
        format!("<{kind} name='{name}'>")
    };
    place.locate(element, error)
}
