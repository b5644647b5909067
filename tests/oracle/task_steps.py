"""Single control steps of a task as gymnasium or the DeepMind Control Suite runs it, from many states.

task_steps.py TASK [--states N] [--seed S] [--airborne]

Prints an object of arrays whose first index is the state: `qpos`, `qvel` where the step starts; `start`, the observation
there; `action`; and after the step `obs`, `reward`, `terminated`, `contacts` (as many as there are at its end). Starts
and actions are exact in single precision. States come from episodes under random actions; each step is taken from a
fresh set-state, so that errors do not grow. With --airborne no state is lower than 5 m: no contacts.

The solver is MuJoCo's Newton at a tolerance of 0: where a model asks for another, that one would not have converged.
"""

import argparse
import json

import mujoco
import numpy as np


def single(values):
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def exact(options):
    options.solver, options.tolerance, options.iterations = mujoco.mjtSolver.mjSOL_NEWTON, 0, 100
    options.ls_tolerance, options.ls_iterations = 1e-10, 100


class Gymnasium:
    def __init__(self, name, seed):
        import gymnasium

        self.env = gymnasium.make(name).unwrapped
        self.model, self.seed = self.env.model, seed
        exact(self.model.opt)

    def height(self):
        root = self.model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
        return 2 if root else 1

    @property
    def data(self):
        return self.env.data

    def reset(self, episode):
        self.env.reset(seed=self.seed + episode)

    def set(self, qpos, qvel):
        mujoco.mj_resetData(self.model, self.data)
        self.env.set_state(qpos, qvel)
        return self.env._get_obs()

    def step(self, action):
        obs, reward, terminated, _, _ = self.env.step(action)
        return obs, reward, terminated


class ControlSuite:
    def __init__(self, domain, task, seed):
        from dm_control import suite

        self.env = suite.load(domain, task, task_kwargs={"random": seed})
        self.physics = self.env.physics
        self.model = self.physics.model
        exact(self.model.opt)

    def height(self):
        return list(self.physics.named.data.qpos.axes.row.names).index("rootz")

    @property
    def data(self):
        return self.physics.data

    def reset(self, episode):
        self.env.reset()

    def set(self, qpos, qvel):
        self.env._reset_next_step = False
        with self.physics.reset_context():
            self.data.qpos[:], self.data.qvel[:] = qpos, qvel
        return self.observation()

    def observation(self):
        values = self.env.task.get_observation(self.physics).values()
        return np.concatenate([np.ravel(value) for value in values])

    def step(self, action):
        self.env.step(action)
        return self.observation(), self.env.task.get_reward(self.physics), False


TASKS = {
    "hopper": lambda seed: Gymnasium("Hopper-v5", seed),
    "half_cheetah": lambda seed: Gymnasium("HalfCheetah-v5", seed),
    "walker2d": lambda seed: Gymnasium("Walker2d-v5", seed),
    "ant": lambda seed: Gymnasium("Ant-v5", seed),
    "humanoid": lambda seed: Gymnasium("Humanoid-v5", seed),
    "cheetah_run": lambda seed: ControlSuite("cheetah", "run", seed),
    "walker_walk": lambda seed: ControlSuite("walker", "walk", seed),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--states", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--airborne", action="store_true")
    options = parser.parse_args()
    task = TASKS[options.task](options.seed)
    random = np.random.default_rng(options.seed)
    low, high = task.model.actuator_ctrlrange.T

    names = ["qpos", "qvel", "start", "action", "obs", "reward", "terminated", "contacts"]
    rows = {name: [] for name in names}
    length = 40
    for i in range(options.states):
        if i % length == 0:
            task.reset(i // length)
        qpos, qvel = single(task.data.qpos), single(task.data.qvel)
        if options.airborne and qpos[task.height()] < 5:
            qpos[task.height()] += 10
        start = task.set(qpos, qvel)
        # Some actions lie outside of the controls' ranges: costs see them as they are, the motors do not.
        action = single(random.uniform(low, high) * random.choice([0.3, 1.0, 1.2]))
        obs, reward, terminated = task.step(action)
        values = [qpos, qvel, start, action, obs, reward, bool(terminated), task.data.ncon]
        for name, value in zip(names, values):
            rows[name].append(value.tolist() if isinstance(value, np.ndarray) else value)
    print(json.dumps(rows))


main()
