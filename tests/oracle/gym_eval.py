"""Runs a policy that manyworlds exported in gymnasium, physics and all: does it hold up outside of our simulator?

    python gym_eval.py POLICY.json [--env InvertedPendulum-v5] [--episodes 20] [--seed 0]

POLICY.json is what `manyworlds export DIR --out POLICY` wrote, with the POLICY.npz beside it; the format is described in
src/train/export.rs. The policy's observation terms, in order, are the environment's observation (for InvertedPendulum:
qpos, then qvel), each multiplied by its scale; its actions are controls, limited to the action space. Episode e starts
from seed + e, and acts without exploration noise. Prints one line of JSON.
"""

import argparse
import json
import os
import sys

import numpy as np

FORMAT = "manyworlds-policy-1"
ACTIVATIONS = {
    "elu": lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))),
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def fail(message):
    sys.exit(f"gym_eval.py: {message}")


class Policy:
    """An exported policy, in NumPy."""

    def __init__(self, path):
        with open(path) as file:
            self.description = json.load(file)
        if self.description.get("format") != FORMAT:
            raise ValueError(f"the format is {self.description.get('format')!r}, not {FORMAT!r}")
        with np.load(os.path.join(os.path.dirname(path), self.description["arrays"])) as arrays:
            self.mean, self.scale = arrays["obs_mean"], arrays["obs_scale"]
            count = self.description["network"]["layers"]
            self.layers = [(arrays[f"weight_{i}"], arrays[f"bias_{i}"]) for i in range(count)]
        self.clip = self.description["observation"]["clip"]
        self.activation = ACTIVATIONS[self.description["network"]["activation"]]
        terms = self.description["observation"]["terms"]
        self.term_scale = np.repeat([term["scale"] for term in terms], [term["dim"] for term in terms])
        self.action_scale = np.array([action["scale"] for action in self.description["actions"]])
        self.action_offset = np.array([action["offset"] for action in self.description["actions"]])

    def controls(self, observation):
        """The controls for one observation in physical units."""
        x = (observation * self.term_scale - self.mean) * self.scale
        if self.clip is not None:
            x = np.clip(x, -self.clip, self.clip)
        for i, (weight, bias) in enumerate(self.layers):
            x = x @ weight + bias
            if i + 1 < len(self.layers):
                x = self.activation(x)
        return self.action_offset + self.action_scale * x


def episode(env, policy, seed):
    """The return and the length of one episode."""
    observation, _ = env.reset(seed=seed)
    total, length, done = 0.0, 0, False
    while not done:
        action = np.clip(policy.controls(observation), env.action_space.low, env.action_space.high)
        observation, reward, terminated, truncated, _ = env.step(action.astype(env.action_space.dtype))
        total, length, done = total + float(reward), length + 1, terminated or truncated
    return total, length


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy")
    parser.add_argument("--env", default="InvertedPendulum-v5")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.episodes < 1:
        fail("--episodes is at least 1")
    try:
        policy = Policy(args.policy)
    except KeyError as error:
        fail(f"{args.policy}: {error} is missing or not supported")
    except (OSError, ValueError) as error:
        fail(f"{args.policy}: {error}")

    import gymnasium

    try:
        env = gymnasium.make(args.env)
    except gymnasium.error.Error as error:
        fail(f"--env {args.env}: {error}")
    shapes = (env.observation_space.shape, env.action_space.shape)
    if shapes != (policy.term_scale.shape, policy.action_scale.shape):
        fail(
            f"{args.env} observes and accepts {shapes[0]} and {shapes[1]} numbers, "
            f"the policy {policy.term_scale.shape} and {policy.action_scale.shape}"
        )
    dt = policy.description["control_dt"]
    if abs(env.unwrapped.dt - dt) > 1e-6:
        fail(f"{args.env} acts every {env.unwrapped.dt} s, the policy every {dt} s")

    returns, lengths = zip(*(episode(env, policy, args.seed + e) for e in range(args.episodes)))
    env.close()
    print(
        json.dumps(
            {
                "env": args.env,
                "task": policy.description["task"],
                "episodes": args.episodes,
                "seed": args.seed,
                "mean_return": float(np.mean(returns)),
                "std_return": float(np.std(returns)),
                "min_return": min(returns),
                "max_return": max(returns),
                "mean_length": float(np.mean(lengths)),
            }
        )
    )


if __name__ == "__main__":
    main()
