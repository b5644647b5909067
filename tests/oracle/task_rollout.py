"""Episodes of a task as gymnasium or the DeepMind Control Suite runs it.

task_rollout.py inverted_pendulum|cartpole_swingup [--episodes N] [--steps K] [--seed S]

Prints an object: `qpos`, `qvel` [episode] at the start; `action` [step][episode]; and after each step `obs`, `reward`,
`terminated` [step][episode], up to the episode's end, null after it. Starts and actions are exact in single precision.
Half of the episodes are steered by a noisy feedback, so that they last.
"""

import argparse
import json

import numpy as np


def single(values):
    return np.asarray(values, dtype=np.float32).astype(np.float64)


class InvertedPendulum:
    """gymnasium's InvertedPendulum-v5."""

    gain = np.array([0.5, 4.0, 0.5, 0.7])

    def __init__(self, seed):
        import gymnasium

        self.env = gymnasium.make("InvertedPendulum-v5").unwrapped
        self.seed = seed

    def reset(self, episode):
        self.env.reset(seed=self.seed + episode)
        data = self.env.data
        qpos, qvel = single(data.qpos), single(data.qvel)
        self.env.set_state(qpos, qvel)
        return qpos, qvel, np.concatenate([qpos, qvel])

    def steer(self, obs, noise):
        return np.clip(self.gain @ obs + noise, -3.5, 3.5)

    def step(self, action):
        obs, reward, terminated, _, _ = self.env.step(np.array([action]))
        return obs, reward, terminated


class CartpoleSwingup:
    """dm_control's cartpole swingup."""

    def __init__(self, seed):
        from dm_control import suite

        self.env = suite.load("cartpole", "swingup", task_kwargs={"random": seed})

    def reset(self, episode):
        self.env.reset()
        physics = self.env.physics
        if episode % 2 == 0:  # near the top, where all factors of the reward vary
            physics.data.qpos[:] = physics.data.qpos * 0.5 + [0.3, 0.0] - [0.0, np.pi / 2 - 0.2]
        qpos, qvel = single(physics.data.qpos), single(physics.data.qvel)
        with physics.reset_context():
            physics.data.qpos[:], physics.data.qvel[:] = qpos, qvel
        return qpos, qvel, self.observation()

    def observation(self):
        return np.concatenate(list(self.env.task.get_observation(self.env.physics).values()))

    def steer(self, obs, noise):
        return np.clip(0.8 * np.sign(obs[4] * -obs[1]) + 0.1 * noise, -1.0, 1.0)

    def step(self, action):
        timestep = self.env.step(np.array([action]))
        return np.concatenate(list(timestep.observation.values())), timestep.reward, False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=["inverted_pendulum", "cartpole_swingup"])
    parser.add_argument("--episodes", type=int, default=8)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    task = {"inverted_pendulum": InvertedPendulum, "cartpole_swingup": CartpoleSwingup}[options.task](options.seed)
    random = np.random.default_rng(options.seed)

    out = {"qpos": [], "qvel": [], "start": []}
    columns = {name: [] for name in ["action", "obs", "reward", "terminated"]}
    for episode in range(options.episodes):
        qpos, qvel, obs = task.reset(episode)
        out["qpos"].append(qpos.tolist())
        out["qvel"].append(qvel.tolist())
        out["start"].append(obs.tolist())
        rows = {name: [] for name in columns}
        over = False
        for _ in range(options.steps):
            noise = random.uniform(-1, 1)
            action = single(task.steer(obs, noise) if episode % 2 == 0 else 3 * noise)
            rows["action"].append(float(action))
            if over:
                obs, reward, terminated = None, None, None
            else:
                obs, reward, over = task.step(float(action))
                terminated = bool(over)
            rows["obs"].append(None if obs is None else obs.tolist())
            rows["reward"].append(None if reward is None else float(reward))
            rows["terminated"].append(terminated)
            if obs is None:
                obs = np.zeros(len(out["start"][0]))
        for name, row in rows.items():
            columns[name].append(row)
    for name, rows in columns.items():
        out[name] = list(map(list, zip(*rows)))
    print(json.dumps(out))


main()
