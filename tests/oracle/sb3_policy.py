"""Turns a policy of Stable-Baselines3 (PPO, A2C or TRPO with an MLP) into files that `manyworlds eval F.json` runs.

    python sb3_policy.py MODEL.zip [--normalization VECNORMALIZE.pkl] --env HalfCheetah-v5 --out F

MODEL.zip is what SB3's `model.save` wrote, VECNORMALIZE.pkl what `VecNormalize.save` wrote; both are published for many
tasks in https://github.com/DLR-RM/rl-trained-agents. Writes F.json and F.npz in the format of src/train/export.rs, with
one observation term, `state`. Neither PyTorch nor SB3 is needed: of the pickles within, only numbers are taken, no code
of theirs is run, and every class but NumPy's is replaced by an empty one. The policy acts with its mean, clipped to
the action space as SB3 does.
"""

import argparse
import collections
import io
import json
import pickle
import re
import sys
import zipfile

import numpy as np

from gym_eval import ENVIRONMENTS

# Storage classes of PyTorch.
STORAGES = {"FloatStorage": np.float32, "DoubleStorage": np.float64, "LongStorage": np.int64}
NUMPY = {
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy": {"ndarray", "dtype"},
}


class Empty:
    """Stands for an instance of any class: keeps its attributes, does nothing."""

    def __init__(self, *_args, **_kwargs):
        pass

    def __setstate__(self, state):
        if isinstance(state, dict):
            self.__dict__.update(state)


class Numbers(pickle.Unpickler):
    """Reads the numbers of a pickle."""

    def find_class(self, module, name):
        if name in NUMPY.get(module, ()):
            return getattr(__import__(module, fromlist=[name]), name)
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        return type(name, (Empty,), {})


class Tensors(Numbers):
    """Reads the tensors of a file that torch.save wrote."""

    def __init__(self, archive):
        self.archive = archive
        self.root = next(name for name in archive.namelist() if name.endswith("data.pkl"))[: -len("data.pkl")]
        super().__init__(io.BytesIO(archive.read(self.root + "data.pkl")))

    def find_class(self, module, name):
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.tensor
        return super().find_class(module, name)

    def persistent_load(self, reference):
        _, dtype, key, _, _ = reference
        return np.frombuffer(self.archive.read(f"{self.root}data/{key}"), dtype)

    @staticmethod
    def tensor(storage, offset, size, stride, *_):
        strides = [step * storage.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


def fail(message):
    sys.exit(f"sb3_policy.py: {message}")


def read_layers(model):
    """Weights [inputs, outputs] and biases of the policy, from its input to its output, and the activation."""
    with zipfile.ZipFile(model) as archive:
        settings = json.loads(archive.read("data"))
        with zipfile.ZipFile(io.BytesIO(archive.read("policy.pth"))) as tensors:
            state = Tensors(tensors).load()
    hidden = [re.fullmatch(r"mlp_extractor\.policy_net\.(\d+)\.weight", name) for name in state]
    names = [f"mlp_extractor.policy_net.{i}" for i in sorted(int(match[1]) for match in hidden if match)]
    names.append("action_net")
    if "action_net.weight" not in state or any("shared_net" in name for name in state):
        fail(f"{model}: no policy of PPO, A2C or TRPO with a network of its own: {', '.join(state)}")
    layers = [(state[f"{name}.weight"].T, state[f"{name}.bias"]) for name in names]
    chosen = str(settings["policy_kwargs"].get("activation_fn", "Tanh"))
    activation = next((kind for kind in ("ReLU", "ELU", "Tanh") if kind in chosen), None)
    if activation is None:
        fail(f"{model}: the activation is {chosen}")
    return layers, activation.lower()


def read_normalization(path, size):
    """Mean and factor per observation, and the limit."""
    if path is None:
        return np.zeros(size), np.ones(size), None
    with open(path, "rb") as file:
        saved = Numbers(file).load()
    if not saved.norm_obs:
        return np.zeros(size), np.ones(size), None
    return saved.obs_rms.mean, 1.0 / np.sqrt(saved.obs_rms.var + saved.epsilon), float(saved.clip_obs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL.zip")
    parser.add_argument("--normalization", metavar="VECNORMALIZE.pkl")
    parser.add_argument("--env", required=True, help="gymnasium's environment, one of: " + ", ".join(ENVIRONMENTS.values()))
    parser.add_argument("--out", required=True, metavar="F")
    args = parser.parse_args()
    task = next((task for task, name in reversed(ENVIRONMENTS.items()) if name == args.env), None)
    if task is None:
        fail(f"no task follows {args.env}; known are {', '.join(ENVIRONMENTS.values())}")
    import gymnasium

    env = gymnasium.make(args.env).unwrapped
    layers, activation = read_layers(args.model)
    size, count = layers[0][0].shape[0], layers[-1][1].shape[0]
    if (size, count) != (env.observation_space.shape[0], env.action_space.shape[0]):
        fail(f"{args.model}: sees {size} and controls {count} numbers, unlike {args.env}")
    limit = float(env.action_space.high[0])
    if not (np.all(env.action_space.high == limit) and np.all(env.action_space.low == -limit)):
        fail(f"the action space of {args.env} is not a cube about 0")
    mean, scale, clip = read_normalization(args.normalization, size)
    arrays = {"obs_mean": mean, "obs_scale": scale}
    for i, (weight, bias) in enumerate(layers):
        arrays |= {f"weight_{i}": weight, f"bias_{i}": bias}
    stem = args.out.removesuffix(".json")
    np.savez(stem + ".npz", **{name: np.ascontiguousarray(value, np.float32) for name, value in arrays.items()})
    actuators = [env.model.actuator(i).name or str(i) for i in range(count)]
    description = {
        "format": "manyworlds-policy-1",
        "task": task,
        "arrays": stem.rsplit("/", 1)[-1] + ".npz",
        "control_dt": float(env.dt),
        "observation": {"dim": size, "terms": [{"name": "state", "dim": size, "scale": 1.0}], "clip": clip},
        "actions": [{"name": name, "scale": 1.0, "offset": 0.0} for name in actuators],
        "network": {"layers": len(layers), "activation": activation, "limit": limit},
    }
    with open(stem + ".json", "w") as file:
        json.dump(description, file, indent=1)
    print(json.dumps({"policy": stem + ".json", "task": task, "layers": [list(w.shape) for w, _ in layers]}))


if __name__ == "__main__":
    main()
