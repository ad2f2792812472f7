"""Workers are fresh processes with one intra-op thread."""

import pytest
import torch

from sdewm import InvalidArgument
from sdewm.run import workers
from sdewm.run.blocks import default_workers


def test_one_worker_is_this_process() -> None:
    with workers(1) as executor:
        assert executor is None
    assert default_workers() >= 1


@pytest.mark.slow
def test_workers_keep_to_one_thread() -> None:
    with workers(2) as executor:
        assert executor is not None
        assert executor.submit(torch.get_num_threads).result() == 1


def test_no_worker_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="workers must be a whole number >= 1, got 0"), workers(0):
        pass
