"""What MuJoCo computes in states that models really reach, and the models that installed packages bring along.

    python parity.py states MODEL.xml OUT.npz [--states 1000] [--seed 0] [--from F.npz]
    python parity.py packages [NAME]...

`states` rolls the model out under random controls from perturbed starts, with MuJoCo's own step, and visits N states in
all; or it takes states of a recording (qpos [T, n, nq], qvel [T, n, nv], and act and ctrl where it has them). States are
rounded to single precision first: who computes in it sees the same state. In each state `mj_forward` is taken by Newton's
method, iterated until nothing improves. OUT.npz holds, with S states, the inputs time [S], qpos [S, nq], qvel [S, nv],
act [S, na], ctrl [S, nu], and xpos [S, 3 nbody], xquat [S, 4 nbody], qacc [S, nv], sensordata [S, nsensordata],
ncon [S] and of its contacts geom [S, C, 2], dist [S, C], pos [S, C, 3], normal [S, C, 3], padded with zeros to the
largest number C. Prints one line of JSON.

`packages` prints {"mujoco": version, "packages": [{"name", "version", "root", "models": [{"path", "error"}]}]}: all MJCF
files in the packages' folders, and why MuJoCo does not load one by itself (an include file, mostly).
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import sys

import mujoco
import numpy as np

UNSTABLE = [mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC]
STEPS_PER_ROLLOUT = 250
STEPS_BETWEEN_STATES = 5
STEPS_PER_CONTROL = 10


def fail(message):
    sys.exit(f"parity.py: {message}")


def one_line(error):
    return " ".join(str(error).split())


def random_controls(model, rng, count):
    """[count, nu]: uniform in the control's range, or ±1 without one."""
    limited = model.actuator_ctrllimited.astype(bool)
    low = np.where(limited, model.actuator_ctrlrange[:, 0], -1.0)
    high = np.where(limited, model.actuator_ctrlrange[:, 1], 1.0)
    return rng.uniform(low, high, (count, model.nu))


def visited(model, count, rng):
    """States of random-action rollouts: time, qpos, qvel, act, ctrl."""
    data = mujoco.MjData(model)
    states, barren = [], 0
    while len(states) < count:
        mujoco.mj_resetData(model, data)
        # A turn and a push of all joints: rollouts begin at different places, near where the model stands.
        mujoco.mj_integratePos(model, data.qpos, rng.normal(size=model.nv) * 0.1, 1.0)
        data.qvel[:] = rng.normal(size=model.nv) * 0.1
        before = len(states)
        for step in range(STEPS_PER_ROLLOUT):
            if step % STEPS_PER_CONTROL == 0:
                data.ctrl[:] = random_controls(model, rng, 1)[0]
            mujoco.mj_step(model, data)
            if any(data.warning[kind].number for kind in UNSTABLE):
                break
            if step % STEPS_BETWEEN_STATES == 0 and len(states) < count:
                states.append((data.time, *(np.array(x) for x in (data.qpos, data.qvel, data.act, data.ctrl))))
        barren = 0 if len(states) > before else barren + 1
        if barren == 20:
            fail("under random controls the model is unstable from the first steps on")
    return [np.array(column).reshape(count, -1) for column in zip(*states)]


def recorded(model, path, count, rng):
    """States of a recording, evenly spread."""
    with np.load(path) as file:
        qpos, qvel = (file[name].reshape(-1, size) for name, size in (("qpos", model.nq), ("qvel", model.nv)))
        act = file["act"].reshape(-1, model.na) if model.na else np.zeros((len(qpos), 0))
        ctrl = file["ctrl"].reshape(-1, model.nu) if "ctrl" in file else random_controls(model, rng, len(qpos))
    if not len(qpos) == len(qvel) == len(act) == len(ctrl):
        fail(f"{path}: qpos, qvel, act and ctrl are of different lengths")
    rows = np.flatnonzero(np.isfinite(qpos).all(1) & np.isfinite(qvel).all(1))
    rows = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
    return [np.zeros((len(rows), 1)), qpos[rows], qvel[rows], act[rows], ctrl[rows]]


