"""Many MuJoCo worlds of a gymnasium environment for a learner in another process (examples/mujoco_worlds.rs).

    python worlds.py ENV N [--threads T]       serves standard input and output
    python worlds.py ENV N --check             compares random steps with gymnasium's own, prints {"largest": …}

ENV is Hopper-v5, HalfCheetah-v5 or Walker2d-v5: environments that observe positions and velocities only. `mujoco.rollout`
steps all worlds; observations, rewards, terminations and starts follow gymnasium's files, with the numbers of the
environment's own instance. Worlds that ended begin anew in the same step.

First a line of JSON says sizes and names. Then requests, each one byte and what follows it, are answered; numbers are
little endian, arrays float32 [N, …] unless said otherwise:
    r  seed u64                         -> observations [N, D]
    s  actions [N, A]                   -> successors [N, D], observations [N, D], reward [N], terminated [N], truncated [N]
    e  elapsed u32 [N]                  sets how many steps of the time limit are over; no answer
    g                                   -> size u64, snapshot
    p  size u64, snapshot               -> observations [N, D]
"""

import argparse
import io
import json
import os
import struct
import sys

import gymnasium
import mujoco
import numpy as np
from mujoco import rollout

KINDS = ("Hopper-v5", "HalfCheetah-v5", "Walker2d-v5")


class Worlds:
    """N worlds as arrays: `qpos` [N, nq], `qvel` [N, nv], `elapsed` [N]."""

    def __init__(self, name, count, threads):
        env = gymnasium.make(name)
        self.limit, self.env, self.name = env.spec.max_episode_steps, env.unwrapped, name
        self.model = self.env.model
        self.dt, self.count = float(self.env.dt), count
        self.data = [mujoco.MjData(self.model) for _ in range(threads)]
        self.pool = rollout.Rollout(nthread=threads)
        kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
        # time, qpos, qvel; these models have no activations.
        assert mujoco.mj_stateSize(self.model, kind) == 1 + self.model.nq + self.model.nv
        self.rng = np.random.default_rng(0)
        self.qpos = np.zeros((count, self.model.nq))
        self.qvel = np.zeros((count, self.model.nv))
        self.elapsed = np.zeros(count, np.uint32)
        self.names = [self.model.actuator(i).name or str(i) for i in range(self.model.nu)]

    def begin(self, which):
        """Starts the worlds of a mask as gymnasium's reset_model does."""
        n, noise = int(which.sum()), self.env._reset_noise_scale
        self.qpos[which] = self.env.init_qpos + self.rng.uniform(-noise, noise, (n, self.model.nq))
        if self.name == "HalfCheetah-v5":
            velocities = noise * self.rng.standard_normal((n, self.model.nv))
        else:
            velocities = self.rng.uniform(-noise, noise, (n, self.model.nv))
        self.qvel[which] = self.env.init_qvel + velocities
        self.elapsed[which] = 0

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)
        self.begin(np.ones(self.count, bool))
        return self.observe()

    def observe(self):
        qvel = self.qvel if self.name == "HalfCheetah-v5" else np.clip(self.qvel, -10, 10)
        return np.hstack([self.qpos[:, 1:], qvel])

    def healthy(self):
        """Whether each world is as the environment wants it; the cheetah always is."""
        if self.name == "HalfCheetah-v5":
            return np.ones(self.count, bool)
        inside = lambda x, limits: (limits[0] < x) & (x < limits[1])
        good = inside(self.qpos[:, 1], self.env._healthy_z_range)
        good &= inside(self.qpos[:, 2], self.env._healthy_angle_range)
        if self.name == "Hopper-v5":
            state = np.hstack([self.qpos, self.qvel])[:, 2:]
            good &= inside(state, self.env._healthy_state_range).all(axis=1)
        return good

    def step(self, actions):
        """Advances all worlds; see the request `s`."""
        actions = np.asarray(actions, float)
        steps = self.env.frame_skip
        initial = np.hstack([np.zeros((self.count, 1)), self.qpos, self.qvel])
        control = np.repeat(actions[:, None], steps, axis=1)
        states, _ = self.pool.rollout(self.model, self.data, initial, control, nstep=steps)
        before, nq = self.qpos[:, 0].copy(), self.model.nq
        self.qpos, self.qvel = states[:, -1, 1 : 1 + nq].copy(), states[:, -1, 1 + nq :].copy()
        self.elapsed += 1
        healthy = self.healthy()
        reward = self.env._forward_reward_weight * (self.qpos[:, 0] - before) / self.dt
        reward -= self.env._ctrl_cost_weight * np.square(actions).sum(axis=1)
        reward += getattr(self.env, "_healthy_reward", 0.0) * healthy
        terminated = ~healthy
        truncated = ~terminated & (self.elapsed >= self.limit)
        successors = self.observe()
        self.begin(terminated | truncated)
        return successors, self.observe(), reward, terminated, truncated

    def snapshot(self):
        file = io.BytesIO()
        rng = json.dumps(self.rng.bit_generator.state)
        np.savez(file, qpos=self.qpos, qvel=self.qvel, elapsed=self.elapsed, rng=rng)
        return file.getvalue()

    def restore(self, snapshot):
        with np.load(io.BytesIO(snapshot)) as saved:
            self.qpos, self.qvel, self.elapsed = saved["qpos"], saved["qvel"], saved["elapsed"]
            self.rng.bit_generator.state = json.loads(str(saved["rng"]))
        return self.observe()


