"""Every number in a lab's text: printed by the lab, set in its code, or held by a stored result.

A decimal number, or a percentage, in a text cell must be one of

- what a cell of the executed lab prints, rounded to the digits that the text writes,
- what the model answer to a ★ prints, likewise,
- a constant of the lab's code, or
- a figure that ``test_results.quotes`` compares with the stored results, in this lab.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode
from reading import words_of
from reference import ROOT
from test_results import quotes

from autograder.course import Lab, list_labs
from trickster import attacks, data, evaluation, exact, language_model
from trickster.models import softmax
from trickster.scenario import Scenario
from trickster.services import log_softmax

LABS = list_labs(ROOT)
every_lab = pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
# Digits that state nothing: identifiers of techniques, addresses, versions, calls in code.
NAMES = re.compile(
    r"<code>[^<]*\(.*?</code>|`[^`]*\([^`]*`|\]\([^)]*\)|https?://\S+|\b(?:AML\.|ML|LLM)[\w.:]*\d|arXiv:\S+|\b\d+(?:\.\d+){2,}"
)
NUMBER = re.compile(r"(?<![\w.])(\d[\d,]*)?(\.\d+)?(?:e-?\d+)?(\s?%)?(?!\w|\.\d)")
PRINTED = re.compile(r"(?<![\w.])[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?")


def one_line(text: str) -> str:
    return " ".join(re.sub(r"^>? ?", "", text, flags=re.MULTILINE).split())


@cache
def executed(lab: Lab) -> NotebookNode:
    return nbformat.read(lab.executed, as_version=4)


def text_of(lab: Lab) -> str:
    """All text cells of a lab on one line, without digits that state nothing."""
    cells = [cell.source for cell in executed(lab).cells if cell.cell_type == "markdown"]
    return NAMES.sub(" ", one_line("\n\n".join(cells)))


def numbers_in(text: str) -> Iterator[tuple[str, int, int]]:
    """Decimal numbers and percentages in a text, and where they stand."""
    for found in NUMBER.finditer(text):
        _, decimals, percent = found.groups()
        if found[0] and (decimals or percent):
            yield found[0], found.start(), found.end()


def printed_by(notebook: NotebookNode) -> list[tuple[float, int]]:
    """Each number in the outputs of a notebook, with its digits behind the point."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            shown = output.get("data", {})
            texts.append(output.get("text") or words_of(shown.get("text/html", "")))
            texts.append(shown.get("text/plain", ""))
    found = (number.replace(",", "") for text in texts for number in PRINTED.findall(text))
    return [(abs(float(one)), len(one.partition(".")[2])) for one in found]


def printed_by_stars(lab: Lab) -> list[tuple[float, int]]:
    """Each number that a model answer to a ★ says it prints; ``test_results`` runs them again."""
    path = lab.source.with_name("stars.py")
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    blocks = re.findall(r"^# ```\n((?:#.*\n)*?)# ```$", text, re.M)
    found = [number.replace(",", "") for block in blocks for number in PRINTED.findall(block)]
    return [(abs(float(one)), len(one.partition(".")[2])) for one in found]


def constants_of(notebook: NotebookNode) -> set[float]:
    """Every number that a cell's code contains."""
    trees = (ast.parse(cell.source) for cell in notebook.cells if cell.cell_type == "code")
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {float(node.value) for node in nodes if type(node.value) in (int, float)}


def says(written: str, printed: Iterable[tuple[float, int]], constants: set[float]) -> bool:
    """Is `written` a printed number to the digits written, or a constant of the code?

    A percentage may also be printed as a share.
    """
    bare = written.rstrip(" %").replace(",", "")
    value, digits = float(bare), len(bare.partition(".")[2])
    scales = [(1, 0), (100, 2)] if "%" in written else [(1, 0)]
    for factor, moved in scales:
        if round(value / factor, 9) in constants:
            return True
        for shown, places in printed:
            near = abs(shown * factor - value) <= 0.5 * 10.0**-digits + 1e-9
            if near and places - moved >= digits:
                return True
    return False


def held_by_results(lab: Lab, text: str) -> set[float]:
    """Figures in a lab's text that `test_results` compares with the stored results."""
    sentences = [words for name, words, _ in quotes() if name == f"lab{lab.number}"]
    found = (re.search(words, text, re.IGNORECASE) for words in sentences)
    return {float(figure) for sentence in found if sentence for figure in sentence.groups()}


