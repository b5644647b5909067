//! A model's arrays as flat numbers, named and encoded as in `mjModel`.

use manyworlds::model::{Bias, Dynamics, Equality, Gain, Geom, Joint, Model, Object, Transmission};
use manyworlds::model::{Cone, Integrator, Jacobian, Solver, Tracking};

/// Something that MuJoCo stores as numbers.
trait Flat {
    fn flat(&self, out: &mut Vec<f64>);
}

macro_rules! number {
    ($($kind:ty),+) => { $(impl Flat for $kind {
        fn flat(&self, out: &mut Vec<f64>) { out.push(*self as f64); }
    })+ };
}
number!(f64, f32, i32, usize);

/// MuJoCo's integers are signed.
impl Flat for u32 {
    fn flat(&self, out: &mut Vec<f64>) {
        out.push(f64::from(self.cast_signed()));
    }
}
impl Flat for bool {
    fn flat(&self, out: &mut Vec<f64>) {
        out.push(f64::from(*self));
    }
}
impl<T: Flat, const N: usize> Flat for [T; N] {
    fn flat(&self, out: &mut Vec<f64>) {
        self.iter().for_each(|item| item.flat(out));
    }
}
impl<T: Flat> Flat for Vec<T> {
    fn flat(&self, out: &mut Vec<f64>) {
        self.iter().for_each(|item| item.flat(out));
    }
}
impl Flat for Option<usize> {
    fn flat(&self, out: &mut Vec<f64>) {
        out.push(self.map_or(-1.0, |id| id as f64));
    }
}

/// An enumeration with MuJoCo's numbers.
macro_rules! code {
    ($kind:ty, $($variant:ident = $code:expr),+ $(,)?) => {
        impl Flat for $kind {
            fn flat(&self, out: &mut Vec<f64>) {
                out.push(match self { $(<$kind>::$variant => f64::from($code),)+ });
            }
        }
    };
}
code!(Joint, Free = 0, Ball = 1, Slide = 2, Hinge = 3);
code!(
    Geom,
    Plane = 0,
    Sphere = 2,
    Capsule = 3,
    Ellipsoid = 4,
    Cylinder = 5,
    Box = 6
);
code!(Equality, Connect = 0, Weld = 1, Joint = 2);
code!(Transmission, Joint = 0, JointInParent = 1);
code!(
    Dynamics,
    None = 0,
    Integrator = 1,
    Filter = 2,
    FilterExact = 3
);
code!(Gain, Fixed = 0, Affine = 1);
code!(Bias, None = 0, Affine = 1);
code!(
    Integrator,
    Euler = 0,
    Rk4 = 1,
    Implicit = 2,
    ImplicitFast = 3
);
code!(Cone, Pyramidal = 0, Elliptic = 1);
code!(Jacobian, Dense = 0, Sparse = 1, Auto = 2);
code!(Solver, Pgs = 0, Cg = 1, Newton = 2);
code!(
    Tracking,
    Fixed = 0,
    Track = 1,
    TrackCom = 2,
    TargetBody = 3,
    TargetBodyCom = 4
);
code!(
    Object,
    Body = 1,
    XBody = 2,
    Joint = 3,
    Geom = 5,
    Site = 6,
    Camera = 7,
    Actuator = 19
);

impl Flat for Option<Object> {
    fn flat(&self, out: &mut Vec<f64>) {
        match self {
            Some(object) => object.flat(out),
            None => out.push(0.0),
        }
    }
}

/// Addresses are −1 in MuJoCo where the matching count is 0.
fn addresses(addresses: &[usize], counts: &[usize]) -> Vec<Option<usize>> {
    addresses
        .iter()
        .zip(counts)
        .map(|(&address, &count)| (count > 0).then_some(address))
        .collect()
}

fn joint_targets(model: &Model) -> Vec<[i32; 2]> {
    model
        .actuator_trnid
        .iter()
        .map(|&joint| [joint as i32, -1])
        .collect()
}

fn signatures(model: &Model) -> Vec<usize> {
    model
        .exclude_bodies
        .iter()
        .map(|[a, b]| (a << 16) + b)
        .collect()
}

