import pytest
import torch
from systems import Geometric

from sdewm.dynamics import simulate, simulate_coupled
from sdewm.exceptions import InvalidArgument
from sdewm.grid import TimeGrid


@pytest.mark.parametrize("T", [1.0, 0.1, 7.3, 1e-6, 1e6])
@pytest.mark.parametrize("steps", [1, 3, 49, 1000])
def test_times_and_indices_are_inverse(T: float, steps: int) -> None:
    grid = TimeGrid(T, steps)
    assert len(grid.times) == steps + 1
    assert grid.times[0] == 0.0
    assert grid.times[-1] == T
    assert [grid.index(t) for t in grid.times] == list(range(steps + 1))


def test_times_written_by_accumulation_still_find_their_index() -> None:
    grid, t = TimeGrid(1.0, 1000), 0.0
    for n in range(1, 1001):
        t += 1.0 / 1000
        assert grid.index(t) == n
    assert t != 1.0  # else the loop above shows nothing


def test_a_step_is_not_accumulated() -> None:
    assert TimeGrid(0.3, 3).times == (0.0, 0.3 * (1 / 3), 0.3 * (2 / 3), 0.3)


@pytest.mark.parametrize("t", [0.05, 0.1 + 1e-7, -0.1, 1.1])
def test_off_grid_time_is_refused(t: float) -> None:
    with pytest.raises(InvalidArgument, match=f"{t:g} is not on the grid of 10 steps"):
        TimeGrid(1.0, 10).index(t)


@pytest.mark.parametrize("run", [simulate, lambda s, *a, **k: simulate_coupled([s], *a, **k)])
def test_saving_off_the_grid_is_refused_by_both_engines(run) -> None:  # type: ignore[no-untyped-def]
    grid = TimeGrid(1.0, 10)
    run(Geometric(), 1.0, grid, paths=2, save=[0.1, 0.3])
    with pytest.raises(InvalidArgument, match=r"nearest grid time is 0\.2"):
        run(Geometric(), 1.0, grid, paths=2, save=[0.1, 0.23])


def test_saved_times() -> None:
    grid = TimeGrid(2.0, 4)
    assert grid.saved("all") == (0, 1, 2, 3, 4)
    assert grid.saved("final") == (4,)
    assert grid.saved([0.0, 1.5]) == (0, 3)
    assert grid.saved(grid.times) == grid.saved("all")
    assert grid.saved(t for t in (0.5, 1.0)) == (1, 2)


@pytest.mark.parametrize("save", [[], [0.5, 0.5], [1.0, 0.5], "every", 0.5, None])
def test_saved_refuses(save: object) -> None:
    with pytest.raises(InvalidArgument, match="save must"):
        TimeGrid(2.0, 4).saved(save)  # type: ignore[arg-type]


def test_coarsen() -> None:
    grid = TimeGrid(3.0, 12)
    assert grid.coarsen(4) == TimeGrid(3.0, 3)
    assert set(grid.coarsen(4).times) <= set(grid.times)
    with pytest.raises(InvalidArgument, match="k must divide the number of steps 12, got 5"):
        grid.coarsen(5)


def test_trajectory_at_saved_times() -> None:
    run = simulate(Geometric(), 1.0, TimeGrid(1.0, 10), paths=2, save=[0.0, 0.3, 1.0])
    assert run.times == pytest.approx((0.0, 0.3, 1.0))
    assert torch.equal(run.at(0.3), run.states[1])
    assert torch.equal(run.final, run.at(1.0))
    with pytest.raises(InvalidArgument, match=r"time 0\.2 was not saved"):
        run.at(0.2)
    with pytest.raises(InvalidArgument, match="not on the grid"):
        run.at(0.25)
