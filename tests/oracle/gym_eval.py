"""Runs policies that manyworlds exported in gymnasium, physics and all: do they hold up outside of our simulator?

    python gym_eval.py POLICY.json... [--env NAME] [--episodes 20] [--seed 0] [--against EVALUATION.json...]

POLICY.json is what `manyworlds export DIR --out POLICY` wrote, with the POLICY.npz beside it; the format is described in
src/train/export.rs. The policy's observation terms, in order, are the environment's observation (for InvertedPendulum:
qpos, then qvel), each multiplied by its scale; its actions are controls, limited to the action space. The environment is
the one whose rules the policy's task has, unless --env names it; reward, termination and time limit are its own. Episode
e starts from seed + e, and acts without exploration noise.

Several policies are those of several training seeds. Prints one line of JSON: per policy and over all episodes the mean
return, its standard deviation, and a 95 % interval of the mean (percentiles of 10,000 bootstrap samples, of each policy's
episodes). --against takes the evaluation.json of each policy's run, in the same order, and adds what is left of our
simulator's mean return: the difference with its interval, and relative to ours.
"""

import argparse
import json
import os
import sys

import numpy as np

FORMAT = "manyworlds-policy-1"
# The tasks that follow an environment's rules.
ENVIRONMENTS = {
    "cartpole": "InvertedPendulum-v5",
    "inverted_pendulum": "InvertedPendulum-v5",
    "hopper": "Hopper-v5",
    "half_cheetah": "HalfCheetah-v5",
    "walker2d": "Walker2d-v5",
    "ant": "Ant-v5",
    "humanoid": "Humanoid-v5",
}
SAMPLES = 10_000
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


def open_environment(name, policy):
    """The environment, whose shapes and time step are the policy's."""
    import gymnasium

    try:
        env = gymnasium.make(name)
    except gymnasium.error.Error as error:
        fail(f"--env {name}: {error}")
    shapes = (env.observation_space.shape, env.action_space.shape)
    if shapes != (policy.term_scale.shape, policy.action_scale.shape):
        fail(
            f"{name} observes and accepts {shapes[0]} and {shapes[1]} numbers, "
            f"the policy {policy.term_scale.shape} and {policy.action_scale.shape}"
        )
    dt = policy.description["control_dt"]
    if abs(env.unwrapped.dt - dt) > 1e-6:
        fail(f"{name} acts every {env.unwrapped.dt} s, the policy every {dt} s")
    return env


def sampled_means(groups, rng):
    """Means over all groups of numbers, each group drawn anew with replacement: [SAMPLES]."""
    sums = sum(rng.choice(group, (SAMPLES, len(group))).sum(axis=1) for group in groups)
    return sums / sum(len(group) for group in groups)


def interval(means):
    return [float(x) for x in np.percentile(means, [2.5, 97.5])]


def summary(groups, rng):
    """Mean, deviation and interval of groups of returns."""
    every = np.concatenate(groups)
    return {
        "mean_return": float(every.mean()),
        "std_return": float(every.std()),
        "interval": interval(sampled_means(groups, rng)),
        "min_return": float(every.min()),
        "max_return": float(every.max()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", nargs="+", metavar="POLICY.json")
    parser.add_argument("--env", help="else the one whose rules the task has")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--against", nargs="+", metavar="EVALUATION.json", default=[])
    args = parser.parse_args()
    if args.episodes < 1:
        fail("--episodes is at least 1")
    if args.against and len(args.against) != len(args.policies):
        fail(f"--against names {len(args.against)} evaluations of {len(args.policies)} policies")
    policies, ours = [], []
    for path in args.policies:
        try:
            policies.append(Policy(path))
        except KeyError as error:
            fail(f"{path}: {error} is missing or not supported")
        except (OSError, ValueError) as error:
            fail(f"{path}: {error}")
    for path in args.against:
        try:
            with open(path) as file:
                ours.append(np.array(json.load(file)["returns"], dtype=float))
        except (OSError, ValueError, KeyError) as error:
            fail(f"{path}: {error!r}: expected what train leaves in a run's folder")
    tasks = sorted({policy.description["task"] for policy in policies})
    if len(tasks) > 1:
        fail(f"the policies are of several tasks: {', '.join(tasks)}")
    name = args.env or ENVIRONMENTS.get(tasks[0])
    if name is None:
        fail(f"task {tasks[0]}: give --env; known are {', '.join(ENVIRONMENTS)}")

    rng = np.random.default_rng(0)
    returns, lengths, rows = [], [], []
    for path, policy in zip(args.policies, policies):
        env = open_environment(name, policy)
        earned, steps = zip(*(episode(env, policy, args.seed + e) for e in range(args.episodes)))
        env.close()
        returns.append(np.array(earned))
        lengths.extend(steps)
        rows.append({"policy": path, **summary(returns[-1:], rng), "mean_length": float(np.mean(steps))})
    report = {
        "env": name,
        "task": tasks[0],
        "episodes": len(lengths),
        "seed": args.seed,
        **summary(returns, rng),
        "mean_length": float(np.mean(lengths)),
        "policies": rows,
    }
    if ours:
        difference = sampled_means(returns, rng) - sampled_means(ours, rng)
        mean = float(np.concatenate(ours).mean())
        report["against"] = {
            **summary(ours, rng),
            "difference": report["mean_return"] - mean,
            "difference_interval": interval(difference),
            "relative": (report["mean_return"] - mean) / max(abs(mean), 1e-9),
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