/// Every field with a counterpart in `mjModel`; `group.name` is in a nested struct.
pub(crate) fn fields(m: &Model) -> Vec<(&'static str, Vec<f64>)> {
    let mut out = Vec::new();
    let mut add = |name: &'static str, value: &dyn Flat| {
        let mut numbers = Vec::new();
        value.flat(&mut numbers);
        out.push((name, numbers));
    };
    macro_rules! same {
        ($($name:ident)+) => { $(add(stringify!($name), &m.$name);)+ };
    }
    macro_rules! nested {
        ($group:ident: $($name:ident)+) => { $(add(concat!(stringify!($group), ".", stringify!($name)), &m.$group.$name);)+ };
    }
    same!(nq nv nu na nbody njnt ngeom nsite ncam nlight nmat npair nexclude neq nsensor nsensordata nkey nmocap);
    same!(qpos0 qpos_spring body_parentid body_rootid body_weldid body_mocapid body_jntnum body_dofnum body_treeid
        body_geomnum body_pos body_quat body_ipos body_iquat body_mass body_subtreemass body_inertia body_invweight0 body_gravcomp);
    add("body_jntadr", &addresses(&m.body_jntadr, &m.body_jntnum));
    add("body_dofadr", &addresses(&m.body_dofadr, &m.body_dofnum));
    add("body_geomadr", &addresses(&m.body_geomadr, &m.body_geomnum));
    same!(jnt_type jnt_qposadr jnt_dofadr jnt_bodyid jnt_group jnt_limited jnt_actfrclimited jnt_actgravcomp jnt_solref
        jnt_solimp jnt_pos jnt_axis jnt_stiffness jnt_range jnt_actfrcrange jnt_margin);
    same!(dof_bodyid dof_jntid dof_parentid dof_treeid dof_solref dof_solimp dof_frictionloss dof_armature dof_damping
        dof_invweight0);
    add("dof_M0", &m.dof_m0);
    same!(geom_type geom_contype geom_conaffinity geom_condim geom_bodyid geom_matid geom_group geom_priority geom_solmix
        geom_solref geom_solimp geom_size geom_rbound geom_pos geom_quat geom_friction geom_margin geom_gap geom_rgba);
    same!(site_type site_bodyid site_matid site_group site_size site_pos site_quat site_rgba);
    same!(cam_bodyid cam_pos cam_quat cam_mode cam_targetbodyid cam_fovy);
    same!(light_bodyid light_pos light_dir light_mode light_targetbodyid mat_rgba);
    same!(pair_dim pair_geom1 pair_geom2 pair_solref pair_solreffriction pair_solimp pair_margin pair_gap pair_friction);
    add("exclude_signature", &signatures(m));
    same!(eq_type eq_objtype eq_obj1id eq_obj2id eq_active0 eq_solref eq_solimp eq_data);
    add("actuator_trnid", &joint_targets(m));
    same!(actuator_trntype actuator_dyntype actuator_gaintype actuator_biastype actuator_actadr actuator_actnum
        actuator_group actuator_ctrllimited actuator_forcelimited actuator_actlimited actuator_actearly actuator_dynprm
        actuator_gainprm actuator_biasprm actuator_ctrlrange actuator_forcerange actuator_actrange actuator_gear
        actuator_acc0 actuator_length0);
    same!(sensor_objtype sensor_objid sensor_reftype sensor_refid sensor_dim sensor_adr sensor_cutoff sensor_noise);
    same!(key_time key_qpos key_qvel key_act key_ctrl key_mpos key_mquat);
    nested!(opt: timestep impratio tolerance ls_tolerance noslip_tolerance ccd_tolerance sleep_tolerance gravity wind
        magnetic density viscosity o_margin o_solref o_solimp o_friction integrator cone jacobian solver iterations
        ls_iterations noslip_iterations ccd_iterations sdf_initpoints sdf_iterations disableactuator);
    nested!(stat: meaninertia meanmass meansize extent center);
    let (disable, enable) = m.opt.flags.to_bits();
    add("opt.disableflags", &disable);
    add("opt.enableflags", &enable);
    out
}
