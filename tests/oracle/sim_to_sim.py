"""Policies trained here, run in the simulator whose rules their tasks have: a row per task of what becomes of the return.

    python sim_to_sim.py RUNS... [--episodes 50] [--processes 2] [--seed 0] [--clip] [--unsettled] [--json]
        [--manyworlds target/release/manyworlds]

RUNS are folders that `manyworlds train TASK --seeds A..B --out RUNS` wrote, one per task. Every seed's policy is exported,
run there for so many whole episodes (gym_eval.py says how, and what --clip and --unsettled do), and evaluated here for
as many, in worlds and episodes of its own. A row says the mean return here and there over all policies, the difference
with its 95 % interval (percentiles of 10,000 bootstrap samples of every policy's episodes), and whether the two agree:
the difference is below 5 % of the return here, or its interval contains 0.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import gym_eval

# The largest difference that counts as agreement, relative to the return here.
TOLERANCE = 0.05


def fail(message):
    sys.exit(f"sim_to_sim.py: {message}")


def command(*words):
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if result.returncode != 0:
        fail(result.stderr.strip().splitlines()[-1])
    return result.stdout


def there(job):
    """The returns of one policy in the other simulator."""
    path, episodes, seed, options = job
    policy = gym_eval.Policy(path)
    name = gym_eval.ENVIRONMENTS.get(policy.description["task"])
    if name is None:
        fail(f"task {policy.description['task']} follows no environment elsewhere")
    env = gym_eval.open_environment(name, policy, options["unsettled"])
    return [gym_eval.episode(env, policy, seed + e, options["clip"])[0] for e in range(episodes)]


def here(binary, run, episodes):
    """The returns of one policy in our simulator."""
    return json.loads(command(binary, "eval", run, "--episodes", episodes, "--json"))["returns"]


def compare_task(args, runs, folder, pool):
    """One row: a task's policies in both simulators."""
    seeds = sorted(path.parent for path in runs.glob("seed_*/config.toml"))
    if not seeds:
        fail(f"{runs}: there is no seed_… with a run")
    jobs = []
    for k, run in enumerate(seeds):
        path = folder / f"{runs.name}_{k}.json"
        command(args.manyworlds, "export", run, "--out", path)
        # No episode begins alike for two policies.
        jobs.append((str(path), args.episodes, args.seed + k * args.episodes, vars(args)))
    theirs = pool.map_async(there, jobs, chunksize=1)
    ours = [np.array(here(args.manyworlds, run, args.episodes)) for run in seeds]
    theirs = [np.array(returns) for returns in theirs.get()]
    rng = np.random.default_rng(0)
    difference = gym_eval.sampled_means(theirs, rng) - gym_eval.sampled_means(ours, rng)
    low, high = gym_eval.interval(difference)
    task = gym_eval.Policy(jobs[0][0]).description["task"]
    mean, their_mean = float(np.concatenate(ours).mean()), float(np.concatenate(theirs).mean())
    relative = (their_mean - mean) / max(abs(mean), 1e-9)
    return {
        "task": task,
        "env": gym_eval.ENVIRONMENTS[task],
        "policies": len(seeds),
        "episodes": args.episodes,
        "here": mean,
        "there": their_mean,
        "here_by_policy": [float(returns.mean()) for returns in ours],
        "there_by_policy": [float(returns.mean()) for returns in theirs],
        "difference": their_mean - mean,
        "interval": [low, high],
        "relative": relative,
        "agrees": abs(relative) < TOLERANCE or low <= 0.0 <= high,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUNS")
    parser.add_argument("--episodes", type=int, default=50, help="of each policy, here and there")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clip", action="store_true")
    parser.add_argument("--unsettled", action="store_true")
    parser.add_argument("--json", action="store_true", help="one line of JSON per task, not a table")
    parser.add_argument("--manyworlds", default="target/release/manyworlds", help="the program")
    args = parser.parse_args()
    if args.episodes < 1 or args.processes < 1:
        fail("--episodes and --processes are at least 1")
    if not args.json:
        print("| task | there | policies × episodes | return here | return there | difference | 95 % interval | agrees |")
        print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, multiprocessing.Pool(args.processes) as pool:
        for runs in args.runs:
            row = compare_task(args, runs, pathlib.Path(folder), pool)
            if args.json:
                print(json.dumps(row), flush=True)
                continue
            print(
                f"| {row['task']} | {row['env']} | {row['policies']} × {row['episodes']} | {row['here']:,.1f} "
                f"| {row['there']:,.1f} | {row['difference']:+,.1f} ({100 * row['relative']:+.1f} %) "
                f"| {row['interval'][0]:+,.1f} … {row['interval'][1]:+,.1f} | {'yes' if row['agrees'] else 'no'} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
