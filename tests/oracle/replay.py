"""Renders recorded states with MuJoCo's own renderer, as a GIF.

    python replay.py MODEL.xml STATES.npz OUT.gif [--world 0,1,2,3] [--fps 25] [--size 480x360] [--camera NAME]

STATES.npz is what `manyworlds rollout --out` and `manyworlds eval --record` write: time [T] and qpos [T, N, nq]
(or [T, nq]); worlds are tiled. Prints one line of JSON: frames, size, and by which OpenGL it was drawn. Rendering
is offscreen: through EGL, else OSMesa, unless MUJOCO_GL says which.
"""

import argparse
import ctypes.util
import json
import math
import os
import sys


def fail(message):
    sys.exit(f"replay.py: {message}")


HINT = "apt-get install libegl1, or libosmesa6 and set MUJOCO_GL=osmesa"


def choose_opengl():
    """MuJoCo reads MUJOCO_GL once, when it is imported."""
    if not os.environ.get("MUJOCO_GL"):
        found = [gl for gl, library in (("egl", "EGL"), ("osmesa", "OSMesa")) if ctypes.util.find_library(library)]
        if not found:
            fail(f"no OpenGL to draw offscreen with ({HINT})")
        os.environ["MUJOCO_GL"] = found[0]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("states")
    parser.add_argument("out")
    parser.add_argument("--world", default="0", help="indices, separated by commas; tiled")
    parser.add_argument("--fps", type=float, default=25.0, help="frames per second of simulated time, at most 50")
    parser.add_argument("--size", default="480x360", help="of one world's tile")
    parser.add_argument("--camera", help="a camera of the model; else a free one")
    return parser.parse_args()


def illuminated(mujoco, path):
    """The model; with a light and a sky of ours where it has none, since a simulation needs neither."""
    spec = mujoco.MjSpec.from_file(path)
    if not spec.lights:
        spec.worldbody.add_light(pos=[0, 0, 4], dir=[0.3, 0.4, -1], type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
        headlight = spec.visual.headlight
        headlight.ambient, headlight.diffuse, headlight.specular = [0.35] * 3, [0.45] * 3, [0.1] * 3
    if not any(texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX for texture in spec.textures):
        spec.add_texture(
            name="sky",
            type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
            rgb1=[0.75, 0.84, 0.93],
            rgb2=[0.97, 0.98, 1.0],
            width=256,
            height=256,
        )
    return spec.compile()


def main():
    args = arguments()
    choose_opengl()
    try:
        import mujoco
        import numpy as np
        from PIL import Image
    except Exception as error:  # each OpenGL binding raises its own kind
        fail(f"MUJOCO_GL={os.environ['MUJOCO_GL']}: {error} ({HINT}; python packages: requirements.txt)")

    try:
        width, height = (int(side) for side in args.size.split("x"))
        worlds = [int(world) for world in args.world.split(",")]
    except ValueError:
        fail(f"--size {args.size} --world {args.world}: expected WIDTHxHEIGHT and numbers like 0,3,5")
    if not 0.0 < args.fps <= 50.0:
        fail(f"--fps {args.fps}: more than 0, and at most 50 (a GIF has hundredths of a second)")
    try:
        model = illuminated(mujoco, args.model)
        with np.load(args.states) as states:
            qpos, time = states["qpos"], states["time"]
    except (OSError, KeyError, ValueError) as error:
        fail(f"{args.model}, {args.states}: {error}")
    if qpos.ndim == 2:
        qpos = qpos[:, None]
    if qpos.ndim != 3 or qpos.shape[2] != model.nq or len(time) != len(qpos) or not len(time):
        fail(f"qpos {qpos.shape}, time {time.shape}: expected [T, N, {model.nq}] and [T]")
    if not all(0 <= world < qpos.shape[1] for world in worlds):
        fail(f"--world {args.world}: the recording has worlds 0 to {qpos.shape[1] - 1}")
    if not np.isfinite(qpos[:, worlds]).all():
        fail(f"{args.states}: qpos is not finite in one of the worlds {args.world}")
    if args.camera is not None and mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, args.camera) < 0:
        names = ", ".join(model.camera(i).name for i in range(model.ncam)) or "none"
        fail(f"--camera {args.camera}: the model's cameras are: {names}")

    # The recorded state that is the last one at each frame's time.
    hundredths = max(2, round(100.0 / args.fps))
    frame_times = np.arange(time[0], time[-1] + 1e-9, hundredths / 100.0)
    rows = np.searchsorted(time, frame_times + 1e-9, side="right") - 1

    model.vis.global_.offwidth = max(model.vis.global_.offwidth, width)
    model.vis.global_.offheight = max(model.vis.global_.offheight, height)
    try:
        renderer = mujoco.Renderer(model, height, width)
    except Exception as error:  # as above
        fail(f"MUJOCO_GL={os.environ['MUJOCO_GL']} cannot draw offscreen: {error} ({HINT})".replace("\n", " "))

    camera = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, camera)
    if model.njnt and model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE:  # what moves about stays in view
        camera.type, camera.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, model.jnt_bodyid[0]

    data = mujoco.MjData(model)
    columns = math.ceil(math.sqrt(len(worlds)))
    frames = []
    for row in rows:
        sheet = Image.new("RGB", (columns * width, math.ceil(len(worlds) / columns) * height))
        for tile, world in enumerate(worlds):
            data.qpos[:] = qpos[row, world]
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera=args.camera or camera)
            sheet.paste(Image.fromarray(renderer.render()), (tile % columns * width, tile // columns * height))
        frames.append(sheet)
    renderer.close()
    partial = f"{args.out}.partial"
    frames[0].save(partial, format="GIF", save_all=True, append_images=frames[1:], duration=10 * hundredths, loop=0)
    os.replace(partial, args.out)
    print(json.dumps({"out": args.out, "frames": len(frames), "size": frames[0].size, "gl": os.environ["MUJOCO_GL"]}))


if __name__ == "__main__":
    main()