def unsupported(lab: Lab) -> list[str]:
    """Numbers of a lab's text that nothing supports, each with the words around it."""
    text, notebook = text_of(lab), executed(lab)
    printed = printed_by(notebook) + printed_by_stars(lab)
    constants = constants_of(notebook) | held_by_results(lab, text)
    return [
        f"{written}: ...{text[max(0, start - 50) : end + 30]}..."
        for written, start, end in numbers_in(text)
        if not says(written, printed, constants)
    ]


@every_lab
def test_every_number_in_the_text_is_printed_or_stored(lab):
    assert unsupported(lab) == [], "\n".join(unsupported(lab))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("about .68, then 0.5 and 4.1 points", [".68", "0.5", "4.1"]),
        ("in 90 % or 3.3 % of 1,000 pictures", ["90 %", "3.3 %"]),
        ("from .7, not .8.", [".7", ".8"]),
        ("exercise 3, 12,000 pictures, seed 0", []),
        (NAMES.sub(" ", "<code>f([.31, .33])</code>, `fit(x, lr=3e-3, p=.4)`, but `.60`"), [".60"]),
        (NAMES.sub(" ", "AML.T0024.002, ML05:2023, version 1.20.1, [a](https://b.org/1.5)"), []),
    ],
)
def test_numbers_are_found_in_a_text(text, found):
    assert [number for number, _, _ in numbers_in(text)] == found


@pytest.mark.parametrize(
    ("written", "right"),
    [
        (".68", True),  # printed as 0.684
        (".684", True),
        (".69", False),
        (".6840", False),  # more digits than were printed
        ("68 %", True),
        ("68.4 %", True),
        ("69 %", False),
        (".494", True),  # a constant
        ("90 %", True),
        (".123", False),
    ],
)
def test_an_invented_number_is_not_supported(written, right):
    assert says(written, [(0.684, 3), (90.0, 0)], {0.494}) is right


# --- what the extensions tell readers to expect ------------------------------------------------


@pytest.mark.slow
def test_temperature_scaling_halves_lab_1_s_calibration_error():
    """Lab 1: the error falls to less than half, with a temperature above 1."""
    fashion = data.load("fashion")
    logits, truth = Scenario("fashion").victim.logits(fashion.x_test), fashion.y_test
    fitted, tested = slice(0, len(truth) // 2), slice(len(truth) // 2, None)

    def cross_entropy(temperature: float) -> float:
        p = softmax(logits[fitted] / temperature)
        return -float(np.log(p[np.arange(len(p)), truth[fitted]]).mean())

    def error(temperature: float) -> float:
        p = softmax(logits[tested] / temperature)
        return evaluation.expected_calibration_error(p, truth[tested])

    best = min(np.arange(0.5, 3, 0.05), key=cross_entropy)
    assert best > 1 and error(best) < error(1) / 2


@pytest.mark.slow
def test_made_queries_teach_more_than_their_seeds_and_less_than_new_pictures():
    """Lab 2: 100 shapes, grown along the clone's gradient, give a fidelity of about .4."""
    scenario = Scenario("fashion")
    x = scenario.data.x_test
    answers, shapes = scenario.victim.posteriors(x), scenario.pool("shapes", 3_000, seed=1)

    def thief():
        return scenario.api(budget=3_000).client("thief")

    def fidelity(clone) -> float:
        return evaluation.fidelity(clone.posteriors(x), answers)

    few = fidelity(attacks.train_clone(*attacks.collect(thief(), shapes[:100], 100)))
    many = fidelity(attacks.train_clone(*attacks.collect(thief(), shapes, 3_000)))
    made = fidelity(attacks.steal_jacobian(thief(), shapes[:100], 3_000))
    farther = fidelity(attacks.steal_jacobian(thief(), shapes[:100], 3_000, step=0.4))
    assert farther < made
    assert few + 0.1 < made < many - 0.1 and made == pytest.approx(0.4, abs=0.08)


@pytest.mark.slow
def test_more_prompts_bring_back_the_cliff_that_noise_and_rounding_hide():
    """Lab 6: the drop after value 63 is steep again with 1,000 prompts, and the only one."""
    assistant = language_model.load_shipped()
    many = log_softmax(assistant.logits(assistant.random_prompts(1_000, seed=1)).astype(float))
    noise = np.random.default_rng(0).normal(0, 0.1, many.shape)
    for seen, least, most in ((many + noise, 2.5, 3), (many.round(1), 8.5, 9.5)):
        values = exact.singular_values(seen)[1:121]
        drops = values[:-1] / values[1:]
        assert least < drops[61] < most and np.delete(drops, 61).max() < 1.5
