"""Images show the state, are the same each time, and need neither a display nor a choice of backend."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sdewm.exceptions import InvalidArgument, MissingExtra
from sdewm.worldmodel import rendering
from sdewm.worldmodel.control import TASKS, collect, load_task
from sdewm.worldmodel.rendering import Renderer, backend, image_size

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def physics():
    """A pendulum, where images can be drawn."""
    pytest.importorskip("dm_control")
    environment = load_task("pendulum-swingup", np.random.RandomState(0))
    environment.reset()
    try:
        Renderer(environment.physics, 8, 8).close()
    except MissingExtra as error:
        pytest.skip(str(error))
    return environment.physics


def at(physics, angle):
    with physics.reset_context():
        physics.data.qpos[0] = angle
    return physics


def warm(image):
    """Centre (x to the right, y upwards) of the pendulum's orange parts; the rest of the scene is blue."""
    red, _, blue = image.astype(int)
    rows, columns = np.nonzero(red > blue + 60)
    half = (image.shape[-1] - 1) / 2
    return columns.mean() - half, half - rows.mean()


@pytest.mark.control
@pytest.mark.parametrize("size", [32, 64])
def test_up_is_up_and_right_is_right(physics, size):
    with Renderer(physics, size, size) as renderer:
        centres = []
        for quarter in range(4):
            at(physics, quarter * np.pi / 2)
            centres.append(warm(renderer.image()))
    up, right, down, left = centres
    far, near = 0.15 * size, 0.05 * size
    assert up[1] - down[1] > far
    assert right[0] - left[0] > far
    assert abs(up[0] - down[0]) < near
    assert abs(right[1] - left[1]) < near


@pytest.mark.slow
@pytest.mark.control
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("pixels", [32, 64, (24, 40)])
def test_images_of_the_tasks(physics, task, pixels):
    data = collect(task, episodes=2, steps=3, seed=1, pixels=pixels)
    assert data.images
    assert data.shape == (3, *image_size(pixels))
    # A scene, neither black nor uniform, and different in the two episodes.
    assert float(data.observations.float().std()) > 15.0
    assert float((data.observations[0] != data.observations[1]).float().mean()) > 0.001
    states = collect(task, episodes=2, steps=3, seed=1)
    for name in ("actions", "rewards", "continues"):
        assert torch.equal(getattr(data, name), getattr(states, name))


@pytest.mark.control
def test_equal_states_give_equal_images(physics):
    first = collect("walker-walk", episodes=2, steps=5, seed=1, pixels=64).observations
    second = collect("walker-walk", episodes=3, steps=5, seed=1, pixels=64, physics={"mass": 1.0}).observations
    assert torch.equal(first, second[:2])
    with Renderer(at(physics, 1.0), 64, 64) as renderer:
        before = renderer.image()
        at(physics, 1.1)
        assert not np.array_equal(renderer.image(), before)
        at(physics, 1.0)
        assert np.array_equal(renderer.image(), before)


@pytest.mark.control
def test_two_renderers_do_not_disturb_each_other(physics):
    at(physics, 1.0)
    with Renderer(physics, 32, 32) as small:
        alone = small.image()
        with Renderer(physics, 48, 64) as large:
            wide = large.image()
            assert np.array_equal(small.image(), alone)
            assert np.array_equal(large.image(), wide)
        assert np.array_equal(small.image(), alone)


@pytest.mark.control
def test_the_model_keeps_its_settings(physics):
    quality, size = physics.model.vis.quality, physics.model.vis.global_
    before = quality.offsamples, size.offwidth, size.offheight
    Renderer(physics, 32, 32).close()
    assert (quality.offsamples, size.offwidth, size.offheight) == before


@pytest.mark.control
def test_a_closed_renderer_and_a_missing_camera_are_refused(physics):
    renderer = Renderer(physics, 32, 32)
    renderer.close()
    renderer.close()
    with pytest.raises(InvalidArgument, match="closed"):
        renderer.image()
    with pytest.raises(InvalidArgument, match="number of cameras, 2, got 2"):
        Renderer(physics, 32, 32, camera=2)


@pytest.mark.control
def test_a_context_that_fails_late_is_closed(physics, monkeypatch):
    def fails(self, mujoco):
        raise RuntimeError("no framebuffer.\nmore")

    monkeypatch.setattr(Renderer, "_offscreen", fails)
    with pytest.raises(MissingExtra, match=r"does not start here \(RuntimeError: no framebuffer\); on Debian run: apt"):
        Renderer(physics, 32, 32)


def run(program, **environment):
    """A new process without a display: its standard output and error."""
    kept = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True
    )
    return done.stdout.strip(), done.stderr.strip()


BOTH = """
import torch
from sdewm.worldmodel import collect
before = collect(episodes=1, steps=2, seed=0)
image = collect(episodes=1, steps=2, seed=0, pixels=32)
after = collect(episodes=1, steps=2, seed=0)
print(torch.equal(before.observations, after.observations), int(image.observations.float().std()) > 10)
"""


