"""Runs policies that manyworlds exported in gymnasium or dm_control, physics and all: do they hold up outside?

    python gym_eval.py POLICY.json... [--env NAME] [--episodes 20] [--seed 0] [--against EVALUATION.json...]

POLICY.json is what `manyworlds export DIR --out POLICY` wrote, with the POLICY.npz beside it; the format is described in
src/train/export.rs. The policy's observation terms, in order, are the environment's observation (for InvertedPendulum:
qpos, then qvel), each multiplied by its scale; its actions are controls. The environment is the one whose rules the
policy's task has, unless --env names it (dm_control's as DOMAIN/TASK); reward, termination and time limit are its own.
Episode e starts from seed + e, and acts without exploration noise.

Actions go to the environment as they are: MuJoCo limits controls, but costs see them unlimited, here and there. With
--clip they are limited to the action space first, as the wrappers of other learners do.

dm_control's cheetah settles for 2 s before its episodes begin, with no action; the task here does not. --unsettled skips
that there, for a comparison of the same episodes.

Several policies are those of several training seeds. Prints one line of JSON: per policy and over all episodes the mean
return, its standard deviation, and a 95 % interval of the mean (percentiles of 10,000 bootstrap samples, of each policy's
episodes). --against takes the evaluation.json of each policy's run, in the same order, and adds what is left of our
simulator's mean return: the difference with its interval, and relative to ours. sim_to_sim.py does all of that for the
runs of several tasks.
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
    "cartpole_swingup": "cartpole/swingup",
    "cheetah_run": "cheetah/run",
    "walker_walk": "walker/walk",
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
        self.limit = self.description["network"].get("limit")
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
        if self.limit is not None:
            x = np.clip(x, -self.limit, self.limit)
        return self.action_offset + self.action_scale * x


class Gymnasium:
    """An environment of gymnasium: every episode begins with `reset` and goes on with `step`."""

    def __init__(self, name):
        import gymnasium

        self.env = gymnasium.make(name, disable_env_checker=True)
        self.observation_size, self.dt = self.env.observation_space.shape[0], self.env.unwrapped.dt
        self.low, self.high = self.env.action_space.low, self.env.action_space.high

    def reset(self, seed):
        return self.env.reset(seed=seed)[0]

    def step(self, action):
        """The next observation, the reward, and whether the episode is over."""
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return observation, reward, terminated or truncated


class Suite:
    """The same of dm_control's suite."""

    def __init__(self, name, unsettled):
        from dm_control import suite

        self.names = name.split("/")
        self.load = lambda seed: suite.load(*self.names, task_kwargs={"random": seed})
        self.unsettled = unsettled
        self.env = self.load(0)
        self.observation_size = sum(int(np.prod(spec.shape)) for spec in self.env.observation_spec().values())
        self.dt = self.env.control_timestep()
        self.low, self.high = self.env.action_spec().minimum, self.env.action_spec().maximum

    def reset(self, seed):
        self.env.task.random.seed(seed)
        step = self.env.physics.step
        if self.unsettled:
            self.env.physics.step = lambda nstep=1: None
        try:
            return self.flat(self.env.reset())
        finally:
            self.env.physics.step = step

    def step(self, action):
        """The next observation, the reward, and whether the episode is over."""
        time = self.env.step(action)
        return self.flat(time), time.reward, time.last()

    @staticmethod
    def flat(time):
        return np.concatenate([np.ravel(values) for values in time.observation.values()])


def episode(env, policy, seed, clip=False):
    """The return and the length of one episode."""
    observation = env.reset(seed)
    total, length, done = 0.0, 0, False
    while not done:
        action = policy.controls(observation)
        if clip:
            action = np.clip(action, env.low, env.high)
        observation, reward, done = env.step(action)
        total, length = total + float(reward), length + 1
    return total, length


def open_environment(name, policy, unsettled=False):
    """The environment, whose shapes and time step are the policy's."""
    try:
        env = Suite(name, unsettled) if "/" in name else Gymnasium(name)
    except Exception as error:
        fail(f"--env {name}: {error}")
    shapes = (env.observation_size, len(env.low))
    if shapes != (len(policy.term_scale), len(policy.action_scale)):
        fail(
            f"{name} observes and accepts {shapes[0]} and {shapes[1]} numbers, "
            f"the policy {len(policy.term_scale)} and {len(policy.action_scale)}"
        )
    dt = policy.description["control_dt"]
    if abs(env.dt - dt) > 1e-6:
        fail(f"{name} acts every {env.dt} s, the policy every {dt} s")
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
    parser.add_argument("--clip", action="store_true", help="limit actions to the action space")
    parser.add_argument("--unsettled", action="store_true", help="no settling before an episode of dm_control")
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
        env = open_environment(name, policy, args.unsettled)
        earned, steps = zip(*(episode(env, policy, args.seed + e, args.clip) for e in range(args.episodes)))
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
