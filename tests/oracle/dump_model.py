"""Prints MuJoCo's compiled model (mjModel) of each MJCF file as JSON: {path: {field: array} or {"error": text}}.

`--packages` adds the models that gymnasium and dm_control bring along.
"""

import json
import os
import sys
import tempfile

import mujoco
import numpy as np

ARRAYS = """
qpos0 qpos_spring
body_parentid body_rootid body_weldid body_mocapid body_jntnum body_jntadr body_dofnum body_dofadr body_treeid
body_geomnum body_geomadr body_pos body_quat body_ipos body_iquat body_mass body_subtreemass body_inertia
body_invweight0 body_gravcomp
jnt_type jnt_qposadr jnt_dofadr jnt_bodyid jnt_group jnt_limited jnt_actfrclimited jnt_actgravcomp jnt_solref
jnt_solimp jnt_pos jnt_axis jnt_stiffness jnt_range jnt_actfrcrange jnt_margin
dof_bodyid dof_jntid dof_parentid dof_treeid dof_solref dof_solimp dof_frictionloss dof_armature dof_damping
dof_invweight0 dof_M0
geom_type geom_contype geom_conaffinity geom_condim geom_bodyid geom_matid geom_group geom_priority geom_solmix
geom_solref geom_solimp geom_size geom_rbound geom_pos geom_quat geom_friction geom_margin geom_gap geom_rgba
site_type site_bodyid site_matid site_group site_size site_pos site_quat site_rgba
cam_bodyid cam_pos cam_quat cam_mode cam_targetbodyid cam_fovy
light_bodyid light_pos light_dir light_mode light_targetbodyid
mat_rgba
pair_dim pair_geom1 pair_geom2 pair_solref pair_solreffriction pair_solimp pair_margin pair_gap pair_friction
exclude_signature
eq_type eq_obj1id eq_obj2id eq_objtype eq_active0 eq_solref eq_solimp eq_data
actuator_trntype actuator_trnid actuator_dyntype actuator_gaintype actuator_biastype actuator_actadr actuator_actnum
actuator_group actuator_ctrllimited actuator_forcelimited actuator_actlimited actuator_actearly actuator_dynprm
actuator_gainprm actuator_biasprm actuator_ctrlrange actuator_forcerange actuator_actrange actuator_gear
actuator_acc0 actuator_length0
sensor_objtype sensor_objid sensor_reftype sensor_refid sensor_dim sensor_adr sensor_cutoff sensor_noise
key_time key_qpos key_qvel key_act key_ctrl key_mpos key_mquat
""".split()

SIZES = "nq nv nu na nbody njnt ngeom nsite ncam nlight nmat npair nexclude neq nsensor nsensordata nkey nmocap".split()

OPTIONS = """
timestep impratio tolerance ls_tolerance noslip_tolerance ccd_tolerance sleep_tolerance gravity wind magnetic density
viscosity o_margin o_solref o_solimp o_friction integrator cone jacobian solver iterations ls_iterations
noslip_iterations ccd_iterations sdf_initpoints sdf_iterations disableactuator disableflags enableflags
""".split()

NAMED = {
    "body": mujoco.mjtObj.mjOBJ_BODY,
    "jnt": mujoco.mjtObj.mjOBJ_JOINT,
    "geom": mujoco.mjtObj.mjOBJ_GEOM,
    "site": mujoco.mjtObj.mjOBJ_SITE,
    "cam": mujoco.mjtObj.mjOBJ_CAMERA,
    "light": mujoco.mjtObj.mjOBJ_LIGHT,
    "mat": mujoco.mjtObj.mjOBJ_MATERIAL,
    "eq": mujoco.mjtObj.mjOBJ_EQUALITY,
    "actuator": mujoco.mjtObj.mjOBJ_ACTUATOR,
    "sensor": mujoco.mjtObj.mjOBJ_SENSOR,
    "key": mujoco.mjtObj.mjOBJ_KEY,
}


def dump(path):
    try:
        model = mujoco.MjModel.from_xml_path(path)
    except ValueError as error:
        return {"error": str(error)}
    out = {name: getattr(model, name).tolist() for name in ARRAYS}
    out |= {name: int(getattr(model, name)) for name in SIZES}
    out["opt"] = {name: np.asarray(getattr(model.opt, name)).tolist() for name in OPTIONS}
    statistics = ("meaninertia", "meanmass", "meansize", "extent", "center")
    out["stat"] = {name: np.asarray(getattr(model.stat, name)).tolist() for name in statistics}
    counts = {"jnt": model.njnt, "cam": model.ncam, "mat": model.nmat, "actuator": model.nactuator}
    for name, kind in NAMED.items():
        count = counts.get(name, getattr(model, f"n{name}", 0))
        out[f"{name}_names"] = [mujoco.mj_id2name(model, kind, i) or "" for i in range(count)]
    kinds = [mujoco.mjtSensor(kind).name.removeprefix("mjSENS_").lower() for kind in model.sensor_type]
    out["sensor_kinds"] = ["jointactuatorfrc" if kind == "jointactfrc" else kind for kind in kinds]
    return out


def packages():
    import dm_control
    import gymnasium

    for package in (gymnasium, dm_control):
        for folder, _, names in sorted(os.walk(os.path.dirname(package.__file__))):
            yield from sorted(os.path.join(folder, name) for name in names if name.endswith(".xml"))


def main():
    paths = [argument for argument in sys.argv[1:] if argument != "--packages"]
    if "--packages" in sys.argv:
        paths += packages()
    paths = [os.path.abspath(path) for path in paths]
    os.chdir(tempfile.gettempdir())  # MuJoCo leaves a log of its warnings where it runs
    json.dump({path: dump(path) for path in paths}, sys.stdout)


if __name__ == "__main__":
    main()
