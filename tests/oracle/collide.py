"""Contacts that MuJoCo finds: of pairs of geoms anywhere, or of a model in random states.

    collide.py pairs KIND1 KIND2 COUNT SEED     poses of two geoms, their contacts
    collide.py convex KIND1 KIND2 COUNT SEED    the same, within the margin, shallow and deep, by exact iterations
    collide.py model FILE COUNT SEED            all geoms that may touch, with their contacts' parameters
"""

import json
import sys

import mujoco
import numpy as np

from states import random_states


def turned(rng, how):
    """A rotation matrix: random, about coordinate axes by right angles, or almost so."""
    quat = rng.normal(size=4)
    if how != "random":
        quat = rng.integers(-1, 2, 4).astype(float)
        if not quat.any():
            quat[0] = 1
    if how == "almost":
        quat += rng.normal(size=4) * 10.0 ** rng.uniform(-6, -2)
    mat = np.zeros(9)
    mujoco.mju_quat2Mat(mat, quat / np.linalg.norm(quat))
    # Right angles are meant exactly.
    return np.where(np.abs(mat - np.round(mat)) < 1e-12, np.round(mat), mat)


def sizes(rng, kind):
    size = rng.uniform(0.05, 0.5, 3)
    if rng.uniform() < 0.2:
        size[:] = rng.choice([0.1, 0.25])
    used = {"sphere": 1, "capsule": 2, "cylinder": 2}.get(kind, 3)
    size[used:] = 0
    return size


def reach_of(kind, size):
    """A radius around the centre that everything of the geom is within."""
    return {
        "plane": 0,
        "sphere": size[0],
        "capsule": size[0] + size[1],
        "cylinder": np.hypot(size[0], size[1]),
        "ellipsoid": size.max(),
        "box": np.linalg.norm(size),
    }[kind]


def pairs(kind1, kind2, count, seed):
    rng = np.random.default_rng(seed)
    body = "" if kind1 == "plane" else "<freejoint/>"
    model = mujoco.MjModel.from_xml_string(f"""
        <mujoco><worldbody>
          <body>{body}<geom type="{kind1}" size="1 1 1"/></body>
          <body><freejoint/><geom type="{kind2}" size="1 1 1"/></body>
        </worldbody></mujoco>""")
    data = mujoco.MjData(model)
    cases = []
    for case in range(count):
        how = ["random", "random", "straight", "almost"][case % 4]
        size = [sizes(rng, kind1), sizes(rng, kind2)]
        first = turned(rng, how)
        # Every third second geom is turned like the first one.
        second = first if case % 3 == 0 else turned(rng, how)
        middle = rng.normal(size=3)
        away = rng.normal(size=3)
        away /= np.linalg.norm(away)
        bounds = [reach_of(kind1, size[0]), reach_of(kind2, size[1])]
        if how != "random" and rng.uniform() < 0.5:
            # Along an axis of the first one.
            away = first.reshape(3, 3)[:, rng.integers(3)] * rng.choice([-1, 1])
        distance = sum(bounds) * rng.uniform(0, 1) ** 0.7
        if kind1 == "plane":
            away = first.reshape(3, 3)[:, 2] + 0.3 * away
            distance *= rng.choice([-1, 1, 1, 1])
        if case % 60 == 7:
            distance = 0
        margin = [0, 0.02, 0.1][rng.integers(3)]
        model.geom_margin[:] = margin / 2
        for geom in range(2):
            model.geom_size[geom] = size[geom]
            # The bounding sphere only has to be large enough.
            model.geom_rbound[geom] = 0 if kind1 == "plane" and geom == 0 else 10
        positions = [middle, middle + away * distance]
        mats = [first, second]
        mujoco.mj_kinematics(model, data)
        data.geom_xpos[:] = positions
        data.geom_xmat[:] = mats
        mujoco.mj_collision(model, data)
        contacts = [
            {
                "dist": contact.dist,
                "pos": contact.pos.tolist(),
                "frame": contact.frame.tolist(),
            }
            for contact in data.contact
        ]
        shapes = [[*size[k], *positions[k], *mats[k].reshape(3, 3).T.ravel()] for k in range(2)]
        cases.append(
            {"how": how, "shapes": shapes, "margin": model.geom_margin.sum(), "contacts": contacts}
        )
    return cases


