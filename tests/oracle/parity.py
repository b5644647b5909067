"""What MuJoCo computes in states that models really reach, and the models that installed packages bring along.

    python parity.py states MODEL.xml OUT.npz [--states 1000] [--seed 0] [--from F.npz]
    python parity.py explain MODEL.xml STATES.npz OURS.npz OUT.npz
    python parity.py packages [NAME]...

`states` rolls the model out under random controls from perturbed starts, with MuJoCo's own step, and visits N states in
all; or it takes states of a recording (qpos [T, n, nq], qvel [T, n, nv], and act, ctrl and eq_active where it has them).
States are rounded to single precision first: who computes in it sees the same state. In each state `mj_forward` is taken
by Newton's method, iterated until nothing improves. OUT.npz holds, with S states, the inputs time [S], qpos [S, nq],
qvel [S, nv], act [S, na], ctrl [S, nu], eq_active [S, neq] (0 or 1), and xpos [S, 3 nbody], xquat [S, 4 nbody],
qacc [S, nv], sensordata [S, nsensordata], ncon [S] and of its contacts geom [S, C, 2], dist [S, C], pos [S, C, 3],
normal [S, C, 3], padded with zeros to the largest number C.

Where a distance equals its margin to 1e-12 m, the last bit of MuJoCo's own rounding decides whether the contact pushes:
either answer is right. Where there are such states, all outputs are there twice more, with `_without` and `_with` after
their names: with margins 1e-12 m smaller and larger.

`qacc_moves` and `sensordata_moves` [S] are how far MuJoCo's own answers move, by the measure |Δ|∞ / max(1, |answer|∞),
when every number of the state and of the model is off by the rounding of single precision, 2⁻²⁴ of itself, or of the
largest component for a position or a direction; the largest of four random draws. Nothing that computes in single
precision can be expected to be much nearer.

Prints one line of JSON.

`explain` looks into states whose answers differ because contacts differ. OURS.npz holds, of K of the states in STATES.npz
(which `states` wrote), state [K] and ncon [K], geom [K, C, 2], dist [K, C], pos [K, C, 3], normal [K, C, 3] and tangent
[K, C, 3] of other contacts. For each pair of geoms whose contacts differ from MuJoCo's, it measures both against what a
contact is. Along a unit normal n two convex shapes with centres c and supports h are apart by
s(n) = n·(c₂ − c₁) − h₁(n) − h₂(n): every n is a bound, and the signed distance is the largest s. So a pair's contacts are
right where their normal separates by the deepest one's distance and no other direction tried by more, and their points are
in both shapes. What MuJoCo's are then:

    shallow     its normal separates less: there is a nearer way out, and its iterations ended before it
    off         its normal separates as much, but its points or its distance are not those of that normal
    missed      it has none, where the signed distance is below the margin; or one where it is not
    ambiguous   both are right: parallel sides, or several directions as good

A state is explained where all pairs that differ are; there, MuJoCo is asked what follows from the other contacts, put in
place of its own. OUT.npz holds explained [K] and the answers of `states` for these K. Printed are the pairs by kind, the
largest difference of separations (m) and the largest distance of points off the surfaces (m) of MuJoCo's.

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
    """States of random-action rollouts: time, qpos, qvel, act, ctrl, eq_active."""
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
                now = (data.qpos, data.qvel, data.act, data.ctrl, data.eq_active)
                states.append((data.time, *(np.array(x) for x in now)))
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
        has_eq = model.neq and "eq_active" in file
        active = file["eq_active"].reshape(-1, model.neq) if has_eq else np.tile(model.eq_active0, (len(qpos), 1))
    if not len(qpos) == len(qvel) == len(act) == len(ctrl) == len(active):
        fail(f"{path}: qpos, qvel, act, ctrl and eq_active are of different lengths")
    rows = np.flatnonzero(np.isfinite(qpos).all(1) & np.isfinite(qvel).all(1))
    rows = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
    return [np.zeros((len(rows), 1)), qpos[rows], qvel[rows], act[rows], ctrl[rows], active[rows]]


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


def answers(model, states, forward=lambda model, data, k: mujoco.mj_forward(model, data)):
    """What `mj_forward`, or another function, gives in every state: arrays [S, n], and the contacts that push."""
    data = mujoco.MjData(model)
    names = {"xpos": 3 * model.nbody, "xquat": 4 * model.nbody, "qacc": model.nv, "sensordata": model.nsensordata}
    out = {name: np.zeros((len(states[0]), size)) for name, size in names.items()}
    contacts, undecided = [], []
    for k, (time, qpos, qvel, act, ctrl, active) in enumerate(zip(*states)):
        mujoco.mj_resetData(model, data)
        data.time, data.qpos[:], data.qvel[:], data.act[:], data.ctrl[:] = time[0], qpos, qvel, act, ctrl
        data.eq_active[:] = active != 0
        forward(model, data, k)
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
    time, qpos, qvel, act, ctrl, active = found
    inputs = {"time": time[:, 0], "qpos": qpos, "qvel": qvel, "act": act, "ctrl": ctrl, "eq_active": active}
    np.savez(args.out, **inputs, **file)
    counts = {"states": len(qpos), "in_contact": int((file["ncon"] > 0).sum()), "undecided": int(undecided.sum())}
    print(json.dumps({"mujoco": mujoco.__version__, **counts}))


# Contacts that differ by less are the same; and what the measures of a contact may be off by: for points, sides that are
# parallel to a few 1e-6 count as parallel.
SAME, EXACT, ON_SURFACE = 1e-11, 1e-9, 1e-6
KINDS = ("shallow", "off", "missed", "ambiguous")


class Shapes:
    """Two convex geoms where they are."""

    def __init__(self, model, data, geoms):
        self.types = [mujoco.mjtGeom(model.geom_type[geom]) for geom in geoms]
        self.sizes = [model.geom_size[geom] for geom in geoms]
        self.centres = [data.geom_xpos[geom] for geom in geoms]
        self.frames = [data.geom_xmat[geom].reshape(3, 3) for geom in geoms]

    def are_convex(self):
        solid = ("SPHERE", "CAPSULE", "CYLINDER", "ELLIPSOID", "BOX")
        return all(kind.name.removeprefix("mjGEOM_") in solid for kind in self.types)

    def support(self, which, normals):
        """How far a geom extends from its centre along unit normals [n, 3]."""
        (x, y, z), kind = self.sizes[which], self.types[which]
        along = np.abs(normals @ self.frames[which])
        match kind:
            case mujoco.mjtGeom.mjGEOM_SPHERE:
                return np.full(len(normals), x)
            case mujoco.mjtGeom.mjGEOM_CAPSULE:
                return x + y * along[:, 2]
            case mujoco.mjtGeom.mjGEOM_CYLINDER:
                return x * np.hypot(along[:, 0], along[:, 1]) + y * along[:, 2]
            case mujoco.mjtGeom.mjGEOM_ELLIPSOID:
                return np.linalg.norm(along * (x, y, z), axis=1)
            case _:
                return along @ (x, y, z)

    def outside(self, which, points):
        """By how much the outermost of points [n, 3] is outside of a geom; not more than zero inside."""
        size, kind = self.sizes[which], self.types[which]
        x, y, z = size
        local = (points - self.centres[which]) @ self.frames[which]
        match kind:
            case mujoco.mjtGeom.mjGEOM_SPHERE:
                out = np.linalg.norm(local, axis=1) - x
            case mujoco.mjtGeom.mjGEOM_CAPSULE:
                local[:, 2] -= np.clip(local[:, 2], -y, y)
                out = np.linalg.norm(local, axis=1) - x
            case mujoco.mjtGeom.mjGEOM_CYLINDER:
                out = np.maximum(np.hypot(local[:, 0], local[:, 1]) - x, np.abs(local[:, 2]) - y)
            case mujoco.mjtGeom.mjGEOM_ELLIPSOID:
                out = (np.linalg.norm(local / size, axis=1) - 1) * size.min()
            case _:
                out = (np.abs(local) - size).max(axis=1)
        return out.max(initial=-np.inf)

    def separation(self, normals):
        """s of unit normals [n, 3]."""
        apart = self.centres[1] - self.centres[0]
        return normals @ apart - self.support(0, normals) - self.support(1, normals)

    def furthest(self, around):
        """The largest s of directions evenly spread, and of others ever nearer around some."""
        count = 2000
        index = np.arange(count)
        z = 1 - (2 * index + 1) / count
        turn = np.pi * (1 + 5**0.5) * index
        radius = np.sqrt(1 - z * z)
        spread = np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)
        near = [normal + 10.0 ** -(index % 8)[:, None] * spread for normal in around]
        tried = np.concatenate([spread, *near])
        return self.separation(tried / np.linalg.norm(tried, axis=1, keepdims=True)).max()

    def fault(self, dist, pos, normal):
        """How much contacts are none: their separation's excess over the deepest distance, and points outside."""
        reach = self.separation(normal)
        half = 0.5 * dist[:, None] * normal
        off = max(self.outside(0, pos - half), self.outside(1, pos + half))
        length = np.abs(np.linalg.norm(normal, axis=1) - 1).max()
        return reach.max(), max(abs(dist.min() - reach.max()), (reach - dist).max(), length), off


