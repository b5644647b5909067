"""What single precision costs a simulation: MuJoCo's own steps, and MuJoCo with its state rounded to f32 after each.

rollout.py [--states N] [--steps T] [--seed S] MODEL.xml...

Prints a list with one object per model. `restarted`: N random states, and the states one step later. `free`: N worlds
stepped T times from near the reference state under constant controls; `qpos` and `qvel` are [T][N][...] in double
precision, `rounded` the largest error of each world so far, [T][N], when the state is rounded to f32 after each step.
The error measure is |difference| / max(1, |reference|), largest component.
"""

import argparse
import json
import sys

import mujoco
import numpy as np

from states import random_states


def step(model, data, qpos, qvel, act, ctrl):
    mujoco.mj_resetData(model, data)
    data.qpos[:], data.qvel[:], data.act[:], data.ctrl[:] = qpos, qvel, act, ctrl
    mujoco.mj_step(model, data)
    return data.qpos.copy(), data.qvel.copy(), data.act.copy()


def restarted(model, count, seed):
    data = mujoco.MjData(model)
    qpos, qvel, act, ctrl, _, _ = random_states(model, count, seed)
    after = [step(model, data, *state) for state in zip(qpos, qvel, act, ctrl)]
    names = ["qpos", "qvel", "act", "ctrl"]
    out = {name: value.tolist() for name, value in zip(names, [qpos, qvel, act, ctrl])}
    for index, name in enumerate(["next_qpos", "next_qvel", "next_act"]):
        out[name] = [state[index].tolist() for state in after]
    return out


def error(value, reference):
    return np.abs(value - reference).max() / max(1.0, np.abs(reference).max())


def free(model, count, steps, seed):
    rng = np.random.default_rng(seed)
    data = mujoco.MjData(model)
    ctrl = rng.uniform(-1, 1, size=(count, model.nu))
    qvel = rng.normal(size=(count, model.nv)) * 0.1
    exact = [(model.qpos0.astype(np.float32).astype(float), v.astype(np.float32).astype(float), np.zeros(model.na)) for v in qvel]
    ctrl = ctrl.astype(np.float32).astype(float)
    start = [(state[0].tolist(), state[1].tolist()) for state in exact]
    rounded = [tuple(part.copy() for part in state) for state in exact]
    worst = np.zeros(count)
    out = {"ctrl": ctrl.tolist(), "start": start, "qpos": [], "qvel": [], "rounded": []}
    for _ in range(steps):
        exact = [step(model, data, *state, c) for state, c in zip(exact, ctrl)]
        rounded = [step(model, data, *state, c) for state, c in zip(rounded, ctrl)]
        rounded = [tuple(part.astype(np.float32).astype(float) for part in state) for state in rounded]
        for world in range(count):
            pair = zip(rounded[world][:2], exact[world][:2])
            worst[world] = max(worst[world], *(error(value, reference) for value, reference in pair))
        out["qpos"].append([state[0].tolist() for state in exact])
        out["qvel"].append([state[1].tolist() for state in exact])
        out["rounded"].append(worst.tolist())
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--worlds", type=int, default=32)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    out = []
    for path in args.models:
        model = mujoco.MjModel.from_xml_path(path)
        model.opt.tolerance = 1e-14
        model.opt.iterations = 200
        out.append(
            {
                "path": path,
                "restarted": restarted(model, args.states, args.seed),
                "free": free(model, args.worlds, args.steps, args.seed + 1),
            }
        )
    json.dump(out, sys.stdout)


main()
