"""Small images of a MuJoCo scene, fast and without a display."""

import ctypes
import os
from importlib import import_module
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InvalidArgument, MissingExtra
from ..validation import integer

SMALLEST, LARGEST = 8, 512
_LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
ADVICE = (
    "on Debian run: apt install libegl1 libegl-mesa0 libgl1-mesa-dri (EGL), or apt install libosmesa6 (OSMesa); a "
    "process keeps the first of the two that it tried, and MUJOCO_GL=egl or MUJOCO_GL=osmesa chooses before it starts."
)


def image_size(pixels: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the images that `pixels`, a side or (height, width), asks for.

    Raises:
        InvalidArgument: it is neither, or a side is not between 8 and 512.

    Example:
        >>> image_size(32), image_size((32, 64))
        ((32, 32), (32, 64))
    """
    sides = tuple(pixels) if isinstance(pixels, tuple | list) else (pixels, pixels)
    if len(sides) != 2:
        raise InvalidArgument(f"pixels must be a whole number or (height, width), got {pixels!r}.")
    height, width = (integer("pixels", side, least=SMALLEST) for side in sides)
    if max(height, width) > LARGEST:
        raise InvalidArgument(f"pixels must be between {SMALLEST} and {LARGEST}, got {pixels!r}.")
    return height, width


@final
class Renderer:
    """Draws the scene of a dm_control `physics` at one size, from one of the model's cameras.

    Frames are drawn at the size that is wanted, without multisampling, shadows and reflections. The OpenGL context is
    made here: what MUJOCO_GL says only picks between EGL and OSMesa, and "disable" does not forbid. Equal states give
    equal images to the bit on one machine.

    Args:
        physics: of a dm_control environment; the scene is read from it at each frame.
        height, width: of the image.
        camera: number of the camera; a model without cameras is seen by MuJoCo's free one.

    Raises:
        InvalidArgument: the size is out of range, or the model has no such camera.
        MissingExtra: mujoco is not installed, or no OpenGL library works.

    Warning:
        Must be closed, or used in a `with` statement: EGL complains at exit about contexts that were left open.
    """

    def __init__(self, physics: Any, height: int, width: int, camera: int = 0) -> None:
        self._context: Any = None
        self._target: Any = None
        self.height, self.width = image_size((height, width))
        mujoco = _mujoco()
        self._model, self._data = physics.model.ptr, physics.data.ptr
        camera = integer("camera", camera, least=0)
        if camera >= max(1, self._model.ncam):
            raise InvalidArgument(
                f"camera must be below the model's number of cameras, {self._model.ncam}, got {camera}."
            )
        self._camera = mujoco.MjvCamera()
        if self._model.ncam:
            self._camera.type, self._camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, camera
        else:
            mujoco.mjv_defaultFreeCamera(self._model, self._camera)
        self._options, self._scene = mujoco.MjvOption(), mujoco.MjvScene(self._model, maxgeom=10_000)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = 0
        self._rectangle = mujoco.MjrRect(0, 0, self.width, self.height)
        library = backend()
        try:
            self._context = import_module(f"mujoco.{library}").GLContext(self.width, self.height)
            self._context.make_current()
            self._target = self._offscreen(mujoco)
        except (
            Exception
        ) as error:  # PyOpenGL fails in many ways, AttributeError among them, where something is missing.
            self.close()
            cause = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
            raise MissingExtra(
                f"images need an OpenGL library, and {library!r} does not start here ({cause}); {ADVICE}"
            ) from error

    def _offscreen(self, mujoco: Any) -> Any:
        # The size and the samples of the buffer are read from the model once, when the buffer is made.
        quality, size = self._model.vis.quality, self._model.vis.global_
        before = quality.offsamples, size.offwidth, size.offheight
        quality.offsamples, size.offwidth, size.offheight = 0, self.width, self.height
        try:
            target = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        finally:
            quality.offsamples, size.offwidth, size.offheight = before
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, target)
        return target

    def image(self) -> NDArray[np.uint8]:
        """The scene as it is now, (3, height, width), red first, top row first.

        Raises:
            InvalidArgument: the renderer is closed.
        """
        if self._context is None:
            raise InvalidArgument("this renderer is closed; make another one.")
        mujoco = _mujoco()
        # Another renderer may have drawn, or have been made, in between.
        self._context.make_current()
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, self._data, self._options, None, self._camera, every, self._scene)
        mujoco.mjr_render(self._rectangle, self._scene, self._target)
        rows = np.empty((self.height, self.width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(rows, None, self._rectangle, self._target)
        # OpenGL counts rows from below.
        return np.ascontiguousarray(rows[::-1].transpose(2, 0, 1))

    def close(self) -> None:
        """Free what the graphics library holds; closing twice is harmless."""
        if self._context is None:
            return
        if self._target is not None:
            self._context.make_current()
            self._target.free()
        self._context.free()
        self._context = self._target = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _mujoco() -> Any:
    try:
        return import_module("mujoco")
    except ImportError as error:
        raise MissingExtra(f"mujoco cannot be imported ({error}); run: pip install sdewm[control]") from error


def backend() -> str:
    """The library that images are drawn with, "egl" or "osmesa": a choice already made, else the first that is there.

    Raises:
        MissingExtra: neither is there, or another one was chosen for PyOpenGL.
    """
    # PyOpenGL takes one platform a process, and says which in its own variable.
    platform = os.environ.get("PYOPENGL_PLATFORM", "").lower()
    if platform:
        if platform not in _LIBRARIES:
            raise MissingExtra(f"images are drawn with EGL or OSMesa, but PYOPENGL_PLATFORM is {platform!r}; unset it.")
        return platform
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    for name, library in _LIBRARIES.items():
        if chosen == name or (chosen not in _LIBRARIES and _loads(library)):
            return name
    raise MissingExtra(f"images need an OpenGL library, and neither EGL nor OSMesa is on this machine; {ADVICE}")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