def judged(shapes, ours, theirs, margin):
    """What MuJoCo's contacts of a pair (dist, pos, normal) are beside other ones, and by how much; none if those are wrong."""
    if not shapes.are_convex():
        return None
    around = np.concatenate([ours[2], theirs[2]])
    best = shapes.furthest(around)
    if not len(ours[0]):
        return ("missed", best - margin, 0.0) if best >= margin - EXACT else None
    reach, fault, off = shapes.fault(*ours)
    if fault > EXACT or off > ON_SURFACE or best > reach + EXACT:
        return None
    if not len(theirs[0]):
        return "missed", margin - reach, 0.0
    their_reach, their_fault, their_off = shapes.fault(*theirs)
    if their_reach < reach - EXACT:
        return "shallow", reach - their_reach, max(their_off, 0.0)
    if max(their_fault, their_off) > EXACT:
        return "off", their_fault, max(their_off, 0.0)
    return "ambiguous", abs(reach - their_reach), 0.0


def replaced(model, data, others):
    """Puts other contacts in place of the present ones that differ from them; what each pair that does is, or none where
    that is not known."""
    found = []
    present = [(tuple(c.geom), i) for i, c in enumerate(data.contact) if c.exclude == 0]
    wanted = [tuple(geom) for geom in others["geom"].astype(int)]
    for pair in sorted({geoms for geoms, _ in present} | set(wanted)):
        rows = [i for i, geoms in enumerate(wanted) if geoms == pair]
        mine = [i for geoms, i in present if geoms == pair]
        ours = [others[name][rows] for name in ("dist", "pos", "normal")]
        theirs = [np.array([data.contact[i].dist for i in mine])]
        theirs += [np.array([part(data.contact[i]) for i in mine]).reshape(-1, 3) for part in (lambda c: c.pos, lambda c: c.frame[:3])]
        # Nearest first.
        order = []
        for at in ours[1]:
            left = [k for k in range(len(mine)) if k not in order]
            order += sorted(left, key=lambda k: np.linalg.norm(theirs[1][k] - at))[:1]
        if len(rows) == len(mine) and all(np.abs(a - b[order]).max(initial=0) <= SAME for a, b in zip(ours, theirs)):
            continue
        margin = data.contact[mine[0]].includemargin if mine else 0.0
        kind = judged(Shapes(model, data, pair), ours, theirs, margin)
        is_close = len(rows) == len(mine) and all(np.abs(a - b[order]).max() <= 1e-8 for a, b in zip(ours, theirs))
        if kind is None and is_close:
            continue
        if not mine:
            # Nothing tells the parameters of a contact that is not there.
            kind = None
        found.append(kind)
        if kind is None:
            continue
        for k, row in enumerate(rows):
            if k >= len(order):
                mujoco.mj_addContact(model, data, data.contact[mine[0]])
            contact = data.contact[mine[order[k]] if k < len(order) else data.ncon - 1]
            contact.dist, contact.pos = others["dist"][row], others["pos"][row]
            normal, tangent = others["normal"][row], others["tangent"][row]
            contact.frame = np.concatenate([normal, tangent, np.cross(normal, tangent)])
        for k in set(range(len(mine))) - set(order):
            data.contact[mine[k]].exclude = 1
    return found


