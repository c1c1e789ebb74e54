"""The figures: decodable, repeatable, readable without colour, and told in words."""

from __future__ import annotations

import base64
import functools
import io
import itertools
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from autograder.sanitize.html import clean
from trickster import picture, plots
from trickster.evaluation import Interval

RNG = np.random.default_rng(0)
GREY = RNG.random((7, 1, 28, 28)).astype(np.float32)
COLOUR = RNG.random((3, 3, 32, 32)).astype(np.float32)
P = RNG.dirichlet(np.full(5, 0.4), 400)
Y = RNG.integers(0, 5, 400)
LINES = {
    "soft": {100: Interval(0.3, 0.25, 0.35, 5), 5_000: Interval(0.72, 0.7, 0.74, 5)},
    "one run": {100: Interval(0.2, -np.inf, np.inf, 1), 5_000: Interval(0.6, -np.inf, np.inf, 1)},
}
BARS = {
    "soft": {"shapes": Interval(0.71, 0.7, 0.72, 5), "noise": Interval(0.1, -np.inf, np.inf, 1)},
    "hard": {"shapes": Interval(0.66, 0.6, 0.7, 5), "noise": Interval(0.11, 0.1, 0.12, 5)},
}


def curves(**options) -> plots.Picture:
    labels = {"title": "Budget", "xlabel": "queries", "ylabel": "fidelity"}
    return plots.curves(LINES, **labels, **options)


def below(boundary: float):
    """A function from two-number queries to posteriors: class 0 where the second is below."""

    def posteriors(x: np.ndarray) -> np.ndarray:
        above = 1 / (1 + np.exp(-40 * (x[:, 0, 0, 1] - boundary)))
        return np.stack([1 - above, above], axis=1)

    return posteriors


QUERIES = RNG.random((30, 1, 1, 2)).astype(np.float32)


def many(n: int) -> dict[str, dict[str, Interval]]:
    return {f"series {i}": {"shapes": Interval(0.5, 0.4, 0.6, 5)} for i in range(n)}


FIGURES = {
    "pictures": lambda: plots.pictures(
        GREY, [f"cap {i}" for i in range(7)], columns=5, title="Few"
    ),
    "pictures in colour": lambda: plots.pictures(COLOUR),
    "contact rows": lambda: plots.contact_rows({"noise": GREY, "photos": COLOUR}, title="Pools"),
    "answers": lambda: plots.answers(GREY[:2], P[:2], "abcde", ["one", "two"], title="Two answers"),
    "boundaries": lambda: plots.boundaries(
        below(0.5), {"a clone": (below(0.705), QUERIES), "a copy": (below(0.5), QUERIES)}, title="T"
    ),
    "losses": lambda: plots.losses([2.3, 1.1, 0.46], [2.2, 1.3, 1.25]),
    "reliability": lambda: plots.reliability(P, Y),
    "curves": lambda: curves(marks={"chance": 0.1}),
    "curves on a log axis": lambda: curves(log_x=True, marks={"chance": 0.1}),
    "bars": lambda: plots.bars(BARS, title="Pools", ylabel="fidelity", chance=0.1),
    "many bars": lambda: plots.bars(many(8), title="Many", ylabel="fidelity"),
    "dots": lambda: plots.dots(
        {"none": [0.4, 0.5, 0.45], "one": [0.3]},
        title="Seeds",
        xlabel="accuracy",
        marks={"published": 0.494},
    ),
    "many dots": lambda: plots.dots(
        {f"s{i}": [0.1, 0.2] for i in range(8)}, title="Many", xlabel="accuracy"
    ),
}
WORDS = {
    "pictures": ["Few", "7 pictures", "cap 0", "cap 6"],
    "pictures in colour": ["Contact sheet", "3 pictures"],
    "contact rows": ["Pools", "noise; photos"],
    "answers": ["Two answers", "one: ", f"two: {'abcde'[P[1].argmax()]} {P[1].max():.2f}"],
    "boundaries": ["a clone 80.2%", "a copy 100.0%"],
    "losses": ["training loss from 2.30", "0.46 in epoch 3", "held-out loss from 2.20", "1.25"],
    "reliability": ["Reliability", "largest gap"],
    "curves": ["Budget", "soft from 0.30 at 100 to 0.72 at 5000", "chance at 0.10"],
    "curves on a log axis": ["one run from 0.20 at 100 to 0.60", "chance at 0.10"],
    "bars": ["fidelity", "soft: shapes 0.71, noise 0.10", "hard: shapes 0.66", "chance at 0.10"],
    "many bars": ["series 7: shapes 0.50"],
    "dots": ["none: mean 0.45, from 0.40 to 0.50", "published at 0.49"],
    "many dots": ["s7: mean 0.15"],
}


