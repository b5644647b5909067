"""A rollout of a model from `qpos0` in which equality constraints are switched on and off, as MuJoCo takes it.

eq_active.py [--steps N] [--switch STEP NAME 0|1]... MODEL.xml

A constraint is switched (`eq_active`) before the step of that number is taken. Prints qpos [N + 1, nq], at the start and
after each step.
"""

import argparse
import json
import sys

import mujoco

from step import converge


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--switch", nargs=3, action="append", default=[], metavar=("STEP", "NAME", "0|1"))
    parser.add_argument("model")
    args = parser.parse_args()
    model = mujoco.MjModel.from_xml_path(args.model)
    converge(model)
    model.opt.tolerance = 0
    data = mujoco.MjData(model)
    qpos = [data.qpos.tolist()]
    for step in range(args.steps):
        for when, name, active in args.switch:
            if int(when) == step:
                data.eq_active[model.eq(name).id] = int(active)
        mujoco.mj_step(model, data)
        qpos.append(data.qpos.tolist())
    json.dump({"qpos": qpos}, sys.stdout)


if __name__ == "__main__":
    main()
