"""The referee: a test cell here, the student's work in a kernel there."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from reading import in_words, words_of
from referee_stage import QUICK, Stage, score, stage, text

from autograder.referee import name_resolution
from autograder.referee.errors import CourseBug, NotTested, RemoteErrorDescription
from autograder.referee.referee import Referee, SocketFolder, Verdict

STUDENT = '''
import sys, warnings
import numpy as np
from trickster.api import BudgetExceeded, RateLimited

answer = 42

def double(x):
    return x * 2

def noisy(x):
    print("hello from the student")
    warnings.warn("careful")
    print("and stderr", file=sys.stderr)
    return x

def fails(kind):
    if kind == "zero":
        return 1 / 0
    if kind == "value":
        raise ValueError("not this one")
    if kind == "key":
        return {}["missing"]
    if kind == "own":
        class TooWeird(KeyError):
            pass
        raise TooWeird("odd")
    if kind == "assert":
        assert kind == "other", "my own assert"
    if kind == "rate":
        raise RateLimited("ann", 3, 12.5)
    if kind == "disk":
        raise OSError(28, "No space left on device")
    if kind == "exit":
        sys.exit(3)
    if kind == "interrupt":
        raise KeyboardInterrupt
    raise NotImplementedError("not written yet")

class Meter:
    """Counts."""
    limit = 3
    def __init__(self, start=0):
        self.used = start
    def ask(self, n=1, *, twice=False):
        self.used += n * (2 if twice else 1)
        return self.used <= self.limit
    def child(self):
        return Meter(10)

def apply(function, *values, **named):
    return function(*values, **named)

def swallow(function):
    try:
        return function()
    except Exception as error:
        return [type(error).__name__, str(error), isinstance(error, RateLimited),
                getattr(error, "retry_after", None)]

def thief(api, x):
    answers = [api.query(x[:2]), api.query(x[2:3])]
    assert api.remaining == 2, api.remaining
    return np.concatenate(answers), api.used, api.key

def greedy(api, x):
    while True:
        api.query(x)

def peek(api):
    return [hasattr(api, "_api"), dir(api)]

def draw(rng, n):
    return rng.normal(size=n)

def give_back(thing):
    return thing

sum = "the student's own"
'''


@pytest.fixture(scope="module")
def play() -> Iterator[Stage]:
    with stage() as found:
        found.student(STUDENT)
        yield found


# --- values and calls -----------------------------------------------------------------------------


def test_points_and_what_the_check_prints(play: Stage) -> None:
    verdict = play.test("print('measured', double(21), answer)\n2.5 * (double(2) == 4)")
    assert score(verdict) == 2.5
    assert [o.output_type for o in verdict.outputs] == ["stream", "execute_result"]
    assert verdict.outputs[0].text == "measured 42 42\n"


def test_what_the_student_prints_costs_nothing(play: Stage) -> None:
    verdict = play.test("import sys\nprint('check', file=sys.stderr)\nnoisy(1.0)")
    assert score(verdict) == 1
    assert [o.get("name") for o in verdict.outputs] == ["stdout", None, "stdout"]
    assert verdict.outputs[0].text == "check\n"
    meanwhile = verdict.outputs[2].text
    assert meanwhile.startswith("--- what your code printed meanwhile ---\n")
    assert "hello from the student" in meanwhile
    assert "UserWarning: careful" in meanwhile and "and stderr" in meanwhile


def test_objects_stay_and_answer(play: Stage) -> None:
    verdict = play.test(
        "meter = Meter(start=1)\n"
        "first = [meter.ask(), meter.ask(twice=True), meter.used, meter.limit]\n"
        "print(first, type(meter).__name__, meter.child().used, apply(Meter, 5).used)\n"
        "print(hasattr(meter, 'ask'), hasattr(meter, 'nothing'))\n"
        "print(callable(meter), callable(Meter))\n"
        "1.0"
    )
    assert score(verdict) == 1
    assert text(verdict.outputs[:1]) == ("[True, False, 4, 3] Meter 10 5\nTrue False\nFalse True\n")


def test_arrays_cross_both_ways(play: Stage) -> None:
    verdict = play.test(
        "import numpy as np\n"
        "x = np.random.default_rng(0).normal(size=(200, 30)).astype('float32')\n"
        "y = double(x)\n"
        "y[0] = 0  # what came belongs to the check\n"
        "2.0 * bool(np.array_equal(y[1:], 2 * x[1:]) and y.dtype == np.float32)"
    )
    assert score(verdict) == 2


def test_functions_of_the_check_are_called_back(play: Stage) -> None:
    verdict = play.test(
        "calls = []\n"
        "def tell(value, extra=0):\n"
        "    calls.append((value, extra))\n"
        "    return double(value) + extra  # and calls the student in the middle of it\n"
        "print(apply(tell, 3, extra=1), apply(lambda x: x + 1, apply(double, 2)), calls)\n"
        "1.0"
    )
    assert score(verdict) == 1 and verdict.outputs[0].text == "7 5 [(3, 1)]\n"


def test_a_generator_draws_the_same_numbers_there(play: Stage) -> None:
    verdict = play.test(
        "import numpy as np\n"
        "want = np.random.default_rng(7).normal(size=5)\n"
        "1.0 * bool((draw(np.random.default_rng(7), 5) == want).all())"
    )
    assert score(verdict) == 1


def test_a_thief_gets_a_client_and_nothing_behind_it(play: Stage) -> None:
    verdict = play.test(
        "import numpy as np\n"
        "from trickster.api import BudgetExceeded, PredictionAPI\n"
        "class Victim:\n"
        "    def features_and_posteriors(self, x):\n"
        "        return x, np.full((len(x), 10), 0.1)\n"
        "api = PredictionAPI(Victim(), budget=5)\n"
        "x = np.zeros((4, 1, 28, 28))\n"
        "answers, used, key = thief(api.client('me'), x)\n"
        "print(answers.shape, used, key, peek(api.client('me')))\n"
        "try:\n"
        "    greedy(api.client('you'), x)\n"
        "except BudgetExceeded as error:\n"
        "    print(error.key, error.requested, error.remaining, api.used('you'))\n"
        "1.0"
    )
    assert score(verdict) == 1
    assert verdict.outputs[0].text == (
        "(3, 10) 3 me [False, ['key', 'query', 'remaining', 'used']]\nyou 4 1 4\n"
    )


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "caught", "shown"),
    [
        ("zero", "ZeroDivisionError", "ZeroDivisionError division by zero"),
        ("value", "ValueError", "ValueError not this one"),
        ("key", "KeyError", "KeyError 'missing'"),
        ("own", "KeyError", "TooWeird 'odd'"),
        ("assert", "AssertionError", "AssertionError my own assert"),
        ("todo", "NotImplementedError", "NotImplementedError not written yet"),
        ("exit", "Exception", "SystemExit 3"),
        ("interrupt", "Exception", "KeyboardInterrupt "),
    ],
)
def test_errors_come_back_as_what_they_were(
    play: Stage, kind: str, caught: str, shown: str
) -> None:
    verdict = play.test(
        f"try:\n    fails({kind!r})\nexcept {caught} as error:\n"
        "    print(type(error).__name__, error)\n    print(error.notebook_line)\n1.0"
    )
    assert score(verdict) == 1
    told, where = verdict.outputs[0].text.split("\n")[:2]
    assert told == shown and where.startswith("('fails', ")


def test_the_api_s_errors_keep_their_attributes_both_ways(play: Stage) -> None:
    verdict = play.test(
        "from trickster.api import RateLimited\n"
        "try:\n    fails('rate')\n"
        "except RateLimited as error:\n    print(error.key, error.requested, error.retry_after)\n"
        "def refuse():\n    raise RateLimited('bob', 2, 0.5)\n"
        "print(swallow(refuse))\n"
        "1.0"
    )
    first, second = verdict.outputs[0].text.strip().split("\n")
    assert first == "ann 3 12.5"
    assert second.startswith("['RateLimited', \"Key 'bob' asked") and second.endswith("True, 0.5]")


def test_an_error_of_the_check_comes_through_the_student_unchanged(play: Stage) -> None:
    verdict = play.test(
        "class Mine(Exception): pass\n"
        "mine = Mine(object(), 'x')\n"
        "def complain():\n    raise mine\n"
        "try:\n    apply(complain)\nexcept Mine as error:\n    print(error is mine)\n"
        "print(swallow(complain)[0])\n"
        "1.0"
    )
    assert score(verdict) == 1 and verdict.outputs[0].text == "True\nMine\n"


def test_an_error_that_nobody_catches_is_the_feedback(play: Stage) -> None:
    verdict = play.test("print('before')\nfails('todo')\n4.0")
    assert score(verdict) == 0 and not verdict.problem
    error = verdict.outputs[-1]
    assert (error.ename, error.evalue) == ("NotImplementedError", "not written yet")
    assert "raise NotImplementedError" in "\n".join(error.traceback)
    assert "fails('todo')" not in "\n".join(error.traceback)  # nothing of the grader's cell
    assert verdict.outputs[0].text == "before\n"


def test_a_sheet_says_where_it_happened(play: Stage) -> None:
    source = (
        "from trickster.checks.result import check\n"
        "@check('A check', 4)\n"
        "def run(sheet, function):\n"
        "    with sheet.part('one', 1) as part:\n"
        "        part.expect(function('zero') == 1, '', '')\n"
        "    with sheet.part('two', 3) as part:\n"
        "        part.expect(True, 'fine', 'fine')\n"
        "run(fails)"
    )
    verdict = play.test(source)
    assert score(verdict) == 3
    said = in_words(verdict.result)
    assert "your code raised ZeroDivisionError: division by zero" in said
    assert "It happened in fails(), at: return 1 / 0" in said


def test_what_a_check_gives_read_only_nobody_writes_into(play: Stage) -> None:
    play.student("def writes(p):\n    p[:] = 0\n    return p\n")
    source = (
        "import numpy as np\n"
        "from trickster.checks.distributions import given_read_only\n"
        "from trickster.checks.result import check\n"
        "@check('Title', 1)\n"
        "def run(sheet, function):\n"
        "    with sheet.part('one', 1) as part:\n"
        "        given_read_only(function, 'writes', np.ones((2, 10)))\n"
        "        part.expect(True, '', '')\n"
        "run(writes)"
    )
    verdict = play.test(source)
    assert score(verdict) == 0
    assert "writes writes into the posteriors that it is given" in in_words(verdict.result)


# --- names ----------------------------------------------------------------------------------------


def test_a_missing_name_is_told(play: Stage) -> None:
    verdict = play.test("nowhere(1)")
    assert score(verdict) == 0
    assert "the notebook has no 'nowhere'" in text(verdict.outputs)


def test_builtins_and_imports_are_the_grader_s(play: Stage) -> None:
    play.student("import types\nlab9 = types.SimpleNamespace(check=lambda: 4.0)\nmath = lab9")
    verdict = play.test("print(sum([1, 2]), math.sqrt(4))\n1.0", imports="import math")
    assert score(verdict) == 1 and verdict.outputs[0].text == "3 2.0\n"


def test_probes_come_from_their_module_whatever_the_notebook_says(play: Stage) -> None:
    play.student("import torch\nmodel = torch.nn.ReLU()")
    play.student("def forward(model, x):\n    return abs(x)")
    verdict = play.test(
        "import numpy as np\n4.0 * bool(forward(model, -np.ones((2, 3), 'float32')).any())",
        imports="from trickster.checks.probes import forward",
    )
    assert score(verdict) == 0


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("f(x)\nprint(len(y))", ["f", "x", "y"]),
        ("x = g(1)\n[x + z for z in w]", ["g", "w"]),
        ("def h(a): return a + b\nh(1)", ["b"]),
        ("import numpy as np\nnp.zeros(n)", ["n"]),
        ("(lambda q: q + r)(1)\nr2 = [s for s in range(3)]", ["r"]),
        ("class A:\n    k = t\nA.k.u", ["t"]),
        ("for i in items:\n    pass\ni", ["items"]),
    ],
)
def test_free_names(source: str, found: list[str]) -> None:
    assert name_resolution.free_names(source) == found


def test_imports_of_the_course_s_cells() -> None:
    found = name_resolution.imports_of(
        [
            "import math\nimport numpy as np\nimport os.path",
            "from trickster.checks import lab3 as l3",
        ]
    )
    ours, probes, theirs = name_resolution.resolve(["math", "np", "os", "l3", "x"], found)
    assert ours["np"] is np and ours["os"].path and theirs == ["x"] and not probes
    assert ours["l3"].__name__ == "trickster.checks.lab3"


def test_a_name_that_is_both_imported_and_asked_for_is_a_bug() -> None:
    found = name_resolution.imports_of(["from trickster.models import softmax"])
    with pytest.raises(CourseBug, match="Rename one"):
        name_resolution.resolve(["softmax"], found, {"softmax"})
    assert name_resolution.resolve([], found, {"softmax"}) == ({}, {}, [])


# --- points ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "earned"),
    [
        ("4", 4),
        ("double(1)", 2),
        ("import numpy as np\nnp.float64(1.5)", 1.5),
        ("assert double(1) == 2", 4),
        ("assert double(1) == 2\nprint('fine')", 4),
        ("double(1) == 2", 4),
        ("double(1) == 3", 0),
        ("assert double(1) == 3", 0),
        ("float('nan')", 0),
        ("float('inf')", 0),
        ("4.5", 0),
        ("-1.0", 0),
        ("None", 0),
        ("print('nothing else')", 0),
        ("'4'", 0),
        ("Meter()", 0),
        ("[4.0]", 0),
        ("x = 4.0", 0),
    ],
)
def test_what_a_cell_s_value_is_worth(play: Stage, source: str, earned: float) -> None:
    assert score(play.test(source)) == earned


def test_why_there_are_no_points_is_said(play: Stage) -> None:
    assert "nan, which is not between 0 and 4" in text(play.test("float('nan')").outputs)
    assert "a Meter instead of a number" in text(play.test("Meter()").outputs)
    assert "line 2 of the test does not hold" in text(play.test("\nassert False").outputs)


def test_a_bug_of_the_course_is_called_one(play: Stage) -> None:
    for source in (
        "from trickster.checks.result import Sheet\nSheet('A', 4).result()",
        "double(object())",
        "from trickster.checks.result import Sheet\n"
        "with Sheet('A', 4).part('x', 4): double(object())",
        "this is no Python",
    ):
        verdict = play.test(source)
        assert score(verdict) == 0
        assert verdict.problem.startswith("The check itself is wrong"), source
        assert "not your fault" in text(verdict.outputs)


def test_a_verdict_says_as_data_why_a_test_ended_early(play: Stage) -> None:
    for source, note in (
        ("float('nan')", "0 points: the test gave nan, which is not between 0 and 4."),
        ("fails('zero')", "ZeroDivisionError: division by zero"),
        ("nowhere(1)", "NameError: the notebook has no 'nowhere': did the cell that defines it"),
        ("assert double(1) == 3", "AssertionError: line 1 of the test does not hold"),
    ):
        verdict = play.test(source)
        assert verdict.note.startswith(note) and verdict.result is None and verdict.begun
    verdict = play.test("double(2) * 1.0")
    assert not verdict.note and verdict.result is None and verdict.begun


# --- faults of the machine ------------------------------------------------------------------------

FULL = "No space left on device"
FAULTS = """
import contextlib
from trickster.checks.result import Sheet

