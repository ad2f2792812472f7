"""The report as a reader has it: in Chromium, wide and narrow, light and dark, by keyboard, on paper, unscripted."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import PHONE, WIDE, browser, opened, served

from sdewm.claims.report import Picture, Section, Table, write_report
from sdewm.style import new_figure, style

pytestmark = pytest.mark.slow

# Claim, case, outcome, expected, lower end of the interval, power.
CASES = (
    ("X2", "linear", "holds", "holds", 2.0, (1, 4)),
    ("X10", "cubic", "violated", "violated", 10.0, (3, 4)),
    ("X10", "double well", "holds", "violated", -1.0, (4, 4)),
    ("E1-agent", "noise", "inconclusive", None, None, (0, 0)),
    ("B3", "network with a name that is long enough to need two lines", "hypothesis fails", None, 1e-3, (2, 4)),
    ("B4", "no lower end", "holds", None, float("-inf"), (0, 4)),
)
LONG = r"\mathbb{E}\,\ell(x^\varepsilon)-\mathbb{E}\,\ell(x^0)=\varepsilon P+\varepsilon^2\left(Q+\tfrac12S\right)" * 3


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report")
    with style():
        figure, axes = new_figure(9.0, 3.0, columns=3)
        for ax in axes:
            ax.plot([0, 1], [1, 2])
        figure.savefig(place / "X2.svg")
    lines = []
    for claim, case, outcome, expected, low, power in CASES:
        ends = None if low is None else [low, low + 1.0]
        verdict = {"outcome": outcome, "grade": "asymptotic", "reason": f"error of {case}", "interval": ends}
        verdict |= {"allowed": [0.0, 12.0], "margin": 1.0, "level": 0.999, "flags": ["a flag"]}
        control = {**verdict, "outcome": "violated" if outcome == "holds" else "holds"}
        known = [{"name": "growth", "status": "declared", "detail": "linear"}]
        words = {"statement": f"Statement of {claim}. " * 5, "source": "a book", "note": "A note.", "formula": LONG}
        lines.append(
            {"claim": claim, "case": case, **words, "verdict": verdict, "control": control, "expected": expected}
            | {"power": list(power), "records": [], "hypotheses": known}
        )
    wide = Table("Wide", [f"column {k}" for k in range(30)], [["0.123456"] * 30] * 3)
    data = {"t": [float(k) for k in range(50)], "error": [(1.0, 0.9, 1.1)] * 50}
    write_report(
        place,
        {"verdicts": lines, "budget": "standard", "seed": 0},
        {"X2": Picture(place / "X2.svg", "A caption. " * 20, data)},
        {"X2": {"records": ", ".join(["f" * 64] * 20)}},
        command="python -m analysis --claims {claim} --budget standard --seed 0",
        notation="x is a state.",
        appendix=[Section("Benchmarks", "Said.\n- one\n- two", [wide], log="wide " * 200)],
    )
    return place / "index.html"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


def shown(page: Any) -> list[str]:
    """Claim and case of the rows that are seen, in order."""
    rows = page.locator("#verdicts tbody tr:visible").all()
    return [" ".join(row.locator("td").nth(k).inner_text() for k in (0, 1)) for row in rows]


def all_cases() -> list[str]:
    return [f"{claim} {case}" for claim, case, *_ in CASES]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_it_is_shown_whole_without_an_error_or_a_request(
    report: Path, chromium: Any, size: tuple[int, int], scheme: str
) -> None:
    with opened(chromium, report, size, scheme=scheme) as found:
        assert shown(found.page) == all_cases()
        assert found.page.locator("section").count() == 6
        # What is wide scrolls by itself; the page does not.
        assert found.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        light = found.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert light is (scheme == "light")
        picture = found.page.locator("figure img")
        assert picture.evaluate("image => image.complete && image.naturalWidth > 100")
        assert found.page.locator("math").first.bounding_box()["height"] > 15
        assert found.errors == []
        assert found.requests == [report.as_uri()]


def test_text_can_be_told_from_its_ground(report: Path, chromium: Any) -> None:
    """WCAG's contrast of 4.5, for all colours of text, in light and dark."""
    script = """() => [...document.querySelectorAll("p, a, td, th, .holds, .violated, .other, dt, summary, code")].map(
      (each) => { let ground = each; const see = (e) => getComputedStyle(e).backgroundColor;
        while (ground.parentElement && see(ground).endsWith(", 0)")) ground = ground.parentElement;
        return [getComputedStyle(each).color, see(ground)]; })"""
    for scheme in ("light", "dark"):
        with opened(chromium, report, scheme=scheme) as found:
            pairs = {tuple(pair) for pair in found.page.evaluate(script)}
        assert len(pairs) > 4
        assert min(contrast(*pair) for pair in pairs) >= 4.5, (scheme, pairs)
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21.0)
    assert contrast("rgb(150, 150, 150)", "rgb(255, 255, 255)") < 4.5


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(part) / 255.0 for part in re.findall(r"\d+", colour)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_filters_work_together_and_hide_the_sections_too(report: Path, chromium: Any) -> None:
    with opened(chromium, report) as found:
        page = found.page
        page.fill("#search", "x10 WELL")
        assert shown(page) == ["X10 double well"]
        assert page.locator("#count").inner_text() == "1 of 6 cases"
        assert [each.get_attribute("id") for each in page.locator("section[data-claim]:visible").all()] == ["claim-X10"]
        page.fill("#search", "nothing like it")
        assert shown(page) == []
        assert page.locator("#none").is_visible()
        page.click("#reset")
        assert shown(page) == all_cases()
        assert not page.locator("#none").is_visible()
        page.select_option("#group", "X")
        assert shown(page) == all_cases()[:3]
        page.select_option("#outcome", "holds")
        assert shown(page) == ["X2 linear", "X10 double well"]
        page.select_option("#fit", "not as expected")
        assert shown(page) == ["X10 double well"]
        page.select_option("#group", "")
        page.select_option("#outcome", "")
        page.select_option("#fit", "open question")
        assert shown(page) == all_cases()[3:]
        assert found.errors == []