def serve(worlds, source, sink):
    """Answers requests until the learner closes the pipe."""
    count, actions = worlds.count, worlds.model.nu
    header = {
        "observation": worlds.observe().shape[1],
        "actions": worlds.names,
        "control_dt": worlds.dt,
        "max_episode_steps": worlds.limit,
    }
    sink.write(json.dumps(header).encode() + b"\n")
    sink.flush()

    def answer(*arrays):
        for array in arrays:
            sink.write(np.ascontiguousarray(array, "<f4").tobytes())
        sink.flush()

    while request := source.read(1):
        if request == b"r":
            answer(worlds.reset(struct.unpack("<Q", source.read(8))[0]))
        elif request == b"s":
            answer(*worlds.step(np.frombuffer(source.read(4 * count * actions), "<f4").reshape(count, actions)))
        elif request == b"e":
            worlds.elapsed = np.frombuffer(source.read(4 * count), "<u4").astype(np.uint32)
        elif request == b"g":
            snapshot = worlds.snapshot()
            sink.write(struct.pack("<Q", len(snapshot)) + snapshot)
            sink.flush()
        elif request == b"p":
            answer(worlds.restore(source.read(struct.unpack("<Q", source.read(8))[0])))
        else:
            sys.exit(f"worlds.py: request {request!r} is unknown")


def check(worlds, steps=200):
    """The largest difference from gymnasium's own observation and reward, over random steps of the first world."""
    worlds.reset(0)
    env, largest, random = worlds.env, 0.0, np.random.default_rng(1)
    env.reset(seed=0)
    for _ in range(steps):
        # Not all actions are within the range: costs see them as they are.
        actions = random.uniform(-1.2, 1.2, (worlds.count, worlds.model.nu))
        env.data.qacc_warmstart[:] = 0.0
        env.set_state(worlds.qpos[0], worlds.qvel[0])
        observation, reward, terminated, _, _ = env.step(actions[0])
        successors, _, rewards, ended, _ = worlds.step(actions)
        if ended[0] != terminated:
            sys.exit("worlds.py: gymnasium disagrees about the end of an episode")
        largest = max(largest, np.abs(successors[0] - observation).max(), abs(rewards[0] - reward))
    return {"largest": float(largest)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env", choices=KINDS)
    parser.add_argument("worlds", type=int)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if min(args.worlds, args.threads) < 1:
        sys.exit("worlds.py: worlds and threads are at least 1")
    worlds = Worlds(args.env, args.worlds, args.threads)
    if args.check:
        print(json.dumps(check(worlds)))
        return
    # What anyone else prints must not get between the answers.
    sink = io.FileIO(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(worlds, sys.stdin.buffer, io.BufferedWriter(sink))


if __name__ == "__main__":
    main()