def full():
    raise {kind}(28, "No space left on device")

with Sheet("A", 4).part("x", 4) as part:
    part.expect(True, "1", "1")
    {how}
4.0
"""


@pytest.mark.parametrize(
    "source",
    [
        "raise OSError(28, 'No space left on device')",
        FAULTS.format(kind="OSError", how="full()"),
        FAULTS.format(kind="OSError", how="swallow(full)"),  # whatever the student makes of it
        "raise MemoryError('No space left on device')",
        'raise RuntimeError("can\'t start new thread: No space left on device")',
        "raise RuntimeError('DefaultCPUAllocator: No space left on device')",
        "import zmq; raise zmq.ZMQError(28, 'No space left on device')",
    ],
)
def test_a_fault_of_the_machine_costs_nobody_a_point(play: Stage, source: str) -> None:
    with pytest.raises(NotTested, match=re.escape(FULL)) as raised:
        play.test(source)
    assert "not the submission" in str(raised.value)
    assert score(play.test("double(2) * 1.0")) == 4  # the kernel is in order


def test_what_only_looks_like_one_is_the_student_s(play: Stage) -> None:
    verdict = play.test("fails('disk')")
    assert score(verdict) == 0 and "No space left" in verdict.note
    for how in ("swallow(full)", "apply(full)", "fails('disk')"):
        # A check breaks a line on purpose; and a part is all that the student's own error costs.
        assert score(play.test(FAULTS.format(kind="ConnectionError", how=how))) == 4


def test_a_socket_s_path_may_be_too_long_for_the_machine(play: Stage, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    referee = Referee(play.kernel, SocketFolder(folder, str(folder)), QUICK)
    with pytest.raises(NotTested, match="set TMPDIR to a folder with a short name"):
        referee.run_test("double(2) * 1.0", 4)
    assert score(play.test("double(2) * 1.0")) == 4


# --- results --------------------------------------------------------------------------------------

CHECK = """
from trickster.checks.result import check
@check("A <b>check</b>", {points})
def run(sheet, function):
    with sheet.part("one", {points}) as part:
        answer = function("zero") if function is fails else function({points})
        part.expect(answer == {points}, str(answer), "{points}")
