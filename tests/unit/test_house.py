"""The house: a room uses only rooms below it, and no class is both a base and a thing."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROUND = {"style", "grid", "estimate", "hypothesis", "constant", "verdict", "exceptions", "validation", "output"}
FLOORS = {
    **dict.fromkeys(GROUND, 0),
    **dict.fromkeys(("dynamics", "stats", "jacobian", "run"), 1),
    **dict.fromkeys(("theory", "drifts", "claims"), 2),
    "worldmodel": 3,
    "citation": 4,
    "cli": 4,
    "__main__": 5,
    "analysis": 5,
    "figures": 5,
}
SAME_FLOOR = {("worldmodel", "worldmodel")}
FIGURES_MAY = {"claims", "run", "stats", "figures", *GROUND}


def room(path: Path) -> str:
    """The room of a source file: its folder, or its own name on the ground."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] if parts[0] != "sdewm" else (parts[1] if len(parts) > 1 else "sdewm")


def imported_rooms(path: Path, source: str) -> set[str]:
    """Rooms that a file imports, in whatever form it writes it."""
    here = list(path.relative_to(ROOT).with_suffix("").parts)
    found = set()
    for node in ast.walk(ast.parse(source)):
        modules: list[list[str]] = []
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else []
            stem = base + (node.module.split(".") if node.module else [])
            modules = [stem] if len(stem) > 1 or stem[:1] != ["sdewm"] else [[*stem, a.name] for a in node.names]
        for module in modules:
            if module[0] == "sdewm":
                found.add(module[1] if len(module) > 1 else "sdewm")
            elif module[0] in ("analysis", "figures"):
                found.add(module[0])
    return found


def faults(path: Path, source: str) -> list[str]:
    """Arrows of one file that point upwards or sideways."""
    mine = room(path)
    result = []
    for other in sorted(imported_rooms(path, source)):
        if other == mine:
            continue
        if mine == "figures":
            allowed = other in FIGURES_MAY
        elif mine == "analysis":
            allowed = other not in ("figures",)
        elif other in ("analysis", "figures") or other not in FLOORS or mine not in FLOORS:
            allowed = False
        else:
            # On one floor only the ground and floor 1 are open to each other, as long as there is no circle.
            allowed = FLOORS[other] < FLOORS[mine] or (FLOORS[other] == FLOORS[mine] <= 1)
        if not allowed:
            result.append(f"{path.relative_to(ROOT)} ({mine}) imports {other}")
    return result


def sources() -> list[Path]:
    return [p for top in ("sdewm", "analysis", "figures") for p in sorted((ROOT / top).rglob("*.py"))]


def test_arrows_run_downwards() -> None:
    # The package's own __init__ only re-exports.
    found = [fault for p in sources() if p != ROOT / "sdewm" / "__init__.py" for fault in faults(p, p.read_text())]
    assert found == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("sdewm/dynamics/system.py", "from ..theory import expand"),
        ("sdewm/theory/expansion.py", "from sdewm.claims.claim import Claim"),
        ("sdewm/drifts/linear.py", "import sdewm.theory.expansion"),
        ("sdewm/grid.py", "from .dynamics import simulate"),
        ("sdewm/worldmodel/train.py", "from analysis import CATALOGUE"),
        ("figures/expansion.py", "from sdewm.theory import expand"),
        ("figures/expansion.py", "from analysis.expansion import ROWS"),
    ],
)
def test_an_upward_arrow_is_caught(file: str, line: str) -> None:
    assert faults(ROOT / file, line)


def test_no_circle_on_floor_one() -> None:
    rooms = [r for r, floor in FLOORS.items() if floor == 1]
    edges = {r: set[str]() for r in rooms}
    for path in sources():
        if room(path) in edges:
            edges[room(path)] |= imported_rooms(path, path.read_text()) & (set(rooms) - {room(path)})
    order: list[str] = []
    while len(order) < len(rooms):
        free = [r for r in rooms if r not in order and edges[r] <= set(order)]
        assert free, f"a circle among {edges}"
        order += free


def class_names(tree: ast.Module) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def test_a_class_is_either_abstract_or_final() -> None:
    wrong = []
    for path in sources():
        for name, node in class_names(ast.parse(path.read_text())).items():
            bases = [ast.unparse(base) for base in node.bases]
            abstract = any(base in ("ABC", "Protocol") or base.startswith("Protocol[") for base in bases)
            plain = any(base.endswith(("NamedTuple", "Error", "Exception")) for base in bases)
            final = any(ast.unparse(decorator).endswith("final") for decorator in node.decorator_list)
            exception = path.name == "exceptions.py"
            if not (abstract or plain or final or exception) or (abstract and final):
                wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert wrong == []


def test_no_file_is_too_long() -> None:
    long = {str(p.relative_to(ROOT)): n for p in sources() if (n := len(p.read_text().splitlines())) > 450}
    assert long == {}
