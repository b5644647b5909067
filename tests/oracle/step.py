"""One step from random states of each model, as MuJoCo takes it.

step.py [--states N] [--seed S] [--integrator NAME]... MODEL.xml...

Prints a list with one object per model and integrator: the model's arrays, the states, and after `mj_step` the state,
with frames and accelerations of the start from `mj_forward`.
"""

import argparse
import json
import sys

import mujoco
import numpy as np

from states import random_states

INTEGRATORS = {
    "Euler": mujoco.mjtIntegrator.mjINT_EULER,
    "RK4": mujoco.mjtIntegrator.mjINT_RK4,
    "implicitfast": mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
}


def converge(model):
    """Lets MuJoCo solve its constraints as exactly as it can."""
    model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    model.opt.tolerance = 1e-14
    model.opt.ls_tolerance = 1e-10
    model.opt.iterations = 200
    model.opt.ls_iterations = 200


def step(model, integrator, count, seed):
    model.opt.integrator = INTEGRATORS[integrator]
    converge(model)
    data = mujoco.MjData(model)
    qpos, qvel, act, ctrl, qfrc, xfrc = random_states(model, count, seed)
    names = ["next_qpos", "next_qvel", "next_act", "qacc", "xpos", "xquat", "nefc", "warnings"]
    out = {name: [] for name in names}
    for k in range(count):
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:], data.act[:], data.ctrl[:] = qpos[k], qvel[k], act[k], ctrl[k]
        data.qfrc_applied[:], data.xfrc_applied[:] = qfrc[k], xfrc[k]
        mujoco.mj_forward(model, data)
        out["qacc"].append(data.qacc.tolist())
        out["xpos"].append(data.xpos.ravel().tolist())
        out["xquat"].append(data.xquat.ravel().tolist())
        out["nefc"].append(int(data.nefc))
        mujoco.mj_step(model, data)
        out["next_qpos"].append(data.qpos.tolist())
        out["next_qvel"].append(data.qvel.tolist())
        out["next_act"].append(data.act.tolist())
        out["warnings"].append(int(data.warning.number.sum()))
    inputs = {"qpos": qpos, "qvel": qvel, "act": act, "ctrl": ctrl, "qfrc": qfrc, "xfrc": xfrc.reshape(count, -1)}
    return {"integrator": integrator, **{k: v.tolist() for k, v in inputs.items()}, **out}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--integrator", action="append", choices=list(INTEGRATORS))
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    out = []
    for path in args.models:
        model = mujoco.MjModel.from_xml_path(path)
        for integrator in args.integrator or ["Euler"]:
            out.append({"path": path, **step(model, integrator, args.states, args.seed)})
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