"""


def html(verdict: Verdict) -> str:
    (result,) = [o for o in verdict.outputs if o.output_type == "execute_result"]
    return result.data["text/html"]


def test_a_check_s_result_is_handed_on_and_shown_once(play: Stage) -> None:
    verdict = play.test(CHECK.format(points=4) + "run(give_back)")
    assert score(verdict) == 4 and verdict.result == 4 and not verdict.note
    assert [part.measured for part in verdict.result.parts] == ["4"]
    (output,) = verdict.outputs
    assert output.data["text/plain"] == "4.0"
    assert output.data["text/html"] == verdict.result._repr_html_()


def test_a_sum_of_checks_shows_the_parts_of_all(play: Stage) -> None:
    verdict = play.test(CHECK.format(points=2) + "run(give_back) + run(fails)")
    assert score(verdict) == 2 and len(verdict.result.parts) == 2
    assert words_of(html(verdict)).endswith("Total 2 of 4 points")


def test_other_cells_show_their_points_alone(play: Stage) -> None:
    for source, shown in (("assert double(1) == 2", "4 of 4"), ("double(1) / 4", "0.5 of 4")):
        verdict = play.test(source)
        assert verdict.result is None and words_of(html(verdict)) == f"Total {shown} points"


def test_what_is_not_begun_is_told_as_data(play: Stage) -> None:
    source = CHECK.format(points=4).replace('"zero"', '"todo"')
    verdict = play.test(source + "run(fails)")
    assert score(verdict) == 0 and not verdict.begun and not verdict.result.begun
    assert verdict.note == "Not written yet: fails() still raises NotImplementedError."
    verdict = play.test("fails('todo')")
    assert not verdict.begun and verdict.note == "NotImplementedError: not written yet"


def test_an_error_of_torch_s_is_begun(play: Stage) -> None:
    play.student(
        "import torch\ndef swapped(x=0):\n    return torch.softmax(torch.zeros(4).long(), dim=0)\n"
    )
    source = CHECK.format(points=4).replace('"zero"', "")
    verdict = play.test(source + "run(swapped)")
    assert score(verdict) == 0 and verdict.begun and verdict.result.begun
    assert "NotImplementedError" in (advice := verdict.result.parts[0].advice)
    assert "in swapped(), at: return torch.softmax" in advice
    verdict = play.test("swapped()")
    assert score(verdict) == 0 and verdict.begun


def test_a_student_s_object_never_becomes_a_result(play: Stage) -> None:
    play.student(
        "from trickster.checks.result import CheckResult, PartResult\n"
        "def forge(points=4):\n"
        "    return CheckResult(4, '<script>', 4, (PartResult('p', 4, 1.0, '<b>'),))\n"
        "class Forged(float):\n"
        "    def _repr_html_(self): return '<script>alert(1)</script>'\n"
    )
    for source in ("forge()", "Forged(4)", "1.0 * Forged(4)", "forge() + 0.0"):
        verdict = play.test(source)
        assert verdict.result is None
        assert "<script>" not in str(verdict.outputs) and "<b>" not in str(verdict.outputs)


@pytest.mark.parametrize(
    "words",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;\x1b[31m\x00"],
)
def test_a_student_s_words_are_no_html(play: Stage, words: str) -> None:
    play.student(
        f"def raises(points):\n    raise ValueError({words!r})\n"
        f"def answers(points):\n    return {words!r}"
    )
    for name in ("raises", "answers"):
        verdict = play.test(CHECK.format(points=4) + f"run({name})")
        assert score(verdict) == 0 and verdict.result.parts[0].share == 0
        shown = html(verdict)
        assert "<script" not in shown and "<img" not in shown and "<b>" not in shown
        assert unescape(shown).count(words.split("\x1b")[0]) >= 1


def test_a_student_s_assert_is_no_bug_of_the_course(play: Stage) -> None:
    verdict = play.test("fails('assert')")
    assert score(verdict) == 0 and not verdict.problem


# --- speed ----------------------------------------------------------------------------------------


def test_many_small_calls_and_one_large_array(play: Stage) -> None:
    """Figures to look at; the bounds are wide, since other work runs beside."""
    verdict = play.test(
        "import time\nimport numpy as np\nmeter = Meter()\n"
        "began = time.perf_counter()\n"
        "for _ in range(500): meter.ask()\n"
        "small = (time.perf_counter() - began) / 1000\n"
        "x = np.zeros(2_500_000)\nbegan = time.perf_counter()\ny = give_back(x)\n"
        "large = time.perf_counter() - began\n"
        "print(small, large)\n1.0 * (y.shape == x.shape)"
    )
    small, large = map(float, verdict.outputs[0].text.split())
    print(f"round trip {1e6 * small:.0f} µs; 20 MB there and back {large:.3f} s")
    assert score(verdict) == 1 and small < 0.01 and large < 3
    assert verdict.seconds > 0


@pytest.mark.parametrize(
    "name",
    [n for n, k in vars(builtins).items() if isinstance(k, type) and issubclass(k, Exception)],
)
def test_every_builtin_exception_can_cross(name: str) -> None:
    error = RemoteErrorDescription(name, [f"builtins:{name}"], "full", {}, [], "", 0).error()
    assert "full" in str(error)
    assert isinstance(error, getattr(builtins, name)) or "Group" in name
