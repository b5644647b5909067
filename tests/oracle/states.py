"""Random states of a model that exercise every stage: beyond limits, fast, turned anyhow."""

import mujoco
import numpy as np


def random_states(model, count, seed):
    """`count` states and inputs: qpos, qvel, act, ctrl, qfrc_applied, xfrc_applied (force, torque)."""
    rng = np.random.default_rng(seed)
    qpos = np.zeros((count, model.nq))
    for joint in range(model.njnt):
        q, kind = model.jnt_qposadr[joint], model.jnt_type[joint]
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            # Far from the origin, so that a common origin in the world would show.
            qpos[:, q : q + 3] = rng.normal(size=(count, 3)) * 30
            qpos[:, q + 3 : q + 7] = rng.normal(size=(count, 4))
        elif kind == mujoco.mjtJoint.mjJNT_BALL:
            qpos[:, q : q + 4] = rng.normal(size=(count, 4))
        else:
            low, high = model.jnt_range[joint] if model.jnt_limited[joint] else (-np.pi, np.pi)
            middle, half = (low + high) / 2, (high - low) / 2
            qpos[:, q] = middle + 1.3 * half * rng.uniform(-1, 1, count)
    for joint in range(model.njnt):
        kind = model.jnt_type[joint]
        if kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL):
            q = model.jnt_qposadr[joint] + (3 if kind == mujoco.mjtJoint.mjJNT_FREE else 0)
            length = np.linalg.norm(qpos[:, q : q + 4], axis=1, keepdims=True)
            # A tenth is not of unit length, as after an edit by hand.
            qpos[:, q : q + 4] *= np.where(rng.uniform(size=(count, 1)) < 0.1, 1.3, 1) / length
    qvel = rng.normal(size=(count, model.nv)) * rng.choice([0.1, 1, 5], size=(count, 1))
    act = rng.uniform(-1, 1, size=(count, model.na))
    ctrl = rng.uniform(-1.5, 1.5, size=(count, model.nu))
    qfrc = rng.normal(size=(count, model.nv)) * rng.integers(0, 2, size=(count, 1))
    xfrc = rng.normal(size=(count, model.nbody, 6)) * rng.integers(0, 2, size=(count, 1, 1))
    return qpos, qvel, act, ctrl, qfrc, xfrc