def convex(kind1, kind2, count, seed):
    """Poses of two geoms near and in each other: MuJoCo's one contact with its iterations taken to their end, and its
    contacts as it is by default, several where flat sides lie on each other."""
    rng = np.random.default_rng(seed)
    model = mujoco.MjModel.from_xml_string(f"""
        <mujoco><option ccd_tolerance="1e-12" ccd_iterations="1000"/><worldbody>
          <body><freejoint/><geom type="{kind1}" size="1 1 1"/></body>
          <body><freejoint/><geom type="{kind2}" size="1 1 1"/></body>
        </worldbody></mujoco>""")
    data = mujoco.MjData(model)
    model.geom_rbound[:] = 10

    def contacts(positions, mats, margin, several):
        model.geom_margin[:] = margin / 2
        single = int(mujoco.mjtDisableBit.mjDSBL_MULTICCD)
        model.opt.disableflags = 0 if several else single
        mujoco.mj_kinematics(model, data)
        data.geom_xpos[:] = positions
        data.geom_xmat[:] = mats
        mujoco.mj_collision(model, data)
        return [
            {"dist": c.dist, "pos": c.pos.tolist(), "frame": c.frame.tolist()} for c in data.contact
        ]

    cases = []
    for case in range(count):
        how = ["random", "random", "straight", "almost"][case % 4]
        size = [sizes(rng, kind1), sizes(rng, kind2)]
        model.geom_size[:] = size
        first = turned(rng, how)
        second = first if case % 3 == 0 else turned(rng, how)
        middle = rng.normal(size=3)
        away = rng.normal(size=3)
        if how != "random" and rng.uniform() < 0.5:
            away = first.reshape(3, 3)[:, rng.integers(3)] * rng.choice([-1, 1])
        away /= np.linalg.norm(away)
        # Beside each other: not only along the line between the centres.
        beside = rng.normal(size=3) * 0.2 * rng.integers(2)
        bounds = reach_of(kind1, size[0]) + reach_of(kind2, size[1])
        margin = [0, 0.02, 0.1][rng.integers(3)]
        depth = ["within", "shallow", "deep"][case // 4 % 3]
        low, high = 0.0, 2 * bounds + 1
        distance = bounds * rng.uniform(0, 1) ** 0.7
        if depth != "deep":
            target = margin * rng.uniform() if depth == "within" else -0.02 * rng.uniform()
            for _ in range(40):
                distance = (low + high) / 2
                positions = [middle, middle + beside + away * distance]
                found = contacts(positions, [first, second], 10, False)
                near = not found or found[0]["dist"] < target
                low, high = (distance, high) if near else (low, distance)
        positions = [middle, middle + beside + away * distance]
        mats = [first, second]
        shapes = [[*size[k], *positions[k], *mats[k].reshape(3, 3).T.ravel()] for k in range(2)]
        cases.append(
            {
                "how": f"{how} {depth}",
                "shapes": shapes,
                "margin": margin,
                "contacts": contacts(positions, mats, margin, False),
                "several": contacts(positions, mats, margin, True),
            }
        )
    return cases


def of_model(path, count, seed):
    model = mujoco.MjModel.from_xml_path(path)
    data = mujoco.MjData(model)
    # Everything is near enough to everything to be detected.
    far = 1000
    model.geom_margin[:] += far
    model.body_margin[:] += 2 * far
    model.pair_margin[:] += far
    model.opt.o_margin += far
    found = []
    for qpos in random_states(model, count, seed)[0]:
        data.qpos[:] = qpos
        mujoco.mj_fwdPosition(model, data)
        contacts = [
            {
                "geoms": contact.geom.tolist(),
                "condim": int(contact.dim),
                "friction": contact.friction.tolist(),
                "solref": contact.solref.tolist(),
                "solreffriction": contact.solreffriction.tolist(),
                "solimp": contact.solimp.tolist(),
                "margin": contact.includemargin - far * round(contact.includemargin / far),
            }
            for contact in data.contact
        ]
        # One for each pair of geoms, whose contacts follow each other.
        found.append([c for k, c in enumerate(contacts) if k == 0 or contacts[k - 1] != c])
    return found


def main():
    command, *rest = sys.argv[1:]
    if command in ("pairs", "convex"):
        kind1, kind2, count, seed = rest
        search = {"pairs": pairs, "convex": convex}[command]
        result = search(kind1, kind2, int(count), int(seed))
    else:
        path, count, seed = rest
        result = of_model(path, int(count), int(seed))
    json.dump(result, sys.stdout)


main()