def decoded(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"), float)


@functools.cache
def drawn(name: str) -> tuple[plots.Picture, bytes]:
    """A figure and its PNG."""
    figure = FIGURES[name]()
    return figure, figure.png()


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_pngs_with_something_on_them(name):
    pixels = decoded(drawn(name)[1])
    assert min(pixels.shape[:2]) > 60
    assert pixels.std() > 10


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_figure_gives_the_same_bytes(name):
    figure, png = drawn(name)
    assert png == figure.png() == FIGURES[name]().png()


@pytest.mark.parametrize("name", FIGURES)
def test_the_words_say_what_the_figure_shows(name):
    alt = drawn(name)[0].alt
    for words in WORDS[name]:
        assert words in alt
    assert alt.endswith(".") and "nan" not in alt and "inf" not in alt.split()


class Images(HTMLParser):
    """The attributes of each image in a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[dict] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found += [dict(attrs)] if tag == "img" else []


@pytest.mark.parametrize("name", FIGURES)
def test_a_notebook_shows_picture_and_words(name):
    figure, png = drawn(name)
    bundle = figure._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == figure.alt == repr(figure)
    (image,) = Images(bundle["text/html"]).found
    assert image["alt"] == figure.alt
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == png
    down, across = decoded(png).shape[:2]
    for name, pixels in (("width", across), ("height", down)):
        assert int(image[name]) == pytest.approx(pixels * picture.CSS_DPI / picture.DPI, abs=1)
    assert clean(bundle["text/html"]) == clean(clean(bundle["text/html"]))
    assert Images(clean(bundle["text/html"])).found[0] == image  # in a feedback page too


def test_words_with_signs_of_html_stay_words():
    figure = plots.Picture(FIGURES["losses"]().figure, 'a < b & "c" > <b>d</b>')
    (image,) = Images(figure._repr_mimebundle_()["text/html"]).found
    assert image["alt"] == figure.alt


def test_the_bytes_name_no_version_of_matplotlib():
    image = Image.open(io.BytesIO(FIGURES["losses"]().png()))
    assert "Software" not in image.info


def test_saving_writes_the_picture_in_the_size_asked_for(tmp_path):
    figure = FIGURES["losses"]()
    figure.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == figure.png()
    figure.save(tmp_path / "a.png", dpi=2 * picture.DPI)
    assert decoded((tmp_path / "a.png").read_bytes()).shape > decoded(figure.png()).shape


@pytest.mark.slow
def test_no_figure_is_left_in_pyplot():
    for make in FIGURES.values():
        make().png()
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


# --- readable without colour ------------------------------------------------------------------


def axes_of(shown: plots.Picture):
    assert isinstance(shown.figure, Figure)
    return shown.figure.axes[0]


def test_lines_differ_by_marker_and_dash():
    six = {f"line {i}": {1: Interval(i, i, i, 2), 2: Interval(i, i, i, 2)} for i in range(6)}
    axes = axes_of(plots.curves(six, title="t", xlabel="x", ylabel="y"))
    lines = [container.lines[0] for container in axes.containers]
    assert len({line.get_marker() for line in lines}) == 6
    assert len({str(line._dash_pattern) for line in lines}) == 6


def test_bars_differ_by_hatching():
    axes = axes_of(plots.bars(many(6), title="t", ylabel="y"))
    assert len({patch.get_hatch() for patch in axes.patches}) == 6


def test_dots_differ_by_marker():
    six = {f"series {i}": [0.1, 0.2] for i in range(6)}
    axes = axes_of(plots.dots(six, title="t", xlabel="x"))
    assert len({c.get_paths()[0].vertices.tobytes() for c in axes.collections}) == 6


# --- true to the numbers ----------------------------------------------------------------------


def test_curves_pass_through_the_means_with_the_intervals_as_bars():
    axes = axes_of(curves())
    line, _, bars = axes.containers[0].lines
    assert np.allclose(line.get_xydata(), [[100, 0.3], [5_000, 0.72]])
    assert np.allclose([s[:, 1] for s in bars[0].get_segments()], [[0.25, 0.35], [0.7, 0.74]])
    _, _, none = axes.containers[1].lines  # one run: no spread to draw
    assert np.allclose([np.ptp(s[:, 1]) for s in none[0].get_segments()], 0)


def test_curves_can_be_drawn_apart_and_say_the_same():
    beside = curves(apart=1.21)
    axes, picture = axes_of(beside), curves()
    drawn = [c.lines[0].get_xdata() for c in axes.containers]
    assert np.allclose(drawn[1], 1.21 * drawn[0]) and np.allclose(
        drawn[0], [100 / 1.1, 5_000 / 1.1]
    )
    assert beside.alt == picture.alt


def test_paired_lines_share_a_colour_and_differ_by_dash_and_marker():
    looks = [picture.line_style(i, paired=True) for i in range(4)]
    assert [one["linestyle"] for one in looks] == ["-", "--", "-", "--"]
    assert looks[0]["color"] == looks[1]["color"] != looks[2]["color"] == looks[3]["color"]
    assert len({one["marker"] for one in looks}) == 4


def test_the_names_of_marks_among_dots_stay_inside_the_figure():
    marks = {"published .2": 0.2, "published .5": 0.5}
    picture = plots.dots({"runs": [0.2, 0.5]}, title="t", xlabel="x", marks=marks)
    picture.png()
    axes = axes_of(picture)
    frame = axes.get_window_extent()
    for text in axes.texts:
        box = text.get_window_extent()
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1


@pytest.mark.parametrize("others", [(0.54, 0.66), (0.61, 0.66), (0.66, 0.66), (0.1, 0.1)])
def test_the_names_of_marks_among_dots_do_not_cover_each_other(others):
    marks = {"chance": 0.1} | dict(zip(("oracle", "undefended"), others, strict=True))
    picture = plots.dots(
        {"one thief": [0.16], "another": [0.5]}, title="t", xlabel="x", marks=marks
    )
    picture.png()
    axes = axes_of(picture)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert all(box.y1 <= axes.get_window_extent().y1 for box in boxes)


@pytest.mark.parametrize("log_x", [False, True])
def test_a_mark_is_written_beside_its_level(log_x):
    picture = curves(log_x=log_x, marks={"chance": 0.1})
    axes_of(picture).figure.canvas.draw()
    axes = axes_of(picture)
    (text,) = [t for t in axes.texts if t.get_text() == "chance"]
    box, frame = text.get_window_extent(), axes.get_window_extent()
    assert frame.x1 <= box.x0 < frame.x1 + 20
    assert (box.y0 + box.y1) / 2 == pytest.approx(axes.transData.transform((1, 0.1))[1], abs=3)
    drawn = axes.figure.get_tightbbox().transformed(axes.figure.dpi_scale_trans)
    assert box.x1 <= drawn.x1 + 1  # a picture is cut where nothing more is drawn


def test_a_place_that_is_no_number_has_its_name_on_the_axis_and_in_words():
    picture = curves(log_x=True, ticks={5_000: "one per picture"})
    names = [tick.get_text() for tick in axes_of(picture).get_xticklabels()]
    assert names == ["100", "one per\npicture"]
    assert "0.72 at one per picture" in picture.alt


def test_a_curve_writes_the_numbers_asked_for_and_one_line_needs_no_legend():
    line = {"soft": LINES["soft"]}
    labels = {"title": "t", "xlabel": "x", "ylabel": "y"}
    axes = axes_of(plots.curves(line, numbered=(100, 200), **labels))
    (text,) = axes.texts
    assert text.get_text() == "0.30 at 100" and text.xy == (100, 0.3)
    assert axes.get_legend() is None and axes_of(plots.curves(LINES, **labels)).get_legend()


def test_bars_have_the_heights_of_the_means():
    axes = axes_of(plots.bars(BARS, title="t", ylabel="y"))
    assert [round(patch.get_height(), 2) for patch in axes.patches] == [0.71, 0.1, 0.66, 0.11]


def test_a_series_may_lack_categories_and_a_single_one_needs_no_name():
    alone = axes_of(plots.bars({"": BARS["soft"]}, title="t", ylabel="y", chance=0.1))
    assert [text.get_text() for text in alone.get_legend().get_texts()] == ["chance"]
    picture = plots.bars(BARS | {"few": {"noise": BARS["hard"]["noise"]}}, title="t", ylabel="y")
    bar = axes_of(picture).patches[-1]
    assert round(bar.get_x() + bar.get_width() / 2, 6) == round(1 + 0.8 / 3, 6)  # noise is second
    assert "few: noise 0.11." in picture.alt


def test_reliability_against_a_slow_loop():
    axes = axes_of(plots.reliability(P, Y, bins=10))
    confidence, right = P.max(axis=1), P.argmax(axis=1) == Y
    line, hollow = [], []  # a bin of few answers is drawn, but not as a point of the line
    for b in range(10):
        inside = (confidence > b / 10) & (confidence <= (b + 1) / 10)
        if inside.any():
            bin_ = confidence[inside].mean(), right[inside].mean()
            (line if inside.sum() >= plots.FEW else hollow).append(bin_)
    assert line and hollow
    for drawn, expected in zip(axes.lines[1:], (line, hollow), strict=True):
        assert np.allclose(drawn.get_xydata(), expected)
    assert axes.lines[2].get_linestyle() == "None" and axes.lines[2].get_fillstyle() == "none"
    widest = max((m - r for m, r in line), key=abs)
    assert f"is {widest:+.2f}." in plots.reliability(P, Y, bins=10).alt


def test_reliability_counts_the_answers_of_each_bin():
    shown = plots.reliability(P, Y, bins=10)
    counts = [patch.get_height() for patch in shown.figure.axes[1].patches]
    wanted = np.histogram(-P.max(axis=1), -np.arange(10, -1, -1) / 10)[0][::-1]  # (a, b]
    assert counts == [n for n in wanted if n] and sum(counts) == len(P)
    assert f": {counts[-1]:,}." in shown.alt


def test_dots_show_every_run():
    axes = axes_of(FIGURES["dots"]())
    assert [len(c.get_offsets()) for c in axes.collections] == [3, 1]
    assert np.allclose(axes.collections[0].get_offsets()[:, 0], [0.4, 0.5, 0.45])
    assert len([line for line in axes.lines if np.ptp(line.get_ydata()) < 1]) == 1  # of the three


def test_a_contact_sheet_shows_the_pictures_themselves():
    figure = plots.pictures(GREY, columns=4).figure
    shown = [image.get_array() for axes in figure.axes for image in axes.get_images()]
    assert len(shown) == 7
    assert all(np.array_equal(a, b[0]) for a, b in zip(shown, GREY, strict=True))
    colour = plots.pictures(COLOUR).figure.axes[0].get_images()[0].get_array()
    assert np.array_equal(colour, COLOUR[0].transpose(1, 2, 0))


def test_answers_are_bars_of_each_class_s_probability():
    picture = plots.answers(GREY[:2], P[:2], "abcde", ["one", "two"])
    for axes, row in zip(picture.figure.axes[1::2], P, strict=False):
        assert np.allclose([patch.get_width() for patch in axes.patches], row)
        assert [text.get_text() for text in axes.get_yticklabels()] == list("abcde")


def test_boundaries_run_where_the_class_changes_and_queries_lie_where_they_were_asked():
    axes = axes_of(FIGURES["boundaries"]())
    lines = [found for found in axes.collections if len(found.get_paths()) == 1][:3]
    heights = [line.get_paths()[0].vertices[:, 1].mean() for line in lines[1:]]
    assert heights == pytest.approx([0.5, 0.705], abs=0.01)
    asked = np.concatenate([dots.get_offsets() for dots in axes.collections[-2:]])
    assert np.allclose(np.sort(asked, axis=0), np.sort(QUERIES[:, 0, 0], axis=0))


def test_histograms_show_the_share_of_each_group_in_each_bin():
    rng = np.random.default_rng(0)
    groups = {"normal": rng.normal(1, 0.1, 900), "weird": rng.normal(0, 0.3, 50)}
    picture = plots.histograms(groups, title="T", xlabel="score", bins=20, marks={"line": 0.5})
    axes = axes_of(picture)
    for patch, group in zip(axes.patches, groups.values(), strict=True):
        values, edges, _ = patch.get_data()
        clipped = np.clip(group, edges[0], edges[-1])
        want = [np.mean((clipped >= a) & (clipped < b)) for a, b in itertools.pairwise(edges)]
        want[-1] += np.mean(clipped == edges[-1])
        np.testing.assert_allclose(values, want, atol=1e-12)
        assert values.sum() == pytest.approx(1)
    assert "normal 1.0" in picture.alt and "line at 0.50" in picture.alt


def test_a_frontier_names_its_points_and_rings_the_chosen_one():
    points = {
        name: (Interval(u, u - 0.01, u + 0.02, 9), Interval(f, f - 0.1, f + 0.05, 3))
        for name, u, f in (("0%", 0.89, 0.7), ("2%", 0.88, 0.3))
    }
    picture = plots.frontier(points, title="T", chosen="2%")
    axes = axes_of(picture)
    assert [text.get_text() for text in axes.texts] == ["2%, chosen", "0%"]
    ring = [line for line in axes.lines if line.get_fillstyle() == "none"]
    assert len(ring) == 1 and ring[0].get_xydata().tolist() == [[0.88, 0.3]]
    assert "2%: utility 0.880, fidelity 0.30" in picture.alt and "Chosen: 2%." in picture.alt
    other = plots.frontier(points, title="T", xlabel="accuracy lost (paired)", limit=0.885)
    assert "2%: accuracy lost 0.880" in other.alt and "Limit: 0.885." in other.alt
    assert [0.885, 0.885] in [list(line.get_xdata()) for line in axes_of(other).lines]
    assert not [line for line in axes_of(other).lines if line.get_fillstyle() == "none"]


def test_bars_of_a_group_stand_close_and_can_have_their_means_written():
    half, more, less = (Interval(mean, mean - 0.1, mean + 0.1, 3) for mean in (0.5, 0.6, 0.25))
    groups = {"a": {"x": half, "y": more}, "b": {"x": less}}
    axes = axes_of(plots.bars(groups, title="t", ylabel="y", numbered=True))
    middles = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    assert np.allclose(middles, [-0.2, 1, 0.2])  # y's only bar stands over its name
    assert {".50", ".60", ".25"} <= {text.get_text() for text in axes.texts}
