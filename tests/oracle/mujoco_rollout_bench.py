"""How fast MuJoCo C steps a model on this machine: the figure that ours is held against.

    python mujoco_rollout_bench.py MODEL.xml [--threads 1] [--worlds 64] [--steps 200] [--repeats 7]
                                   [--no-constraints] [--no-contacts] [--ctrl random|zero] [--seed 0] [--from F.npz]

`mujoco.rollout` steps a batch of worlds on a number of threads, each with its own random controls (uniform in
ctrlrange, or -1 … 1), from states that have settled for 100 steps, so that contacts are what they are in use; with
--from, from the states of a recording (qpos and qvel, and act and ctrl where it has them), under their controls. Prints
one line of JSON: physics steps per second of wall time and per second of CPU time, the median with the smallest and
the largest of the repeats.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time

import mujoco
import numpy as np
from mujoco import rollout

SETTLE_STEPS = 100


def fail(message):
    sys.exit(f"mujoco_rollout_bench.py: {message}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worlds", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-constraints", action="store_true", help="no contacts, limits, friction loss, equalities")
    parser.add_argument("--no-contacts", action="store_true")
    parser.add_argument("--ctrl", choices=["random", "zero"], default="random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", dest="source")
    args = parser.parse_args()
    if min(args.threads, args.worlds, args.steps, args.repeats) < 1:
        fail("--threads, --worlds, --steps and --repeats are at least 1")
    return args


def summary(rates):
    return {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}


def cpu_name():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    args = arguments()
    try:
        model = mujoco.MjModel.from_xml_path(args.model)
    except ValueError as error:
        fail(f"{args.model}: {error}")
    if args.no_constraints:
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
    if args.no_contacts:
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT

    data = mujoco.MjData(model)
    if model.nkey:
        mujoco.mj_resetDataKeyframe(model, data, 0)
    kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
    start = np.empty(mujoco.mj_stateSize(model, kind))
    mujoco.mj_getState(model, data, start, kind)

    limited = model.actuator_ctrllimited.astype(bool)[:, None]
    low, high = np.where(limited, model.actuator_ctrlrange, [-1.0, 1.0]).T
    generator = np.random.default_rng(args.seed)

    def controls(steps):
        shape = (args.worlds, steps, model.nu)
        return generator.uniform(low, high, shape) if args.ctrl == "random" else np.zeros(shape)

    def recorded():
        """States and controls of a recording: [state][number]."""
        with np.load(args.source) as file:
            qpos, qvel = file["qpos"].reshape(-1, model.nq), file["qvel"].reshape(-1, model.nv)
            act = file["act"].reshape(-1, model.na) if model.na and "act" in file else np.zeros((len(qpos), model.na))
            ctrl = file["ctrl"].reshape(-1, model.nu) if model.nu and "ctrl" in file else None
        if ctrl is None:
            ctrl = generator.uniform(low, high, (len(qpos), model.nu))
        states = np.hstack([np.zeros((len(qpos), 1)), qpos, qvel, act])
        finite = np.isfinite(states).all(1) & np.isfinite(ctrl).all(1)
        if not finite.any() or states.shape[1] != start.size:
            fail(f"{args.source}: no states of {args.model}")
        return states[finite], ctrl[finite]

    threads = [mujoco.MjData(model) for _ in range(args.threads)]
    wall, cpu, unstable = [], [], False
    with rollout.Rollout(nthread=args.threads) as pool:
        if args.source:
            states, held = recorded()
        else:
            settled, _ = pool.rollout(model, threads, np.tile(start, (args.worlds, 1)), controls(SETTLE_STEPS))
            initial = settled[:, -1].copy()
        for repeat in range(args.repeats + 1):
            if args.source:
                rows = generator.integers(len(states), size=args.worlds)
                initial, ctrl = states[rows], np.repeat(held[rows, None], args.steps, axis=1)
            else:
                ctrl = controls(args.steps)
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            ends, _ = pool.rollout(model, threads, initial, ctrl)
            wall_s, cpu_s = time.perf_counter() - wall_start, time.process_time() - cpu_start
            # MuJoCo starts a world anew that has become unstable: its clock, the first of the state, goes back.
            clock = initial[:, 0] + args.steps * model.opt.timestep
            unstable |= not np.allclose(ends[:, -1, 0], clock, rtol=1e-9, atol=0.5 * model.opt.timestep)
            if repeat:  # the first one warms up
                wall.append(args.worlds * args.steps / wall_s)
                cpu.append(args.worlds * args.steps / cpu_s)
    print(
        json.dumps(
            {
                "model": os.path.basename(args.model),
                "mujoco": mujoco.__version__,
                "nv": model.nv,
                "timestep": model.opt.timestep,
                "constraints": not args.no_constraints,
                "contacts": not (args.no_constraints or args.no_contacts),
                "ctrl": args.ctrl,
                "worlds": args.worlds,
                "steps": args.steps,
                "repeats": args.repeats,
                "threads": args.threads,
                "steps_per_second": summary(wall),
                "steps_per_cpu_second": summary(cpu),
                "unstable": unstable,
                "cpu": cpu_name(),
            }
        )
    )


if __name__ == "__main__":
    main()
