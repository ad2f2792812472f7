"""One training at a time has a checkpoint, and a process that ends lets go of it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdewm.exceptions import InvalidArgument
from sdewm.worldmodel.agent import lock
from sdewm.worldmodel.agent.lock import sole_use

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}


def test_a_second_one_is_refused_and_the_next_is_not(tmp_path):
    path = tmp_path / "new folder" / "checkpoint"
    with sole_use(path):
        with pytest.raises(InvalidArgument, match="checkpoint is in use by another training"), sole_use(path):
            pass
        with sole_use(tmp_path / "other"):
            pass
    with sole_use(path):
        pass


@pytest.mark.slow
def test_a_killed_process_lets_go(tmp_path):
    path = tmp_path / "checkpoint"
    script = f"""
from pathlib import Path
import time
from sdewm.worldmodel.agent.lock import sole_use
with sole_use(Path({str(path)!r})):
    print("in", flush=True)
    time.sleep(60)
"""
    started = subprocess.Popen([sys.executable, "-c", script], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    with started as process:
        assert process.stdout.readline() == "in\n"
        with pytest.raises(InvalidArgument, match="in use"), sole_use(path):
            pass
        process.kill()
        process.wait()
    with sole_use(path):
        pass


def test_a_place_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidArgument, match="cannot be locked"), sole_use(tmp_path / "file" / "checkpoint"):
        pass


def test_no_module_of_one_system_is_imported_with_the_package():
    found = ast.parse(Path(lock.__file__).read_text()).body
    names = {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
    assert "os" in names
    assert not names & {"fcntl", "msvcrt"}
