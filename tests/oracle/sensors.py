"""Sensors and what follows from accelerations, as MuJoCo has them in random states of each model.

sensors.py [--states N] [--seed S] [--near] [--elliptic] MODEL.xml...

Prints a list with one object per model: the states, and sensordata, cacc, cfrc_int, cfrc_ext, cinert, cvel, subtree_com,
subtree_linvel and subtree_angmom, flat, by state. `--near`: free bodies stay near where the model puts them, so that
they touch its floor. `--elliptic`: with elliptic friction cones.
"""

import argparse
import json
import sys

import mujoco
import numpy as np

from states import random_states

QUANTITIES = """
sensordata cacc cfrc_int cfrc_ext cinert cvel subtree_com subtree_linvel subtree_angmom
""".split()


def sense(model, count, seed, near):
    model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    # Any tolerance leaves 1e-8 in some states with elliptic cones.
    model.opt.tolerance = 0
    model.opt.ls_tolerance = 1e-10
    model.opt.iterations = 200
    model.opt.ls_iterations = 200
    data = mujoco.MjData(model)
    qpos, qvel, act, ctrl, qfrc, xfrc = random_states(model, count, seed)
    rng = np.random.default_rng(seed + 1)
    time = rng.uniform(0, 1, size=(count, 1))
    for joint in np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_FREE) if near else []:
        q = model.jnt_qposadr[joint]
        qpos[:, q : q + 3] = model.qpos0[q : q + 3] + rng.uniform(-1, 1, size=(count, 3)) * [1, 1, 0.15]
        tilt = 0.3 * rng.normal(size=(count, 4))
        qpos[:, q + 3 : q + 7] = model.qpos0[q + 3 : q + 7] + tilt * rng.integers(0, 2, size=(count, 1))
        qpos[:, q + 3 : q + 7] /= np.linalg.norm(qpos[:, q + 3 : q + 7], axis=1, keepdims=True)
    out = {name: [] for name in QUANTITIES + ["ncon"]}
    for k in range(count):
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:], data.act[:], data.ctrl[:] = qpos[k], qvel[k], act[k], ctrl[k]
        data.qfrc_applied[:], data.xfrc_applied[:] = qfrc[k], xfrc[k]
        data.time = time[k, 0]
        mujoco.mj_forward(model, data)
        mujoco.mj_subtreeVel(model, data)
        mujoco.mj_rnePostConstraint(model, data)
        for name in QUANTITIES:
            out[name].append(getattr(data, name).ravel().tolist())
        out["ncon"].append(int(data.ncon))
    inputs = {"qpos": qpos, "qvel": qvel, "act": act, "ctrl": ctrl, "qfrc": qfrc, "time": time}
    inputs["xfrc"] = xfrc.reshape(count, -1)
    return {**{k: v.tolist() for k, v in inputs.items()}, **out}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--near", action="store_true")
    parser.add_argument("--elliptic", action="store_true")
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    models = [mujoco.MjModel.from_xml_path(path) for path in args.models]
    for model in models if args.elliptic else []:
        model.opt.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    json.dump([sense(model, args.states, args.seed, args.near) for model in models], sys.stdout)


main()
