"""Where the normals of an ensemble come from: pseudo-random numbers, or their antithetic pairs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, final

import numpy as np
import torch
from torch import Tensor

from ..estimate import Moments
from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from .brownian import BLOCK, BrownianMotion


class Motion(Protocol):
    """Brownian motions, as the engine draws them: one group of noise columns."""

    @property
    def seed(self) -> int:
        """What fixes the numbers, together with the purpose."""

    @property
    def purpose(self) -> str:
        """Name of the group."""

    def coarsen(self, k: int) -> "Motion":
        """The same paths on every k-th grid time."""

    def steps(self, block: int, dtype: torch.dtype = ...) -> Iterator[Tensor]:
        """Standard normals (1024, dim) of one block of paths, step after step."""


class Noise(Protocol):
    """The joint law of the paths of an ensemble.

    Each path alone is a Brownian motion. Paths are independent between clusters, not within one: what is counted as one
    observation is the mean over a cluster, and only that makes intervals honest.
    """

    @property
    def cluster(self) -> int:
        """Number of consecutive paths that depend on each other, a power of two up to 2¹⁸; 1 for independent paths."""

    def motions(self, seed: int, grid: TimeGrid, widths: Mapping[str, int]) -> tuple[Motion, ...]:
        """One motion for each group of noise columns, {purpose: width}."""


@final
@dataclass(frozen=True)
class Independent:
    """Independent paths: a `BrownianMotion` for each group of columns.

    Example:
        >>> Independent().motions(0, TimeGrid(1.0, 4), {"paths": 2})[0].dim
        2
    """

    @property
    def cluster(self) -> int:
        """One."""
        return 1

    def motions(self, seed: int, grid: TimeGrid, widths: Mapping[str, int]) -> tuple[BrownianMotion, ...]:
        """One `BrownianMotion` for each group."""
        return tuple(BrownianMotion(seed, grid, width, purpose) for purpose, width in widths.items())


INDEPENDENT = Independent()


def pieces(motion: Motion, block: int, dtype: torch.dtype, counts: Iterable[int]) -> Iterator[Tensor]:
    """Standard normals (count, 1024, dim) of one block of paths, for so many steps at a time."""
    if isinstance(motion, BrownianMotion):
        yield from motion.pieces(block, dtype, counts)
        return
    steps = motion.steps(block, dtype)
    for count in counts:
        yield torch.stack(list(islice(steps, count)))


LARGEST = 1 << 18


@final
@dataclass(frozen=True)
class AntitheticMotion:
    """Paths 2i and 2i + 1 are W and −W, for path i of another motion.

    Example:
        >>> z = next(AntitheticMotion(BrownianMotion(0, TimeGrid(1.0, 4), 1)).steps(0))
        >>> bool((z[::2] == -z[1::2]).all())
        True
    """

    source: Motion

    @property
    def seed(self) -> int:
        """That of the source."""
        return self.source.seed

    @property
    def purpose(self) -> str:
        """That of the source."""
        return self.source.purpose

    def coarsen(self, k: int) -> "AntitheticMotion":
        """The same paths on every k-th grid time."""
        return AntitheticMotion(self.source.coarsen(k))

    def steps(self, block: int, dtype: torch.dtype = torch.float32) -> Iterator[Tensor]:
        """Standard normals (1024, dim) of one block of paths, step after step."""
        first = (block % 2) * (BLOCK // 2)
        for z in self.source.steps(block // 2, dtype):
            half = z[first : first + BLOCK // 2]
            yield torch.stack((half, -half), 1).reshape(BLOCK, -1)


@final
@dataclass(frozen=True)
class Antithetic:
    """Every path is followed by its mirror image: all noise, the base's and the error's own, with the opposite sign.

    The mean over a pair has Var (X + X')/2 = (1 + ϱ)/2 Var X with the correlation ϱ of X(W) and X(−W): odd functions of
    the noise vanish, even ones gain nothing and cost twice as much an independent observation.

    Args:
        of: what is mirrored, by default independent paths; a `Sobol` law is mirrored replicate by replicate.

    Raises:
        InvalidArgument: the cluster would be larger than 2¹⁸ paths.

    Example:
        >>> Antithetic().cluster
        2
    """

    of: Noise = INDEPENDENT

    def __post_init__(self) -> None:
        if self.of.cluster >= LARGEST:
            raise InvalidArgument(
                f"of must have clusters of at most {LARGEST // 2} paths to be mirrored, got {self.of.cluster}."
            )

    @property
    def cluster(self) -> int:
        """Twice that of what is mirrored."""
        return 2 * self.of.cluster

    def motions(self, seed: int, grid: TimeGrid, widths: Mapping[str, int]) -> tuple[AntitheticMotion, ...]:
        """The motions of what is mirrored, each in pairs."""
        return tuple(AntitheticMotion(motion) for motion in self.of.motions(seed, grid, widths))


def check_clusters(noise: Noise, paths: int, per_path: Mapping[str, Any]) -> None:
    """Dependent paths come in whole clusters, and all start and act alike.

    Args:
        noise: the law of the paths.
        paths: their number.
        per_path: what might differ from path to path, by name: a tensor (..., paths, ·) if it does.

    Raises:
        InvalidArgument: the last cluster is not complete, or something differs from path to path.
    """
    if noise.cluster == 1:
        return
    if paths % noise.cluster:
        raise InvalidArgument(f"paths must be a multiple of the cluster of {noise.cluster} paths, got {paths}.")
    for name, value in per_path.items():
        if isinstance(value, Tensor) and value.ndim == (3 if name == "actions" else 2):
            raise InvalidArgument(
                f"{name} differs from path to path, shape {tuple(value.shape)}, but paths within a cluster must differ "
                f"in their noise alone; give one for all paths, or use independent paths."
            )


def cluster_moments(values: Tensor, cluster: int, key: str) -> Moments:
    """Moments of one block's `values` (paths, k), one observation a cluster of paths that depend on each other.

    The means over replicates of a point set are few and may be skewed, so that they are kept themselves as well. Single
    paths and pairs are many.

    Args:
        values: of whole clusters, or of a part of one.
        cluster: paths in a cluster.
        key: what fixes the noise.
    """
    return Moments.of(cluster_means(values, cluster).double().cpu().numpy(), key, keep=cluster > 2)


def cluster_means(values: Tensor, cluster: int) -> Tensor:
    """Means over clusters of consecutive rows of `values` (paths, k) or (paths,); over all, if a cluster has more."""
    if cluster == 1:
        return values
    return values.reshape(-1, min(cluster, len(values)), *values.shape[1:]).double().mean(1)


def whole_clusters(parts: Iterable[tuple[Moments, ...]], cluster: int, block: int) -> Iterator[tuple[Moments, ...]]:
    """Moments of blocks of paths in order, those of one cluster joined to one observation where it spans several.

    Args:
        parts: for each block a tuple of `cluster_moments`.
        cluster: paths in a cluster.
        block: paths in a block.
    """
    joined: list[tuple[Moments, ...]] = []
    for part in parts:
        joined.append(part)
        if len(joined) * block < cluster:
            continue
        if len(joined) == 1:
            yield part
        else:
            columns = zip(*joined, strict=True)
            yield tuple(
                Moments.of(np.mean([m.mean for m in each], 0)[None], each[0].noise, keep=True) for each in columns
            )
        joined = []
