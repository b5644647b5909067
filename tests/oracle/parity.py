"""What MuJoCo computes in states that models really reach, and the models that installed packages bring along.

    python parity.py states MODEL.xml OUT.npz [--states 1000] [--seed 0] [--from F.npz]
    python parity.py packages [NAME]...

`states` rolls the model out under random controls from perturbed starts, with MuJoCo's own step, and visits N states in
all; or it takes states of a recording (qpos [T, n, nq], qvel [T, n, nv], and act and ctrl where it has them). States are
rounded to single precision first: who computes in it sees the same state. In each state `mj_forward` is taken by Newton's
method, iterated until nothing improves. OUT.npz holds, with S states, the inputs time [S], qpos [S, nq], qvel [S, nv],
act [S, na], ctrl [S, nu], and xpos [S, 3 nbody], xquat [S, 4 nbody], qacc [S, nv], sensordata [S, nsensordata],
ncon [S] and of its contacts geom [S, C, 2], dist [S, C], pos [S, C, 3], normal [S, C, 3], padded with zeros to the
largest number C.

Where a distance equals its margin to 1e-12 m, the last bit of MuJoCo's own rounding decides whether the contact pushes:
either answer is right. Where there are such states, all outputs are there twice more, with `_without` and `_with` after
their names: with margins 1e-12 m smaller and larger.

`qacc_moves` and `sensordata_moves` [S] are how far MuJoCo's own answers move, by the measure |Δ|∞ / max(1, |answer|∞),
when every number of the state and of the model is off by the rounding of single precision, 2⁻²⁴ of itself, or of the
largest component for a position or a direction; the largest of four random draws. Nothing that computes in single
precision can be expected to be much nearer.

Prints one line of JSON.

`packages` prints {"mujoco": version, "packages": [{"name", "version", "root", "models": [{"path", "error"}]}]}: all MJCF
files in the packages' folders, and why MuJoCo does not load one by itself (an include file, mostly).
"""

import argparse
import copy
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
        act = file["act"].reshape(-1, model.na) if model.na and "act" in file else np.zeros((len(qpos), model.na))
        has_ctrl = model.nu and "ctrl" in file
        ctrl = file["ctrl"].reshape(-1, model.nu) if has_ctrl else random_controls(model, rng, len(qpos))
    if not len(qpos) == len(qvel) == len(act) == len(ctrl):
        fail(f"{path}: qpos, qvel, act and ctrl are of different lengths")
    rows = np.flatnonzero(np.isfinite(qpos).all(1) & np.isfinite(qvel).all(1))
    rows = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
    return [np.zeros((len(rows), 1)), qpos[rows], qvel[rows], act[rows], ctrl[rows]]


def converged(model):
    """Every solver has the same answer; this one reaches it."""
    model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    # Any tolerance leaves 1e-8 in some states with elliptic cones.
    model.opt.tolerance, model.opt.ls_tolerance = 0, 1e-10
    model.opt.iterations, model.opt.ls_iterations = 200, 200


def load(path):
    try:
        return mujoco.MjModel.from_xml_path(path)
    except ValueError as error:
        fail(f"MuJoCo does not load {path}: {one_line(error)}")


# Half a unit in the last place of single precision, relative; and a hair by which contacts are undecided, m.
ROUNDING, HAIR = 2.0**-24, 1e-12
# The numbers of a model that the stages read.
CONSTANTS = """
body_pos body_quat body_ipos body_iquat body_mass body_inertia body_invweight0 body_subtreemass jnt_pos jnt_axis
jnt_stiffness jnt_range qpos_spring dof_armature dof_damping dof_frictionloss dof_invweight0 geom_pos geom_quat geom_size
geom_friction geom_margin geom_solref geom_solimp site_pos site_quat actuator_gear actuator_gainprm actuator_biasprm
eq_data tendon_range wrap_prm
""".split()


def roughened(model, rng):
    """The model with numbers that are off by the rounding of single precision."""
    rough = copy.copy(model)
    for name in CONSTANTS:
        array = getattr(rough, name)
        # Turned vectors mix their components: each is as uncertain as the largest.
        is_vector = name.endswith(("_pos", "_quat", "_axis"))
        size = np.abs(array).max(axis=1, keepdims=True, initial=0.0) if is_vector else array
        array += ROUNDING * size * rng.choice([-1.0, 1.0], array.shape)
    for name in ("body_quat", "body_iquat", "geom_quat", "site_quat", "jnt_axis"):
        array = getattr(rough, name)
        array /= np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-15)
    return rough