def forward_with(model, data, others):
    """`mj_forward` with other contacts; what `replaced` says."""
    for stage in (
        mujoco.mj_kinematics,
        mujoco.mj_comPos,
        mujoco.mj_camlight,
        mujoco.mj_flex,
        mujoco.mj_tendon,
        mujoco.mj_makeM,
        mujoco.mj_factorM,
        mujoco.mj_collision,
    ):
        stage(model, data)
    found = replaced(model, data, others)
    for stage in (
        mujoco.mj_makeConstraint,
        mujoco.mj_island,
        mujoco.mj_projectConstraint,
        mujoco.mj_transmission,
        mujoco.mj_sensorPos,
    ):
        stage(model, data)
    mujoco.mj_forwardSkip(model, data, mujoco.mjtStage.mjSTAGE_POS, 0)
    return found


def explain(args):
    model = load(args.model)
    converged(model)
    with np.load(args.inputs) as file, np.load(args.ours) as other:
        rows = other["state"].astype(int)
        states = [file[name][rows] for name in ("time", "qpos", "qvel", "act", "ctrl", "eq_active")]
        others = {name: other[name] for name in ("ncon", "geom", "dist", "pos", "normal", "tangent")}
    found = []

    def forward(model, data, k):
        of_state = {name: array[k][: int(others["ncon"][k])] for name, array in others.items() if name != "ncon"}
        found.append(forward_with(model, data, of_state))

    out, contacts, _ = answers(model, [states[0][:, None], *states[1:]], forward)
    explained = [bool(kinds) and all(kind is not None for kind in kinds) for kinds in found]
    np.savez(args.out, explained=np.array(explained, dtype=np.float64), **out, **padded(contacts))
    kinds = [kind for kinds in found for kind in kinds if kind is not None]
    counts = {name: sum(kind[0] == name for kind in kinds) for name in KINDS}
    largest = {"separation": max((kind[1] for kind in kinds), default=0.0), "surface": max((kind[2] for kind in kinds), default=0.0)}
    print(json.dumps({"explained": sum(explained), **counts, **largest}))


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
    why = commands.add_parser("explain")
    for name in ("model", "inputs", "ours", "out"):
        why.add_argument(name)
    why.set_defaults(run=explain)
    many = commands.add_parser("packages")
    many.add_argument("names", nargs="*", default=["gymnasium", "dm_control"])
    many.set_defaults(run=packages)
    args = parser.parse_args()
    # MuJoCo would append its warnings to a file in the present folder.
    mujoco.set_mju_user_warning(lambda text: None)
    args.run(args)


if __name__ == "__main__":
    main()
