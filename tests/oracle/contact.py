"""One step from states of random-action rollouts of each model: in contact, falling, thrown about.

contact.py [--states N] [--seed S] [--integrator NAME]... [--cone NAME] [--impratio X] [--violent] MODEL.xml...

With --violent, every state is pushed into the ground, bent and thrown anew, so that no contact is where it was.

A model `gymnasium:NAME` is that package's asset. Prints a list with one object per model and integrator, as step.py
does, and the contacts of each state: distances, geoms, positions, frames and forces, and `qfrc_constraint`.
"""

import argparse
import json
import os
import sys

import mujoco
import numpy as np

from step import INTEGRATORS, converge


def find(path):
    if not path.startswith("gymnasium:"):
        return path
    import gymnasium

    folder = os.path.dirname(gymnasium.__file__)
    return os.path.join(folder, "envs/mujoco/assets", path.removeprefix("gymnasium:") + ".xml")


def rollout_states(model, count, seed):
    """States of episodes of random actions, with some turned and thrown anew near the ground."""
    rng = np.random.default_rng(seed)
    data = mujoco.MjData(model)
    limited = model.actuator_ctrllimited.astype(bool)[:, None]
    low, high = np.where(limited, model.actuator_ctrlrange, [-1.0, 1.0]).T
    out = {name: [] for name in ["qpos", "qvel", "act", "ctrl"]}
    mujoco.mj_resetData(model, data)
    while len(out["qpos"]) < count:
        if rng.uniform() < 0.05:
            mujoco.mj_resetData(model, data)
            for joint in range(model.njnt):
                q = model.jnt_qposadr[joint]
                if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
                    data.qpos[q : q + 2] = rng.normal(size=2)
                    data.qpos[q + 3 : q + 7] += rng.normal(size=4) * rng.choice([0.05, 1])
                elif model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE:
                    data.qpos[q] += rng.normal() * 0.3
            data.qvel[:] = rng.normal(size=model.nv) * rng.choice([0.1, 1, 3])
        for _ in range(rng.integers(5, 60)):
            data.ctrl[:] = rng.uniform(low, high) if rng.uniform() < 0.2 else data.ctrl
            mujoco.mj_step(model, data)
        if data.warning.number.any():
            mujoco.mj_resetData(model, data)
            continue
        for name, values in out.items():
            values.append(getattr(data, name).copy())
    # Who computes in single precision sees the same states: rounding a position by 6e-8 m alone changes the acceleration
    # of a contact with stiffness 1e4 /s² by 6e-4 m/s².
    return {name: np.float32(values).astype(np.float64).reshape(count, -1) for name, values in out.items()}


def disturb(model, states, seed):
    """Deeper, bent and faster: contacts of every kind appear, and the last state says nothing of them."""
    rng = np.random.default_rng(seed + 1)
    for qpos, qvel in zip(states["qpos"], states["qvel"]):
        reach = rng.choice([0.02, 0.1, 0.3])
        for joint in range(model.njnt):
            q = model.jnt_qposadr[joint]
            if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
                qpos[q + 2] -= rng.uniform(0, 0.1)
                qpos[q + 3 : q + 7] += rng.normal(size=4) * reach
            elif model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE:
                qpos[q] += rng.normal() * reach
        qvel += rng.normal(size=model.nv) * rng.choice([1, 10, 30])


def contacts(model, data):
    """The listed contacts, flat: geom1, geom2, distance, position, frame, force in the contact frame."""
    rows = []
    for k in range(data.ncon):
        contact, force = data.contact[k], np.zeros(6)
        mujoco.mj_contactForce(model, data, k, force)
        rows.append([*map(int, contact.geom), contact.dist, *contact.pos, *contact.frame, *force])
    return rows


def step(model, integrator, count, seed, violent):
    model.opt.integrator = INTEGRATORS[integrator]
    states = rollout_states(model, count, seed)
    if violent:
        disturb(model, states, seed)
    converge(model)
    # With elliptic cones any tolerance leaves 1e-8 in some states: the cost no longer tells better from good.
    model.opt.tolerance = 0
    data = mujoco.MjData(model)
    names = ["next_qpos", "next_qvel", "next_act", "qacc", "xpos", "xquat", "qfrc_constraint"]
    out = {name: [] for name in [*names, "nefc", "ncon", "contacts"]}
    for k in range(count):
        mujoco.mj_resetData(model, data)
        for name, values in states.items():
            getattr(data, name)[:] = values[k]
        mujoco.mj_forward(model, data)
        for name in ["qacc", "xpos", "xquat", "qfrc_constraint"]:
            out[name].append(getattr(data, name).ravel().tolist())
        out["nefc"].append(int(data.nefc))
        out["ncon"].append(int(data.ncon))
        out["contacts"].append(contacts(model, data))
        mujoco.mj_step(model, data)
        for name in ["qpos", "qvel", "act"]:
            out["next_" + name].append(getattr(data, name).tolist())
    zeros = {"qfrc": np.zeros((count, model.nv)), "xfrc": np.zeros((count, 6 * model.nbody))}
    inputs = {k: v.tolist() for k, v in {**states, **zeros}.items()}
    return {"integrator": integrator, **inputs, **out}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--integrator", action="append", choices=list(INTEGRATORS))
    parser.add_argument("--cone", choices=["pyramidal", "elliptic"])
    parser.add_argument("--impratio", type=float)
    parser.add_argument("--violent", action="store_true")
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    out = []
    for name in args.models:
        path = find(name)
        for integrator in args.integrator or ["Euler"]:
            model = mujoco.MjModel.from_xml_path(path)
            if args.cone:
                model.opt.cone = getattr(mujoco.mjtCone, f"mjCONE_{args.cone.upper()}")
            if args.impratio:
                model.opt.impratio = args.impratio
            result = step(model, integrator, args.states, args.seed, args.violent)
            out.append({"path": path, **result})
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
