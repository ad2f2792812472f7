"""The ensemble engine: several systems and their variations on one Brownian path, block by block."""

import math
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, NoReturn, final

import torch
from torch import Tensor

from ..estimate import Moments
from ..exceptions import InvalidArgument, NumericalFailure
from ..grid import TimeGrid
from ..validation import TensorLike, integer
from .brownian import BLOCK, NOISE_FORMAT
from .compiled import Compiled, Shape, compile_steps
from .covariance import ErrorCovariance
from .martingale import Increments, Martingales
from .member import Member, State
from .members import engine_member
from .noise import INDEPENDENT, Motion, Noise, check_clusters, cluster_moments, pieces, whole_clusters
from .sensitivity import Sensitivity
from .start import Start, check_actions, on_device, rows, start_states
from .variation import Variations

GROUP = 4
DERIVED = (Variations, Increments, Martingales, Sensitivity, ErrorCovariance)
_CHECK_EVERY = 32
_NUMBERS, _DRAWN = 1 << 13, 1 << 17

Observe = Callable[[Mapping[Any, Any]], Tensor]


@final
@dataclass(frozen=True)
class Ensemble:
    """A coupled simulation that is ready to run, one block of at most 4096 paths at a time.

    Blocks may be run in any order and by any worker; a block's paths and noise depend on its number only.
    """

    members: Mapping[Any, Member]
    x0: Tensor
    grid: TimeGrid
    paths: int
    noise: tuple[Motion, ...]
    actions: Tensor | None
    saved: tuple[int, ...]
    recipe: Callable[[], "Ensemble"]
    cluster: int = 1
    compiled: Compiled | None = None
    mark: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        # Members hold closures, which do not travel to another process: there the ensemble is prepared anew, once.
        return _prepared_again, (self.mark, self.recipe)

    @property
    def blocks(self) -> range:
        """The numbers of all blocks."""
        return range(-(-self.paths // (BLOCK * GROUP)))

    def span(self, block: int) -> tuple[int, int]:
        """First path of a block, and how many of its paths belong to the ensemble."""
        first = block * BLOCK * GROUP
        return first, min(self.paths - first, BLOCK * GROUP)

    def compile(self, wanted: bool | str, widths: Mapping[str, int]) -> Compiled | None:
        """The steps as code to be compiled, or None; see `compile_steps`."""
        longest = max(self._gaps, default=0)
        with torch.no_grad():
            parts = self._start(0, min(self.paths, 2), 2)
        a = 0 if self.actions is None else int(self.actions.shape[-1])
        # Compiled code goes over all paths once a step: they should be worth the call, and stay in the cache.
        width = max(part.shape[-1] for state in parts.values() for part in state)
        groups = min(GROUP, max(1, _NUMBERS // (BLOCK * width)), -(-self.paths // BLOCK))
        shape = Shape(self.members, widths, BLOCK * groups, self.x0.dtype, self.x0.device, parts, a)
        return compile_steps(shape, self.paths, longest, wanted)

    def run(self, block: int) -> Iterator[dict[Any, Any]]:
        """The states of one block's paths at each saved time.

        Raises:
            NumericalFailure: a state is not finite; names the first path and time, and how many.
        """
        count, checked = self.span(block)[1], 0
        compiled = self.compiled if self.compiled is not None and self.compiled.ready() else None
        for n, padded in self._steps(block) if compiled is None else self._pieces(block, compiled):
            last = n == self.saved[-1]
            if n not in self.saved and n < checked + _CHECK_EVERY:
                continue
            checked = n
            # Only the ensemble's own paths count: what becomes of the padding is nobody's business.
            states = {name: tuple(part[:count] for part in state) for name, state in padded.items()}
            if not _finite(states):
                self._explain(block)
            if n in self.saved:
                yield {name: self.members[name].public(state) for name, state in states.items()}
            if last:
                break

    def observe(self, block: int, function: Observe) -> tuple[Moments, ...]:
        """Moments of function(states) over one block, for each saved time."""
        count = self.span(block)[1]
        result = []
        for states in self.run(block):
            with torch.no_grad():
                value = function(states)
            if not isinstance(value, Tensor) or value.shape[:1] != (count,) or value.ndim not in (1, 2):
                got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise InvalidArgument(f"observe must return shape (paths,) or (paths, k), got {got}.")
            finite = torch.isfinite(value).reshape(count, -1).all(1)
            if not bool(finite.all()):
                path = self.span(block)[0] + int((~finite).nonzero()[0])
                raise NumericalFailure(
                    f"observe returned a value that is not finite: path {path} first, {int((~finite).sum())} of "
                    f"{count} paths; check what is observed at the states that are visited.",
                    path,
                    None,
                    int((~finite).sum()),
                )
            result.append(cluster_moments(value, self.cluster, self.noise_key))
        return tuple(result)

    @property
    def _gaps(self) -> list[int]:
        """Steps from the start to the first saved time, and from each to the next."""
        return [b - a for a, b in pairwise(sorted({0, *self.saved}))]

    @torch.no_grad()
    def _pieces(self, block: int, compiled: Compiled) -> Iterator[tuple[int, dict[Any, State]]]:
        """As `_steps`, but only saved times are seen; from one to the next paths run in parts that fit the cache."""
        first, count = self.span(block)
        parts = [self._part(first + k, compiled) for k in range(0, count, compiled.rows)]
        for n, *states in zip(sorted({0, *self.saved}), *parts, strict=True):
            together = {name: zip(*(part[name] for part in states), strict=True) for name in self.members}
            yield n, {name: tuple(map(torch.cat, each)) for name, each in together.items()}

    @torch.no_grad()
    def _part(self, first: int, compiled: Compiled) -> Iterator[dict[Any, State]]:
        """The states of the paths from `first` on at time 0 and each saved time; they change with the next."""
        count = min(self.paths - first, compiled.rows)
        states = self._start(first, count, compiled.rows)
        parts = [part for state in states.values() for part in state]
        # So many steps are drawn at a time that the normals are still in the cache when they are used.
        width = sum(width for member in self.members.values() for _, width in member.noise)
        most = max(1, _DRAWN // (compiled.rows * width) // compiled.steps) * compiled.steps
        gaps = self._gaps
        counts = [count for gap in gaps for count in _counts(gap, most, compiled.steps)]
        blocks = range(first // BLOCK, (first + compiled.rows) // BLOCK)
        streams = [zip(*(pieces(m, b, self.x0.dtype, counts) for b in blocks), strict=True) for m in self.noise]
        indices = torch.arange(self.saved[-1]).unbind()
        n, drawn = 0, zip(counts, *streams, strict=True)
        yield states
        for gap in gaps:
            end = n + gap
            while n < end:
                steps, *pieces_of = next(drawn)
                driven = [(each[0] if len(each) == 1 else torch.cat(each, 1)).to(self.x0.device) for each in pieces_of]
                if self.actions is not None:
                    driven.append(torch.stack([self._action(n + k, first, compiled.rows) for k in range(steps)]))
                if steps % compiled.steps == 0:
                    each = zip(*(piece.chunk(steps // compiled.steps) for piece in driven), strict=True)
                    for k, now in enumerate(each):
                        compiled(indices[n + k * compiled.steps], now, parts)
                else:
                    self._one(n, states, [piece[0] for piece in driven])
                n += steps
            yield states

    def _one(self, n: int, states: Mapping[Any, State], driven: Sequence[Tensor]) -> None:
        """A single step in place of compiled ones."""
        normals = dict(zip((m.purpose for m in self.noise), driven, strict=False))
        moved = self._advance(n, states, normals, None if self.actions is None else driven[-1])
        for name, state in states.items():
            for part, new in zip(state, moved[name], strict=True):
                part.copy_(new)

    def _start(self, first: int, count: int, total: int) -> dict[Any, State]:
        # A copy: a drift that works in place must not change the caller's start, nor one member another's.
        x = rows(self.x0, first, count).clone()
        return {
            name: tuple(
                rows(part, 0, total).clone(memory_format=torch.contiguous_format) for part in member.start(x, first)
            )
            for name, member in self.members.items()
        }

    def _action(self, n: int, first: int, total: int) -> Tensor:
        assert self.actions is not None
        return rows(self.actions[n].to(self.x0), first, total)

    def _advance(
        self, n: int, states: Mapping[Any, State], normals: Mapping[str, Tensor], a: Tensor | None
    ) -> dict[Any, State]:
        return {
            name: member.advance(n, states[name], tuple(normals[key] for key, _ in member.noise), a)
            for name, member in self.members.items()
        }

    @property
    def noise_key(self) -> str:
        """What fixes the noise of this ensemble."""
        motion = self.noise[0]
        return f"format {NOISE_FORMAT}, seed {motion.seed}, purpose {motion.purpose}"

    @torch.no_grad()  # on the generator itself: the caller's own mode holds between the steps
    def _steps(self, block: int) -> Iterator[tuple[int, dict[Any, State]]]:
        first, count = self.span(block)
        groups = -(-count // BLOCK)
        total = groups * BLOCK
        states = self._start(first, count, total)
        yield 0, states
        begin = first // BLOCK
        streams = [[m.steps(begin + g, self.x0.dtype) for g in range(groups)] for m in self.noise]
        for n in range(self.grid.steps):
            normals = {}
            for motion, parts in zip(self.noise, streams, strict=True):
                drawn = [next(part) for part in parts]
                normals[motion.purpose] = (drawn[0] if groups == 1 else torch.cat(drawn)).to(self.x0.device)
            a = None if self.actions is None else self._action(n, first, total)
            states = self._advance(n, states, normals, a)
            yield n + 1, states

    def _explain(self, block: int) -> NoReturn:
        """Run the failed block again, looking at every step, and say where it left the numbers."""
        first, count = self.span(block)
        for n, states in self._steps(block):
            for name, state in states.items():
                bad = torch.zeros(count, dtype=torch.bool)
                for part in state:
                    bad |= ~torch.isfinite(part[:count]).all(1)
                if bool(bad.any()):
                    raise failure(first + int(bad.nonzero()[0]), n, self.grid, int(bad.sum()), count, str(name))
        raise NumericalFailure(
            "a state was not finite, but not when the same block was run again: f, g or the error is random."
        )


def failure(path: int, n: int, grid: TimeGrid, count: int, of: int, member: str | None = None) -> NumericalFailure:
    """The error for a state that is not finite."""
    who = "" if member is None else f" of member {member!r}"
    return NumericalFailure(
        f"the state{who} is not finite: path {path} first, at t = {grid.time(n):.6g} (step {n} of {grid.steps}), "
        f"{count} of {of} paths at that time; take smaller steps, or check that the drift is finite and not explosive.",
        path,
        grid.time(n),
        count,
    )


def _counts(gap: int, most: int, steps: int) -> list[int]:
    """Numbers of steps to draw at a time: at most `most` and whole pieces of `steps`, then what is left one by one."""
    whole, rest = gap - gap % steps, gap % steps
    return [most] * (whole // most) + [whole % most] * bool(whole % most) + [1] * rest


def _finite(states: Mapping[Any, State]) -> bool:
    # A sum is finite only if all its terms are; that of large finite ones need not be, and then they are looked at.
    parts = (part for state in states.values() for part in state)
    return all(math.isfinite(float(part.sum())) or bool(torch.isfinite(part).all()) for part in parts)


def prepare(
    members: Mapping[Any, Any] | Sequence[Any],
    x0: Start,
    grid: TimeGrid,
    paths: int | None,
    seed: int = 0,
    *,
    save: str | Sequence[float] = "final",
    actions: TensorLike | None = None,
    dtype: torch.dtype | None = None,
    coarsen: int = 1,
    compile: bool | str = "auto",
    device: str | torch.device | None = None,
    motion: Noise = INDEPENDENT,
) -> Ensemble:
    """Check everything once and return an `Ensemble`; arguments as in `simulate_coupled`.

    `coarsen` runs the same Brownian paths on every k-th grid time; `motion` is the joint law of the paths.
    """
    if compile not in (True, False, "auto"):
        raise InvalidArgument(f"compile must be True, False or 'auto', got {compile!r}.")
    if not isinstance(members, Mapping | Sequence):
        raise InvalidArgument(
            f"members must be a mapping or a sequence of systems, got {type(members).__name__}; put one system in [ ]."
        )
    named = dict(members) if isinstance(members, Mapping) else dict(enumerate(members))
    if not named:
        raise InvalidArgument("members is empty: give at least one system.")
    if not isinstance(grid, TimeGrid):
        raise InvalidArgument(f"grid must be a TimeGrid, got {type(grid).__name__}.")
    integer("seed", seed, least=0)
    first = next(iter(named.values()))
    x, paths = start_states(x0, getattr(first, "system", first) if isinstance(first, DERIVED) else first, paths, dtype)
    x = on_device(x, device, first)
    actions = check_actions(actions, grid, paths)
    if actions is not None and coarsen > 1:
        raise InvalidArgument("actions are held over each step, so a coarser grid is another system; use coarsen=1.")
    check_clusters(motion, paths, {"x0": x, "actions": actions})
    fine, grid = grid, grid.coarsen(coarsen)
    saved = grid.saved(save)
    probe = rows(x, 0, min(paths, 2))
    a = None if actions is None else rows(actions[0].to(x), 0, len(probe))
    ready = {name: engine_member(member, probe, a, grid, paths) for name, member in named.items()}
    widths: dict[str, int] = {}
    for name, member in ready.items():
        for purpose, width in member.noise:
            if widths.setdefault(purpose, width) != width:
                raise InvalidArgument(
                    f"member {name!r} has {width} noise columns for {purpose!r}, another member {widths[purpose]}; "
                    f"coupled members share one Brownian motion: give them equal noise_dim."
                )
    noise = tuple(each.coarsen(coarsen) for each in motion.motions(seed, fine, widths))
    options: dict[str, Any] = {"save": save, "actions": actions, "dtype": dtype, "coarsen": coarsen, "device": device}
    recipe = partial(prepare, named, x0, fine, paths, seed, motion=motion, **options)
    eager = Ensemble(ready, x.detach(), grid, paths, noise, actions, saved, recipe, motion.cluster)
    compiled = eager.compile(compile, widths)
    # Another process need not find out again, nor say again, what is not possible.
    recipe = partial(recipe, compile=False if compiled is None else compile)
    return replace(eager, recipe=recipe, compiled=compiled, mark=uuid.uuid4().hex)


_KEPT = 4
_prepared: dict[str, Ensemble] = {}
_preparing = threading.Lock()


def _prepared_again(mark: str, recipe: Callable[[], Ensemble]) -> Ensemble:
    """The ensemble of a recipe; each block of its brings it along again, so it is kept for the next."""
    with _preparing:
        if mark not in _prepared:
            while len(_prepared) >= _KEPT:
                _prepared.pop(next(iter(_prepared)))
            _prepared[mark] = recipe()
        return _prepared[mark]


def reduce_blocks(ensemble: Ensemble, observe: Observe, executor: Executor | None = None) -> tuple[Moments, ...]:
    """Moments over all blocks for each saved time, merged in the order of the blocks."""
    total: tuple[Moments, ...] = ()
    parts = map_blocks(_Observed(ensemble, observe), ensemble.blocks, executor)
    for part in whole_clusters(parts, ensemble.cluster, BLOCK * GROUP):
        total = part if not total else tuple(a.merge(b) for a, b in zip(total, part, strict=True))
    return total


def map_blocks(work: Callable[[int], Any], blocks: range, executor: Executor | None) -> Iterator[Any]:
    """work(block) for every block, in order, here or on an executor.

    Raises:
        InvalidArgument: the executor is none.
    """
    if executor is not None and not isinstance(executor, Executor):
        raise InvalidArgument(f"executor must be a concurrent.futures.Executor or None, got {executor!r}.")
    # The name of the context is not public; an executor without it starts no processes of its own.
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise InvalidArgument(
            "executor forks its processes, and a fork of a process in which torch has started threads may hang; use "
            "ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn')), or sdewm.run.workers."
        )
    return map(work, blocks) if executor is None else executor.map(work, blocks)


@final
@dataclass(frozen=True)
class _Observed:
    ensemble: Ensemble
    function: Observe

    def __call__(self, block: int) -> tuple[Moments, ...]:
        return self.ensemble.observe(block, self.function)
