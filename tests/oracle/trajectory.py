"""What a model does by itself, in MuJoCo with its constraints solved as exactly as it can.

trajectory.py --steps K --every M MODEL.xml...

Prints a list with one object per model: `qpos`, `qvel`, `ncon` and `depth` (the deepest penetration, m) at the start,
which is keyframe 0 or else `qpos0` at rest, and after every M-th step [moment].
"""

import argparse
import json

import mujoco

from step import converge


def follow(path, steps, every):
    model = mujoco.MjModel.from_xml_path(path)
    converge(model)
    data = mujoco.MjData(model)
    if model.nkey:
        mujoco.mj_resetDataKeyframe(model, data, 0)
    out = {name: [] for name in ["qpos", "qvel", "ncon", "depth"]}
    for step in range(steps + 1):
        if step % every == 0:
            out["qpos"].append(data.qpos.tolist())
            out["qvel"].append(data.qvel.tolist())
            mujoco.mj_forward(model, data)
            out["ncon"].append(int(data.ncon))
            out["depth"].append(-min([0.0, *(float(d) for d in data.contact.dist)]))
        mujoco.mj_step(model, data)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--every", type=int, required=True)
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    print(json.dumps([follow(path, options.steps, options.every) for path in options.models]))


main()
