"""Equality constraints as MuJoCo has them: rows, forces, and one step, in states of each model.

equality.py [--states N] [--seed S] [--integrator NAME]... [--steps N] [--switch] MODEL.xml...

Prints a list with one object per model and integrator, as contact.py does. The first half of the states comes from
rollouts of random actions, where the constraints nearly hold; the others are random, so that they are broken by far.
For each state there are also the rows of equality constraints, `cfrc_ext`, `sensordata` and
`cfrc_int` but for the world's. `--steps`: also how far the constraints are broken at most in as many further steps from
each state of the first half, and the positions after them. `--switch`: each state has `eq_active` of its own, at random,
instead of the model's.
"""

import argparse
import json
import sys

import mujoco
import numpy as np

from contact import rollout_states
from states import random_states
from step import INTEGRATORS, converge

INPUTS = ["qpos", "qvel", "act", "ctrl", "qfrc", "xfrc"]
BEFORE = ["qacc", "xpos", "xquat", "qfrc_constraint"]
AFTER = ["cfrc_ext", "cfrc_int", "sensordata"]


def states(model, count, seed):
    """Half of the states nearly hold the constraints, the others do not."""
    half = count // 2
    near = rollout_states(model, half, seed)
    near["qfrc"], near["xfrc"] = np.zeros((half, model.nv)), np.zeros((half, 6 * model.nbody))
    far = dict(zip(INPUTS, random_states(model, count - half, seed)))
    for joint in np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_FREE):
        q = model.jnt_qposadr[joint]
        far["qpos"][:, q : q + 3] = model.qpos0[q : q + 3] + far["qpos"][:, q : q + 3] / 30
    both = {k: np.concatenate([near[k], far[k].reshape(count - half, -1)]) for k in INPUTS}
    return {**both, **mocap_poses(model, count, seed)}


def mocap_poses(model, count, seed):
    """Mocap bodies are near where the model puts them; their quaternions are not of unit length."""
    rng = np.random.default_rng(seed + 1)
    bodies = np.flatnonzero(model.body_mocapid >= 0)
    pos = model.body_pos[bodies] + 0.05 * rng.normal(size=(count, model.nmocap, 3))
    quat = model.body_quat[bodies] + 0.1 * rng.normal(size=(count, model.nmocap, 4))
    return {"mocap_pos": pos.reshape(count, -1), "mocap_quat": quat.reshape(count, -1)}


def rows(model, data):
    """Rows of equality constraints, flat: constraint, violation, D, aref, force, Jacobian."""
    jacobian = np.zeros((data.nefc, model.nv))
    if mujoco.mj_isSparse(model):
        mujoco.mju_sparse2dense(
            jacobian, data.efc_J, data.efc_J_rownnz, data.efc_J_rowadr, data.efc_J_colind
        )
    else:
        # There is room for rows that turned out to be empty.
        jacobian[:] = data.efc_J[: jacobian.size].reshape(jacobian.shape)
    columns = [data.efc_id, data.efc_pos, data.efc_D, data.efc_aref, data.efc_force]
    return np.column_stack([*columns, jacobian])[: data.ne].tolist()


def step_on(model, data):
    """Takes a step; returns how far the constraints were broken at its start."""
    mujoco.mj_step(model, data)
    return float(np.linalg.norm(data.efc_pos[: data.ne]))


def switches(model, count, seed, switch):
    """[count, neq] Which constraints hold."""
    rng = np.random.default_rng(seed + 2)
    return rng.random((count, model.neq)) < 0.5 if switch else np.tile(model.eq_active0, (count, 1))


def step(model, integrator, count, seed, steps, switch):
    model.opt.integrator = INTEGRATORS[integrator]
    inputs = {**states(model, count, seed), "eq_active": switches(model, count, seed, switch)}
    converge(model)
    # Any tolerance leaves 1e-8 in some states with elliptic cones.
    model.opt.tolerance = 0
    data = mujoco.MjData(model)
    others = "next_qpos next_qvel next_act ncon rows broken last_qpos".split()
    out = {name: [] for name in [*BEFORE, *AFTER, *others]}
    for k in range(count):
        mujoco.mj_resetData(model, data)
        for name in INPUTS[:4]:
            getattr(data, name)[:] = inputs[name][k]
        data.qfrc_applied[:] = inputs["qfrc"][k]
        data.xfrc_applied[:] = inputs["xfrc"][k].reshape(-1, 6)
        data.mocap_pos[:] = inputs["mocap_pos"][k].reshape(-1, 3)
        data.mocap_quat[:] = inputs["mocap_quat"][k].reshape(-1, 4)
        data.eq_active[:] = inputs["eq_active"][k]
        mujoco.mj_forward(model, data)
        for name in BEFORE:
            out[name].append(getattr(data, name).ravel().tolist())
        out["rows"].append(rows(model, data))
        out["ncon"].append(int(data.ncon))
        mujoco.mj_rnePostConstraint(model, data)
        for name in AFTER:
            out[name].append(getattr(data, name).ravel().tolist())
        out["cfrc_int"][-1] = out["cfrc_int"][-1][6:]
        mujoco.mj_step(model, data)
        for name in ["qpos", "qvel", "act"]:
            out["next_" + name].append(getattr(data, name).tolist())
        if k < count // 2 and steps:
            out["broken"].append(max(step_on(model, data) for _ in range(steps)))
            out["last_qpos"].append(data.qpos.tolist())
    return {"integrator": integrator, **{k: v.tolist() for k, v in inputs.items()}, **out}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--integrator", action="append", choices=list(INTEGRATORS))
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--switch", action="store_true")
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    out = []
    for path in args.models:
        for integrator in args.integrator or ["Euler"]:
            model = mujoco.MjModel.from_xml_path(path)
            told = step(model, integrator, args.states, args.seed, args.steps, args.switch)
            out.append({"path": path, **told})
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
