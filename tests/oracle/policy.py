"""Runs an exported policy with nothing but numpy, as its documentation says (src/train/export.rs).

    policy.py F.json --obs '[[0.1, 0.2, …], …]'      prints {"actions": [[…], …]}
    policy.py F.json --gymnasium InvertedPendulum-v5 --episodes 5 --seed 0
                                                      prints {"returns": […], "lengths": […]}

The second form hands the environment's observations to the policy and the scaled actions to the
environment: it is for tasks whose observations and actuators are gymnasium's.
"""

import argparse
import json
import pathlib

import numpy as np

ACTIVATIONS = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "linear": lambda x: x,
}


class Policy:
    """Observations [..., D] to actions [..., A]."""

    def __init__(self, path):
        path = pathlib.Path(path)
        self.about = json.loads(path.read_text())
        assert self.about["format"] == "manyworlds-policy-1", self.about["format"]
        self.arrays = np.load(path.with_name(self.about["arrays"]))
        self.activation = ACTIVATIONS[self.about["network"]["activation"]]
        self.scale = np.array([action["scale"] for action in self.about["actions"]])
        self.offset = np.array([action["offset"] for action in self.about["actions"]])

    def __call__(self, obs):
        x = (np.asarray(obs, np.float32) - self.arrays["obs_mean"]) * self.arrays["obs_scale"]
        if self.about["observation"]["clip"] is not None:
            x = np.clip(x, -self.about["observation"]["clip"], self.about["observation"]["clip"])
        layers = self.about["network"]["layers"]
        for i in range(layers):
            x = x @ self.arrays[f"weight_{i}"] + self.arrays[f"bias_{i}"]
            if i + 1 < layers:
                x = self.activation(x)
        limit = self.about["network"].get("limit")
        return x if limit is None else np.clip(x, -limit, limit)

    def control(self, obs):
        """What the actuators receive."""
        return self.offset + self.scale * self(obs)


def play(policy, name, episodes, seed):
    import gymnasium

    env = gymnasium.make(name)
    returns, lengths = [], []
    for episode in range(episodes):
        obs, _ = env.reset(seed=seed + episode)
        total, length, done = 0.0, 0, False
        while not done:
            action = np.clip(policy.control(obs), env.action_space.low, env.action_space.high)
            obs, reward, terminated, truncated, _ = env.step(action)
            total, length, done = total + float(reward), length + 1, terminated or truncated
        returns.append(total)
        lengths.append(length)
    return {"returns": returns, "lengths": lengths}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("policy")
    parser.add_argument("--obs", type=json.loads)
    parser.add_argument("--gymnasium")
    parser.add_argument("--episodes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    policy = Policy(arguments.policy)
    if arguments.gymnasium:
        result = play(policy, arguments.gymnasium, arguments.episodes, arguments.seed)
    else:
        result = {"actions": policy(arguments.obs).tolist()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
