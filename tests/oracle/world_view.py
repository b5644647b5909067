"""Frames, velocities and forces by name, as MuJoCo has them in random states.

world_view.py MODEL.xml LINK SITE ACTUATOR [--states N] [--seed S]

Prints an object: `qpos`, `qvel`, `ctrl` [state], exact in single precision, and after mj_forward [state]: the link's
`position`, `orientation`, `velocity` and `angular_velocity` (world axes), `velocity_in_body` and
`angular_velocity_in_body`, `com`, `subtree_com`; the site's `site_position`, `site_orientation`, `site_velocity`; and
the actuator's `force`.
"""

import argparse
import json

import mujoco
import numpy as np


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("link")
    parser.add_argument("site")
    parser.add_argument("actuator")
    parser.add_argument("--states", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = mujoco.MjModel.from_xml_path(options.model)
    data = mujoco.MjData(model)
    random = np.random.default_rng(options.seed)
    link, site, actuator = model.body(options.link).id, model.site(options.site).id, model.actuator(options.actuator).id

    out = {}
    single = lambda values: np.asarray(values, dtype=np.float32).astype(np.float64)
    for _ in range(options.states):
        mujoco.mj_resetData(model, data)
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 1.0)
        data.qpos[:] = single(data.qpos)
        data.qvel[:] = single(random.normal(size=model.nv))
        data.ctrl[:] = single(random.uniform(-1.5, 1.5, size=model.nu))
        state = {"qpos": data.qpos.copy(), "qvel": data.qvel.copy(), "ctrl": data.ctrl.copy()}
        mujoco.mj_forward(model, data)

        def velocity(kind, index, local):
            six = np.zeros(6)
            mujoco.mj_objectVelocity(model, data, kind, index, six, local)
            return six[:3], six[3:]

        body = mujoco.mjtObj.mjOBJ_XBODY
        angular, linear = velocity(body, link, 0)
        angular_in_body, linear_in_body = velocity(body, link, 1)
        site_quat = np.zeros(4)
        mujoco.mju_mat2Quat(site_quat, data.site_xmat[site])
        state |= {
            "position": data.xpos[link],
            "orientation": data.xquat[link],
            "velocity": linear,
            "angular_velocity": angular,
            "velocity_in_body": linear_in_body,
            "angular_velocity_in_body": angular_in_body,
            "com": data.xipos[link],
            "subtree_com": data.subtree_com[link],
            "site_position": data.site_xpos[site],
            "site_orientation": site_quat,
            "site_velocity": velocity(mujoco.mjtObj.mjOBJ_SITE, site, 0)[1],
            "force": [data.actuator_force[actuator]],
        }
        for name, values in state.items():
            out.setdefault(name, []).append(np.array(values).tolist())
    print(json.dumps(out))


main()