@pytest.mark.control
@pytest.mark.slow
@pytest.mark.parametrize("choice", [{}, {"MUJOCO_GL": "disable"}, {"MUJOCO_GL": "egl"}])
def test_states_and_images_in_one_process(physics, choice):
    if choice.get("MUJOCO_GL", "egl") == "egl" and backend() != "egl":
        pytest.skip("EGL is not on this machine")
    # An empty second part: nothing is said at exit.
    assert run(BOTH, **choice) == ("True True", "")


DM_CONTROL = """
import numpy as np
from sdewm.worldmodel.control import load_task
from sdewm.worldmodel.rendering import Renderer
for task in ("cartpole-swingup", "walker-walk"):
    environment = load_task(task, np.random.RandomState(0))
    environment.reset()
    environment.physics.model.vis.quality.offsamples = 0
    flags = {"shadow": False, "reflection": False}
    theirs = environment.physics.render(64, 64, camera_id=0, render_flag_overrides=flags)
    theirs = theirs.transpose(2, 0, 1).astype(float)
    with Renderer(environment.physics, 64, 64) as renderer:
        ours = renderer.image().astype(float)
    print(*(np.abs(theirs - other).mean() for other in (ours, ours[:, ::-1], ours[:, :, ::-1], ours[::-1])))
"""


@pytest.mark.control
@pytest.mark.slow
def test_images_are_those_of_dm_control_without_shadows_and_smoothing(physics):
    if backend() != "egl":
        pytest.skip("EGL is not on this machine")
    printed, errors = run(DM_CONTROL, MUJOCO_GL="egl")
    lines = printed.splitlines()
    assert len(lines) == 2, errors
    for line in lines:
        right, *wrong = map(float, line.split())
        assert right == 0.0
        # Negative controls: upside down, mirrored, blue first.
        assert min(wrong) > 5.0


MISSING = """
from sdewm.exceptions import MissingExtra
from sdewm.worldmodel import collect
for pixels in (None, 32):
    try:
        print(collect(episodes=1, steps=1, seed=0, pixels=pixels).shape)
    except MissingExtra as error:
        print(error)
"""


@pytest.mark.control
@pytest.mark.slow
def test_without_a_working_egl_states_work_and_images_say_what_to_install(physics):
    if backend() != "egl":
        pytest.skip("EGL is not on this machine")
    printed, errors = run(MISSING, MUJOCO_GL="disable", __EGL_VENDOR_LIBRARY_DIRS=str(ROOT / "nothing"))
    states, images = printed.splitlines()
    assert states == "(3,)"
    assert images.startswith("images need an OpenGL library, and 'egl' does not start here (")
    assert "apt install libegl1 libegl-mesa0 libgl1-mesa-dri" in images
    assert "Traceback" not in errors


@pytest.mark.control
@pytest.mark.slow
def test_a_chosen_library_that_is_missing_is_named():
    pytest.importorskip("dm_control")
    try:
        ctypes.CDLL("libOSMesa.so.8")
    except OSError:
        printed, _ = run(MISSING, MUJOCO_GL="osmesa")
        for line in printed.splitlines():
            assert line.startswith("dm_control cannot be imported with MUJOCO_GL='osmesa' (")
            assert "unset it, or on Debian run: apt install" in line
    else:
        pytest.skip("OSMesa is on this machine")


@pytest.mark.parametrize(
    ("platform", "chosen", "there", "expected"),
    [
        ("", "", ("egl", "osmesa"), "egl"),
        ("", "disable", ("osmesa",), "osmesa"),
        ("", "osmesa", ("egl",), "osmesa"),
        ("", "egl", ("osmesa",), "egl"),
        ("osmesa", "", ("egl",), "osmesa"),
    ],
)
def test_the_choice_of_the_library(monkeypatch, platform, chosen, there, expected):
    monkeypatch.setenv("PYOPENGL_PLATFORM", platform)
    monkeypatch.setenv("MUJOCO_GL", chosen)
    monkeypatch.setattr(rendering, "_loads", lambda library: any(f"lib{name}" in library.lower() for name in there))
    assert backend() == expected


def test_no_library_at_all(monkeypatch):
    monkeypatch.setenv("PYOPENGL_PLATFORM", "")
    monkeypatch.setenv("MUJOCO_GL", "disable")
    monkeypatch.setattr(rendering, "_LIBRARIES", {"egl": "libNone.so.1", "osmesa": "libNone.so.2"})
    with pytest.raises(MissingExtra, match=r"neither EGL nor OSMesa is on this machine; on Debian run: apt install"):
        backend()
    monkeypatch.setenv("PYOPENGL_PLATFORM", "glx")
    with pytest.raises(MissingExtra, match=r"PYOPENGL_PLATFORM is 'glx'; unset it"):
        backend()


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(MissingExtra, match=r"pip install sdewm\[control\]"):
        Renderer(None, 32, 32)


@pytest.mark.parametrize("pixels", [7, 513, (32,), (32, 600), 32.0, True, "32"])
def test_sizes_are_checked(pixels):
    with pytest.raises(InvalidArgument, match="pixels must be"):
        image_size(pixels)
