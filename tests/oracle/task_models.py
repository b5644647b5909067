"""Differences between a task's model and the model whose parameters it has.

task_models.py MODEL.xml PACKAGE:FILE      PACKAGE is gymnasium or dm_control; FILE lies in its folder of models

Prints an object: the largest difference of every physical array of mjModel, or "shape" where the shapes differ.
Names, colours and what is only drawn are not compared, nor are tendons and sensors, which only measure here.
"""

import json
import sys
from pathlib import Path

import mujoco
import numpy as np

ARRAYS = [
    "qpos0", "qpos_spring",
    "body_parentid", "body_jntnum", "body_dofnum", "body_pos", "body_quat", "body_ipos", "body_mass", "body_inertia",
    "jnt_type", "jnt_bodyid", "jnt_pos", "jnt_axis", "jnt_stiffness", "jnt_range", "jnt_limited", "jnt_margin",
    "jnt_solref", "jnt_solimp",
    "dof_armature", "dof_damping", "dof_frictionloss",
    "geom_type", "geom_contype", "geom_conaffinity", "geom_condim", "geom_priority", "geom_bodyid", "geom_size",
    "geom_pos", "geom_friction", "geom_margin", "geom_gap", "geom_solmix", "geom_solref", "geom_solimp",
    "actuator_trntype", "actuator_trnid", "actuator_gear", "actuator_gaintype", "actuator_gainprm",
    "actuator_biastype", "actuator_biasprm", "actuator_ctrllimited", "actuator_ctrlrange", "actuator_forcelimited",
]
OPTIONS = ["timestep", "gravity", "integrator", "cone", "impratio", "disableflags", "enableflags"]


def package_model(source):
    package, file = source.split(":")
    if package == "gymnasium":
        import gymnasium

        folder = Path(gymnasium.__file__).parent / "envs/mujoco/assets"
        return mujoco.MjModel.from_xml_path(str(folder / file))
    from dm_control.suite import common

    text = common.read_model(file)
    text = text.decode() if isinstance(text, bytes) else text
    return mujoco.MjModel.from_xml_string(text, common.ASSETS)


def frames(model):
    """Orientations as matrices: a quaternion and its negative are the same."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return data.geom_xmat, data.xmat


def difference(ours, theirs):
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if ours.shape != theirs.shape:
        return "shape"
    return float(np.abs(ours - theirs).max()) if ours.size else 0.0


def main():
    ours, theirs = mujoco.MjModel.from_xml_path(sys.argv[1]), package_model(sys.argv[2])
    out = {name: difference(getattr(ours, name), getattr(theirs, name)) for name in ARRAYS}
    out |= {f"option {name}": difference(getattr(ours.opt, name), getattr(theirs.opt, name)) for name in OPTIONS}
    # A capsule looks the same from both ends and all around: what it is like, is where its axis points.
    (geoms, bodies), (other_geoms, other_bodies) = frames(ours), frames(theirs)
    out["xmat"] = difference(bodies, other_bodies)
    if geoms.shape == other_geoms.shape:
        axes, other = geoms[:, 2::3], other_geoms[:, 2::3]
        out["geom axis"] = float((1 - np.abs((axes * other).sum(axis=1))).max())
    print(json.dumps(out))


main()