def test_columns_are_sorted_as_numbers_where_they_are_numbers(report: Path, chromium: Any) -> None:
    with opened(chromium, report) as found:
        page = found.page

        def order(column: str) -> list[str]:
            page.get_by_role("button", name=column, exact=True).click()
            return [row.split(" ")[0] for row in shown(page)]

        assert order("claim") == ["B3", "B4", "E1-agent", "X2", "X10", "X10"]
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
        assert order("claim") == ["X10", "X10", "X2", "E1-agent", "B4", "B3"]
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
        # What has no interval, or no power, is last in both directions.
        assert order("interval") == ["B4", "X10", "B3", "X2", "X10", "E1-agent"]
        assert order("interval") == ["X10", "X2", "B3", "X10", "B4", "E1-agent"]
        assert order("power") == ["B4", "X2", "B3", "X10", "X10", "E1-agent"]


def test_it_can_be_used_by_keyboard_alone(report: Path, chromium: Any) -> None:
    with opened(chromium, report) as found:
        page, keys = found.page, found.page.keyboard
        keys.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        keys.press("/")
        keys.type("cubic")
        assert shown(page) == ["X10 cubic"]
        keys.press("Escape")
        assert shown(page) == all_cases()
        # From the search to the first heading of the table, and sort it.
        for _ in range(20):
            keys.press("Tab")
            if page.evaluate("document.activeElement.closest('th') !== null"):
                break
        keys.press("Enter")
        assert page.locator("th[aria-sort]").inner_text().startswith("claim")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        summary = page.locator("summary", has_text="Numbers in this figure")
        summary.focus()
        keys.press("Enter")
        assert page.locator(".numbers td", has_text="1 [0.9, 1.1]").first.is_visible()


def test_a_link_to_what_the_filter_hides_shows_it(report: Path, chromium: Any) -> None:
    with opened(chromium, report) as found:
        found.page.evaluate("location.hash = '50% off'")
        found.page.fill("#search", "cubic")
        assert not found.page.locator("#claim-X2").is_visible()
        found.page.evaluate("location.hash = 'claim-X2'")
        found.page.wait_for_function("!document.getElementById('claim-X2').hidden")
        assert found.page.locator("#claim-X2").is_visible()
        assert found.errors == []


def test_the_colours_can_be_chosen_and_are_kept(report: Path, chromium: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(chromium, report) as found:
        before = found.page.evaluate(ground)
        found.page.select_option("#theme", "dark")
        assert found.page.evaluate(ground) != before
        # What is kept is read before the page is shown; that a browser keeps it is the browser's affair.
        assert found.page.evaluate("localStorage.getItem('theme')") == "dark"
        found.page.add_init_script("localStorage.setItem('theme', 'dark')")
        found.page.reload()
        found.page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        assert found.page.evaluate(ground) != before
        found.page.select_option("#theme", "system")
        assert found.page.evaluate(ground) == before


def test_without_a_script_it_is_complete(report: Path, chromium: Any) -> None:
    with opened(chromium, report, script=False) as found:
        assert found.page.locator("#verdicts tbody tr:visible").count() == len(CASES)
        # What would not work is not offered.
        assert not found.page.locator("#controls").is_visible()
        assert not found.page.locator("#theme").is_visible()


def test_on_paper_it_is_dark_on_white_with_its_hypotheses(report: Path, chromium: Any) -> None:
    with opened(chromium, report, scheme="dark") as found:
        page = found.page
        page.emulate_media(media="print", color_scheme="dark")
        colours = page.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
        assert contrast(*colours) > 15.0
        assert colours[0] == "rgb(0, 0, 0)"
        assert not page.locator("#controls").is_visible()
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.locator("td", has_text="linear").last.is_visible()
        # A4 within its margins, at 96 points an inch.
        page.set_viewport_size({"width": 680, "height": 900})
        assert page.locator("#verdicts").evaluate("table => table.scrollWidth") <= 680
        assert len(page.pdf(format="A4")) > 20_000
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0


def test_the_page_forbids_what_a_stranger_might_put_into_it(report: Path, chromium: Any, tmp_path: Path) -> None:
    """Pictures and scripts from elsewhere are not asked for, and no other script runs; without the policy they are."""
    whole = report.read_text(encoding="utf-8")
    with served() as (address, hits):
        seen = _attacked(whole, address, hits, chromium, tmp_path)
    assert seen == {"with": (0, "Verdicts", True), "without": (1, "mine", False)}


def _attacked(whole: str, address: str, hits: list[str], chromium: Any, place: Path) -> dict[str, Any]:
    foreign = f"<img src='{address}/x.png'><script>document.title = 'mine';</script>"
    attacked = whole.replace("<main", foreign + "<main", 1)
    assert attacked != whole
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", attacked)
    assert open_page != attacked
    seen = {}
    for name, text in (("with", attacked), ("without", open_page)):
        path = place / f"{name}.html"
        path.write_text(text, encoding="utf-8")
        with opened(chromium, path) as found:
            found.page.wait_for_timeout(300)
            refused = any("Content Security Policy" in error for error in found.errors)
            seen[name] = (hits.count("/x.png"), found.page.title(), refused)
    return seen
