"""Accelerations of a model's bodies in states with many contacts between them, of which only the deepest push.

deepest.py MODEL.xml [--keep K] [--states N] [--seed S]

Free bodies are put at random into a small volume. Prints an object: the states as step.py does, `needed`, the number of
contacts between bodies that move, and `qacc` where all of those but the K deepest are left out [state]. Every pair of
geoms must have one contact at most.
"""

import argparse
import json

import mujoco
import numpy as np

from step import converge


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--keep", type=int, default=4)
    parser.add_argument("--states", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = mujoco.MjModel.from_xml_path(options.model)
    converge(model)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(options.seed)
    left_out = set()
    mujoco.set_mjcb_contactfilter(lambda model, data, a, b: int((min(a, b), max(a, b)) in left_out))

    names = ["qpos", "qvel", "needed", "qacc"]
    out = {name: [] for name in names}
    for _ in range(options.states):
        mujoco.mj_resetData(model, data)
        spread = rng.uniform(0.08, 0.2)
        for body in range(1, model.nbody):
            place = rng.uniform(-spread, spread, size=3) + [0, 0, 0.09 + spread]
            data.qpos[7 * (body - 1) : 7 * (body - 1) + 3] = place
        data.qvel[:] = rng.normal(size=model.nv)
        left_out.clear()
        mujoco.mj_forward(model, data)
        moving = [c for c in data.contact if model.body_weldid[model.geom_bodyid[c.geom]].all()]
        moving.sort(key=lambda contact: contact.dist)
        out["needed"].append(len(moving))
        left_out.update((int(min(c.geom)), int(max(c.geom))) for c in moving[options.keep :])
        mujoco.mj_forward(model, data)
        for name in ["qpos", "qvel", "qacc"]:
            out[name].append(getattr(data, name).tolist())
    for name, size in [("act", model.na), ("ctrl", model.nu), ("qfrc", model.nv), ("xfrc", 6 * model.nbody)]:
        out[name] = np.zeros((options.states, size)).tolist()
    print(json.dumps(out))


main()
