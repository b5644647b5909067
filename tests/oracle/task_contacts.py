"""Control steps in contact: what contacts did over the substeps, by pair and by body, and sensors after them.

task_contacts.py MODEL.xml [--states N] [--substeps K] [--seed S] [--geoms A B]... [--links A B]... [--link A]...

Prints an object: `qpos`, `qvel`, `ctrl` [state], exact in single precision, where each control step starts; `forces`
[state][request], the mean over the substeps of the force on A (by B, or by everything) and its largest magnitude, in the
order geoms, links, link; after the control step [state] `sensordata` of the state that it arrived at under the same
controls (mj_forward), and `evaluated`, what mj_step left; and `touching` [state][request], in how many substeps.
"""

import argparse
import json

import mujoco
import numpy as np

from step import converge


def forces(model, data, requests):
    """The force on the first of each request by the second."""
    sums = np.zeros((len(requests), 3))
    for k in range(data.ncon):
        contact, local = data.contact[k], np.zeros(6)
        mujoco.mj_contactForce(model, data, k, local)
        force = contact.frame.reshape(3, 3).T @ local[:3]
        bodies = model.geom_bodyid[contact.geom]
        for sum, (kind, first, second) in zip(sums, requests):
            ids = contact.geom if kind == "geoms" else bodies
            if ids[1] == first and second in (None, ids[0]):
                sum += force
            elif ids[0] == first and second in (None, ids[1]):
                sum -= force
    return sums


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--states", type=int, default=50)
    parser.add_argument("--substeps", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--geoms", nargs=2, action="append", default=[])
    parser.add_argument("--links", nargs=2, action="append", default=[])
    parser.add_argument("--link", action="append", default=[])
    options = parser.parse_args()
    model = mujoco.MjModel.from_xml_path(options.model)
    converge(model)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(options.seed)
    requests = [("geoms", *(model.geom(name).id for name in pair)) for pair in options.geoms]
    requests += [("links", *(model.body(name).id for name in pair)) for pair in options.links]
    requests += [("link", model.body(name).id, None) for name in options.link]

    single = lambda values: np.asarray(values, dtype=np.float32).astype(np.float64)
    names = ["qpos", "qvel", "ctrl", "forces", "touching", "sensordata", "evaluated"]
    out = {name: [] for name in names}
    for state in range(options.states):
        if state % 10 == 0:
            mujoco.mj_resetData(model, data)
        for _ in range(20):
            mujoco.mj_step(model, data)
        data.qpos[:], data.qvel[:] = single(data.qpos), single(data.qvel)
        data.ctrl[:] = single(rng.uniform(-1, 1, size=model.nu))
        for name in ["qpos", "qvel", "ctrl"]:
            out[name].append(getattr(data, name).tolist())
        each = []
        for _ in range(options.substeps):
            mujoco.mj_step(model, data)
            each.append(forces(model, data, requests))
        each = np.array(each)
        sizes = np.linalg.norm(each, axis=2)
        out["forces"].append(np.column_stack([each.mean(axis=0), sizes.max(axis=0)]).tolist())
        out["touching"].append((sizes > 0).sum(axis=0).tolist())
        out["evaluated"].append(data.sensordata.tolist())
        mujoco.mj_forward(model, data)
        out["sensordata"].append(data.sensordata.tolist())
    print(json.dumps(out))


main()
