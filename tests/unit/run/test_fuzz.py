"""A few hundred mutated inputs to each reader; `make soak` tries ten thousand."""

import random
from pathlib import Path

import pytest
from soak.fuzz import FUZZED


@pytest.mark.parametrize("what", FUZZED)
def test_mutated_inputs(what: str, tmp_path: Path) -> None:
    found = FUZZED[what](tmp_path / "place", 200, random.Random(0))
    assert found["inputs"] == 200
    # Not everything is refused: the inputs come near enough to right ones.
    assert 0 < found["taken"] < 200