def with_margins(model, change):
    """The model with all margins of contacts changed."""
    other = copy.copy(model)
    # The margins of both geoms are added.
    other.geom_margin[:] += change / 2
    other.pair_margin[:] += change
    other.opt.o_margin += change
    return other


def answers(model, states):
    """What `mj_forward` gives in every state: arrays [S, n], and the contacts that push."""
    data = mujoco.MjData(model)
    names = {"xpos": 3 * model.nbody, "xquat": 4 * model.nbody, "qacc": model.nv, "sensordata": model.nsensordata}
    out = {name: np.zeros((len(states[0]), size)) for name, size in names.items()}
    contacts, undecided = [], []
    for k, (time, qpos, qvel, act, ctrl) in enumerate(zip(*states)):
        mujoco.mj_resetData(model, data)
        data.time, data.qpos[:], data.qvel[:], data.act[:], data.ctrl[:] = time[0], qpos, qvel, act, ctrl
        mujoco.mj_forward(model, data)
        for name, array in out.items():
            array[k] = getattr(data, name).ravel()
        # Those within the gap are listed, and push nothing.
        pushing = [contact for contact in data.contact if contact.exclude == 0]
        contacts.append([(c.geom.copy(), c.dist, c.pos.copy(), c.frame[:3].copy()) for c in pushing])
        undecided.append(any(abs(c.dist - c.includemargin) <= 2 * HAIR for c in data.contact))
    return out, contacts, np.array(undecided, dtype=bool)


def padded(contacts):
    """Arrays of the contacts of each state."""
    ncon = np.array([len(found) for found in contacts], dtype=np.float64)
    most = max(1, int(ncon.max(initial=0)))
    count = len(contacts)
    geom, dist = np.zeros((count, most, 2)), np.zeros((count, most))
    pos, normal = np.zeros((count, most, 3)), np.zeros((count, most, 3))
    for k, found in enumerate(contacts):
        for i, contact in enumerate(found):
            geom[k, i], dist[k, i], pos[k, i], normal[k, i] = contact
    return {"ncon": ncon, "geom": geom, "dist": dist, "pos": pos, "normal": normal}


def moves(model, states, out, rng):
    """How far answers move when states and model are off by the rounding of single precision."""
    largest = {name: np.zeros(len(states[0])) for name in ("qacc", "sensordata")}
    for _ in range(4):
        rough = [array * (1.0 + ROUNDING * rng.choice([-1.0, 1.0], array.shape)) for array in states]
        moved, _, _ = answers(roughened(model, rng), rough)
        for name, found in largest.items():
            apart = np.abs(moved[name] - out[name]).max(axis=1, initial=0.0)
            found[:] = np.maximum(found, apart / np.abs(out[name]).max(axis=1, initial=1.0))
    return {f"{name}_moves": found for name, found in largest.items()}


def states(args):
    model = load(args.model)
    rng = np.random.default_rng(args.seed)
    try:
        found = recorded(model, args.source, args.states, rng) if args.source else visited(model, args.states, rng)
    except (OSError, KeyError, ValueError) as error:
        fail(f"{args.source or args.model}: {one_line(error)}")
    found = [array.astype(np.float32).astype(np.float64) for array in found]
    converged(model)
    out, contacts, _ = answers(model, found)
    file = {**out, **padded(contacts), **moves(model, found, out, rng)}
    # A contact just outside of its margin is not listed: wider margins show it.
    wide = answers(with_margins(model, HAIR), found)
    undecided = wide[2]
    if undecided.any():
        without = answers(with_margins(model, -HAIR), found)
        for suffix, (numbers, touching, _) in {"without": without, "with": wide}.items():
            file.update({f"{name}_{suffix}": array for name, array in {**numbers, **padded(touching)}.items()})
    time, qpos, qvel, act, ctrl = found
    inputs = {"time": time[:, 0], "qpos": qpos, "qvel": qvel, "act": act, "ctrl": ctrl}
    np.savez(args.out, **inputs, **file)
    counts = {"states": len(qpos), "in_contact": int((file["ncon"] > 0).sum()), "undecided": int(undecided.sum())}
    print(json.dumps({"mujoco": mujoco.__version__, **counts}))


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
