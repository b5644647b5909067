use manyworlds::model::*;
use serde_json::Value;
fn f(v: &Value) -> f64 {
    v.as_f64().unwrap()
}
fn u(v: &Value) -> usize {
    v.as_i64().unwrap().max(0) as usize
}
fn arr<T>(v: &Value, g: impl Fn(&Value) -> T) -> Vec<T> {
    v.as_array().unwrap().iter().map(g).collect()
}
fn fa<const N: usize>(v: &Value) -> [f64; N] {
    let a = arr(v, f);
    std::array::from_fn(|i| a[i])
}
fn b(v: &Value) -> bool {
    v.as_bool().unwrap_or_else(|| v.as_i64().unwrap() != 0)
}
pub(crate) fn model(v: &Value) -> Model {
    let mut m = Model::default();
    macro_rules! sz{($($n:ident)*)=>{$(m.$n=u(&v[stringify!($n)]);)*}}
    sz!(nq nv nu na nbody njnt ngeom nsite);
    macro_rules! fl{($($n:ident)*)=>{$(m.$n=arr(&v[stringify!($n)],f);)*}}
    fl!(qpos0 qpos_spring body_mass body_subtreemass body_gravcomp jnt_margin dof_frictionloss dof_invweight0);
    m.jnt_stiffness = arr(&v["jnt_stiffness"], |x| x.as_f64().unwrap());
    m.dof_damping = arr(&v["dof_damping"], f);
    m.dof_armature = arr(&v["dof_armature"], f);
    macro_rules! us{($($n:ident)*)=>{$(m.$n=arr(&v[stringify!($n)],u);)*}}
    us!(body_parentid body_rootid body_weldid body_jntnum body_jntadr body_dofnum body_dofadr body_geomnum body_geomadr jnt_qposadr jnt_dofadr jnt_bodyid dof_bodyid dof_jntid actuator_actnum);
    macro_rules! fv{($($n:ident)*)=>{$(m.$n=arr(&v[stringify!($n)],fa);)*}}
    fv!(body_pos body_quat body_ipos body_iquat body_inertia body_invweight0 jnt_solref jnt_solimp jnt_pos jnt_axis jnt_range jnt_actfrcrange dof_solref dof_solimp actuator_dynprm actuator_gainprm actuator_biasprm actuator_ctrlrange actuator_forcerange actuator_actrange actuator_gear);
    macro_rules! bo{($($n:ident)*)=>{$(m.$n=arr(&v[stringify!($n)],b);)*}}
    bo!(jnt_limited jnt_actfrclimited jnt_actgravcomp actuator_ctrllimited actuator_forcelimited actuator_actlimited actuator_actearly);
    m.body_mocapid = arr(&v["body_mocapid"], |x| {
        usize::try_from(x.as_i64().unwrap()).ok()
    });
    m.jnt_type = arr(&v["jnt_type"], |x| {
        [Joint::Free, Joint::Ball, Joint::Slide, Joint::Hinge][u(x)]
    });
    m.dof_parentid = arr(&v["dof_parentid"], |x| {
        usize::try_from(x.as_i64().unwrap()).ok()
    });
    m.actuator_trntype = arr(&v["actuator_trntype"], |x| {
        [Transmission::Joint, Transmission::JointInParent][u(x)]
    });
    m.actuator_trnid = arr(&v["actuator_trnid"], |x| u(&x[0]));
    m.actuator_dyntype = arr(&v["actuator_dyntype"], |x| {
        [
            Dynamics::None,
            Dynamics::Integrator,
            Dynamics::Filter,
            Dynamics::FilterExact,
        ][u(x)]
    });
    m.actuator_gaintype = arr(&v["actuator_gaintype"], |x| {
        [Gain::Fixed, Gain::Affine][u(x)]
    });
    m.actuator_biastype = arr(&v["actuator_biastype"], |x| {
        [Bias::None, Bias::Affine][u(x)]
    });
    m.actuator_actadr = arr(&v["actuator_actadr"], |x| {
        usize::try_from(x.as_i64().unwrap()).ok()
    });
    m.actuator_group = arr(&v["actuator_group"], |x| x.as_i64().unwrap() as i32);
    let o = &v["opt"];
    m.opt.timestep = f(&o["timestep"]);
    m.opt.gravity = fa(&o["gravity"]);
    m.opt.density = f(&o["density"]);
    m.opt.viscosity = f(&o["viscosity"]);
    m.opt.wind = fa(&o["wind"]);
    m
}