def converged(model):
    """Every solver has the same answer; this one reaches it."""
    model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    model.opt.tolerance, model.opt.ls_tolerance = 1e-15, 1e-10
    model.opt.iterations, model.opt.ls_iterations = 200, 200


def states(args):
    try:
        model = mujoco.MjModel.from_xml_path(args.model)
    except ValueError as error:
        fail(f"MuJoCo does not load {args.model}: {one_line(error)}")
    rng = np.random.default_rng(args.seed)
    try:
        found = recorded(model, args.source, args.states, rng) if args.source else visited(model, args.states, rng)
    except (OSError, KeyError, ValueError) as error:
        fail(f"{args.source or args.model}: {one_line(error)}")
    time, qpos, qvel, act, ctrl = (array.astype(np.float32).astype(np.float64) for array in found)
    count = len(qpos)

    converged(model)
    data = mujoco.MjData(model)
    names = {"xpos": 3 * model.nbody, "xquat": 4 * model.nbody, "qacc": model.nv, "sensordata": model.nsensordata}
    out = {name: np.zeros((count, size)) for name, size in names.items()}
    contacts = []
    for k in range(count):
        mujoco.mj_resetData(model, data)
        data.time, data.qpos[:], data.qvel[:], data.act[:], data.ctrl[:] = time[k, 0], qpos[k], qvel[k], act[k], ctrl[k]
        mujoco.mj_forward(model, data)
        for name, array in out.items():
            array[k] = getattr(data, name).ravel()
        # Those within the gap are listed, and push nothing.
        pushing = [contact for contact in data.contact if contact.exclude == 0]
        contacts.append([(c.geom.copy(), c.dist, c.pos.copy(), c.frame[:3].copy()) for c in pushing])
    ncon = np.array([len(found) for found in contacts], dtype=np.float64)
    most = max(1, int(ncon.max(initial=0)))
    geom, dist = np.zeros((count, most, 2)), np.zeros((count, most))
    pos, normal = np.zeros((count, most, 3)), np.zeros((count, most, 3))
    for k, found in enumerate(contacts):
        for i, contact in enumerate(found):
            geom[k, i], dist[k, i], pos[k, i], normal[k, i] = contact
    inputs = {"time": time[:, 0], "qpos": qpos, "qvel": qvel, "act": act, "ctrl": ctrl}
    np.savez(args.out, **inputs, **out, ncon=ncon, geom=geom, dist=dist, pos=pos, normal=normal)
    print(json.dumps({"mujoco": mujoco.__version__, "states": count, "in_contact": int((ncon > 0).sum())}))


def load_error(path):
    """Why MuJoCo does not load the file, or none."""
    try:
        mujoco.MjModel.from_xml_path(str(path))
    except (ValueError, mujoco.FatalError) as error:
        return one_line(error)
    return None


def packages(args):
    out = []
    for name in args.names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            fail(f"package {name} is not installed beside mujoco")
        root = pathlib.Path(spec.origin).parent
        models = []
        for path in sorted(root.rglob("*.xml")):
            if "<mujoco" in path.read_text(errors="replace"):
                error = load_error(path)
                error = error and error.replace(f"{root}{os.sep}", "")
                models.append({"path": path.relative_to(root).as_posix(), "error": error})
        distribution = importlib.metadata.packages_distributions()[name][0]
        out.append(
            {"name": name, "version": importlib.metadata.version(distribution), "root": str(root), "models": models}
        )
    print(json.dumps({"mujoco": mujoco.__version__, "packages": out}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("states")
    one.add_argument("model")
    one.add_argument("out")
    one.add_argument("--states", type=int, default=1000)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--from", dest="source")
    one.set_defaults(run=states)
    many = commands.add_parser("packages")
    many.add_argument("names", nargs="*", default=["gymnasium", "dm_control"])
    many.set_defaults(run=packages)
    args = parser.parse_args()
    # MuJoCo would append its warnings to a file in the present folder.
    mujoco.set_mju_user_warning(lambda text: None)
    args.run(args)


if __name__ == "__main__":
    main()
