"""One step of a model whose numbers differ from state to state.

randomized.py FILE.json

FILE: {"model", "states", "seed", "entries": [{"field", "names", "components", "operation", "per"}], "draws"
[state][draw]}. Finds by itself what the entries mean, changes MuJoCo's model accordingly, lets `mj_setConst` compute
what follows, and prints what contact.py does, and `body_invweight0` and `dof_invweight0`.
"""

import copy
import fnmatch
import json
import sys

import mujoco
import numpy as np

from contact import find, rollout_states
from step import converge

KINDS = {"body": "BODY", "jnt": "JOINT", "dof": "JOINT", "geom": "GEOM", "site": "SITE", "actuator": "ACTUATOR"}


def rows(model, field):
    """(row, name) of every row of a field."""
    joint = lambda j: mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, j) or f"#{j}"
    if field.startswith("qpos"):
        starts = list(model.jnt_qposadr) + [model.nq]
        return [(q, joint(j)) for j in range(model.njnt) for q in range(starts[j], starts[j + 1])]
    if field.split("_")[0] not in KINDS:
        return [(None, "*")]
    kind = getattr(mujoco.mjtObj, "mjOBJ_" + KINDS[field.split("_")[0]])
    array = getattr(model, "body_mass" if field == "body_rotation" else field)
    owner = model.dof_jntid if field.startswith("dof_") else range(len(array))
    return [(row, mujoco.mj_id2name(model, kind, owner[row]) or f"#{owner[row]}") for row in range(len(array))]


def counts(model, field, row, component, operation):
    if field.startswith("body_") and (row == 0 or model.body_dofnum[model.body_weldid[row]] == 0):
        if row == 0 or field in ("body_mass", "body_inertia", "body_ipos"):
            return False
    if field == "jnt_range" and not model.jnt_limited[row]:
        return False
    if field == "dof_frictionloss" and model.dof_frictionloss[row] <= 0:
        return False
    if field in ("actuator_ctrlrange", "actuator_forcerange") and not getattr(
        model, field.replace("range", "limited")
    )[row]:
        return False
    return operation != "scale" or value(model, field, row, component) != 0


def holder(model, field, row):
    if row is None:
        return np.atleast_1d(getattr(model.opt, field))
    return getattr(model, field).reshape(len(getattr(model, field)), -1)[row]


def value(model, field, row, component):
    return 1.0 if field == "body_rotation" else holder(model, field, row)[component]


def change(model, field, row, component, operation, draw):
    if field == "body_rotation":
        axis = np.zeros(3)
        axis[component] = 1
        mujoco.mju_quatIntegrate(model.body_quat[row], axis, draw)
        return
    old = value(model, field, row, component)
    new = {"scale": old * draw, "add": old + draw, "set": draw}[operation]
    if row is None and field == "timestep":
        model.opt.timestep = new
    elif row is None:
        getattr(model.opt, field)[component] = new
    else:
        if field == "body_mass":
            model.body_inertia[row] *= new / old
        holder(model, field, row)[component] = new


def meant(model, entry):
    """The numbers that an entry means, and which draw each takes."""
    chosen, rows_seen = [], []
    for row, name in rows(model, entry["field"]):
        if not any(fnmatch.fnmatchcase(name, glob) for glob in entry["names"]):
            continue
        width = 3 if entry["field"] == "body_rotation" else len(holder(model, entry["field"], row))
        for component in entry["components"] or range(width):
            if counts(model, entry["field"], row, component, entry["operation"]):
                if row not in rows_seen:
                    rows_seen.append(row)
                draw = {"number": len(chosen), "element": len(rows_seen) - 1, "world": 0}[entry["per"]]
                chosen.append((row, component, draw))
    return chosen


GEOMETRY = ("geom_size", "geom_pos")


def compiled(path, base, changes):
    """The model compiled anew with changed geoms: masses and inertias follow."""
    spec = mujoco.MjSpec.from_file(path)
    geoms = {geom.id: geom for geom in spec.geoms}
    if any(i not in geoms for i in range(base.ngeom)):
        spec.compile()
        geoms = {geom.id: geom for geom in spec.geoms}
    for field, row, component, operation, draw in changes:
        geom = geoms[row]
        if not np.isnan(geom.fromto[0]):
            geom.fromto[:] = np.nan
            geom.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
            geom.pos[:], geom.quat[:], geom.size[:] = base.geom_pos[row], base.geom_quat[row], base.geom_size[row]
        array = geom.size if field == "geom_size" else geom.pos
        array[component] = {"scale": array[component] * draw, "add": array[component] + draw, "set": draw}[operation]
    return spec.compile()


def without_shortcuts(model):
    """What the compiler found for the model's own numbers: frames that coincide, inertias that are diagonal, bounds."""
    for name in ["body_sameframe", "geom_sameframe", "site_sameframe", "body_simple", "dof_simplenum"]:
        getattr(model, name)[:] = 0
    model.geom_rbound[model.geom_type != mujoco.mjtGeom.mjGEOM_PLANE] = 100
    model.geom_aabb[:, 3:] = 100
    model.bvh_aabb[:, 3:] = 100
    model.body_margin[:] = 1
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE


def main():
    with open(sys.argv[1]) as file:
        given = json.load(file)
    base = mujoco.MjModel.from_xml_path(find(given["model"]))
    states = rollout_states(base, given["states"], given["seed"])
    names = ["next_qpos", "next_qvel", "next_act", "qacc", "xpos", "xquat", "body_invweight0", "dof_invweight0"]
    out = {name: [] for name in names}
    for k, draws in enumerate(given["draws"]):
        changes, first = [], 0
        for entry in given["entries"]:
            chosen = meant(base, entry)
            for row, component, draw in chosen:
                changes.append((entry["field"], row, component, entry["operation"], draws[first + draw]))
            first += max((draw for *_, draw in chosen), default=-1) + 1
        assert first == given["count"], (first, given["count"])
        geometry = [change for change in changes if change[0] in GEOMETRY]
        model = compiled(find(given["model"]), base, geometry) if geometry else copy.deepcopy(base)
        converge(model)
        for each in changes:
            if each[0] not in GEOMETRY:
                change(model, *each)
        without_shortcuts(model)
        data = mujoco.MjData(model)
        mujoco.mj_setConst(model, data)
        mujoco.mj_resetData(model, data)
        for name, values in states.items():
            getattr(data, name)[:] = values[k]
        mujoco.mj_forward(model, data)
        for name in ["qacc", "xpos", "xquat"]:
            out[name].append(getattr(data, name).ravel().tolist())
        for name in ["body_invweight0", "dof_invweight0"]:
            out[name].append(getattr(model, name).ravel().tolist())
        mujoco.mj_step(model, data)
        for name in ["qpos", "qvel", "act"]:
            out["next_" + name].append(getattr(data, name).tolist())
    count = given["states"]
    zeros = {"qfrc": np.zeros((count, base.nv)), "xfrc": np.zeros((count, 6 * base.nbody))}
    inputs = {k: v.tolist() for k, v in {**states, **zeros}.items()}
    json.dump({**inputs, **out}, sys.stdout)


if __name__ == "__main__":
    main()
