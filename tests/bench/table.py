"""The benchmark as plain text."""

from collections.abc import Mapping
from typing import Any

from . import penalty, scale
from .goals import goal_lines

HEADER = "".join(
    f"{word:>{width}s}"
    for word, width in (
        ("ns a normal", 56),
        ("median", 9),
        ("quartiles", 18),
        ("of limit", 10),
        ("to own", 8),
        ("least to most", 16),
        ("z", 6),
    )
)


def table(result: Mapping[str, Any]) -> str:
    """All that was measured, as text."""
    made = result["made"]
    lines = [
        f"CPU time, float32, one thread, minimum over {result['rounds']} interleaved rounds; {made['cpu']}, "
        f"load {made['load_before'][0]:.1f} before and {made['load_after'][0]:.1f} after."
    ]
    for row in result["rows"]:
        lines += ["", f"{row['title']}  ({row['paths']} paths, {row['steps']} steps)", HEADER]
        lines += [_peer(peer) for peer in row["peers"] if peer["status"] != "left out"]
    for part in (_memory, _workers, _scale, _penalty, _curves, goal_lines):
        lines += part(result)
    return "\n".join(lines)


def _peer(peer: Mapping[str, Any]) -> str:
    name = f"  {peer['peer']:42s}"
    if "ns" not in peer:
        return f"{name}{peer['status']}: {peer['reason']}"
    ns, z = peer["ns"], peer["z"]
    quartiles = f"{ns['low']:.2f} to {ns['high']:.2f}"
    end = f"{'':>6s}" if z is None else f"{z:6.1f}"
    wrong = "" if peer["status"] == "ok" else f"  WRONG: {peer['reason']}"
    ratio = f"{'':24s}"
    if not peer["peer"].startswith(("limit", "torch's floor")):
        spread = f"{peer['ratio_to_own']['min']:.2f} to {peer['ratio_to_own']['max']:.2f}"
        ratio = f"{peer['best_ratio']:8.2f}{spread:>16s}"
    times = f"{ns['min']:12.2f}{ns['median']:9.2f}{quartiles:>18s}"
    return f"{name}{times}{peer['fraction_of_limit']:10.2f}{ratio}{end}{wrong}"


def _memory(result: Mapping[str, Any]) -> list[str]:
    if not result["memory"]:
        return []
    lines = ["", "Peak memory of a coupled run that observes, d = 8"]
    for run in result["memory"]["runs"]:
        size = f"  {run['paths']:>10d} paths x {run['steps']:<4d} steps"
        lines.append(f"{size} failed" if "mib" not in run else f"{size}{run['mib']:10.0f} MiB")
    return [*lines, f"  flat in the number of paths: {'yes' if result['memory']['flat'] else 'no'}"]


def _workers(result: Mapping[str, Any]) -> list[str]:
    return [line for key in ("workers", "workers, compiled") for line in _throughput(result.get(key) or {})]


def _scale(result: Mapping[str, Any]) -> list[str]:
    return scale.table(result.get("scale") or {})  # older records have none


def _penalty(result: Mapping[str, Any]) -> list[str]:
    found = result.get("penalty")  # older records have none
    return ["", "A training step with a Jacobian penalty", penalty.table(found).rstrip()] if found else []


def _throughput(found: Mapping[str, Any]) -> list[str]:
    if not found:
        return []
    how = "compiled" if found.get("compiled") else "not compiled"
    lines = ["", f"Workers, {how} ({found['paths']} paths x {found['steps']} steps, wall time, {found['cores']} cores)"]
    for count in map(str, found["counts"]):
        wall, start = found["wall_seconds"][count], found["startup_seconds"][count]
        cpu = min(found["busiest_cpu_seconds"][count])
        lines.append(
            f"  {count}: {min(wall):.2f} s (worst {max(wall):.2f} s), CPU {cpu:.2f}, start-up {min(start):.2f}"
        )
    lines.append(
        f"  throughput of the last against the first: {found['throughput_ratio']:.2f} by wall time, "
        f"{found['throughput_ratio_by_cpu']:.2f} by the CPU time of the busiest worker"
    )
    if "machine_ratio_by_cpu" in found:  # older records have none
        lines.append(
            f"  processes that only draw normals, with nothing in common, gain {found['machine_ratio_by_cpu']:.2f}"
        )
    return lines


def _curves(result: Mapping[str, Any]) -> list[str]:
    if not result["curves"]:
        return []
    lines = ["", "Cost of a run, slope of log time against log size, with a 95 % interval"]
    for curve in result["curves"]:
        size = f"{curve['sizes'][0]} to {curve['sizes'][-1]}"
        if "slope" in curve:
            interval = "" if curve["interval"] is None else "[{:.2f}, {:.2f}]".format(*curve["interval"])
            lines.append(f"  {curve['curve']:16s}{size:>18s}{curve['slope']:8.2f}  {interval}")
    return lines
