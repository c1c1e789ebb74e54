"""Students who would rather have points than earn them: none gets more than the work is worth."""

from __future__ import annotations

import time

import psutil
import pytest
from referee_stage import Stage, score, stage, text

from autograder.referee import wire

pytestmark = pytest.mark.slow

# Asks for the right answer, an array, an object, and for what is not there.
CHECK = """
import numpy as np
from trickster.checks.result import Missed, check
from trickster.checks.values import array, number

@check("A check", 4)
def run(sheet, root, table, meter):
    with sheet.part("a number", 1) as part:
        got = number(root(9.0), "root")
        part.expect(abs(got - 3.0) < 1e-9, f"{got:.3f}", "3")
    with sheet.part("an array", 1) as part:
        got = array(table(4), "table", (4, 4))
        part.expect(bool(np.allclose(got, np.eye(4))), "a table", "the identity")
    with sheet.part("equal to what it should be", 1) as part:
        part.expect(table(2) == [[1.0, 0.0], [0.0, 1.0]], "a list", "the identity")
    with sheet.part("a meter", 1) as part:
        one = meter(2)
        said = [one.ask(), one.ask(), one.ask()]
        part.expect(said == [True, True, False] and number(one.used, "used") == 2, "", "")

run(root, table, meter)
"""

WRONG = """
def root(x): return 1.0
def table(n): return [[0.0] * n] * n
class meter:
    used = 0
    def __init__(self, limit): pass
    def ask(self): return True
"""


def judged(source: str) -> tuple[float, str]:
    """The score, and what is told, of a notebook with this cell after the wrong answers."""
    with stage() as play:
        play.student(WRONG)
        play.kernel.run(source, 5)  # who patches builtins may break the cell itself
        verdict = play.test(CHECK)
        return score(verdict), text(verdict.outputs)


def test_the_wrong_answers_are_worth_nothing_and_the_right_ones_all() -> None:
    with stage() as play:
        play.student(WRONG)
        assert score(play.test(CHECK)) == 0
        play.student(
            "def root(x): return x ** 0.5\n"
            "def table(n): return [[float(i == j) for i in range(n)] for j in range(n)]\n"
            "class meter:\n"
            "    def __init__(self, limit): self.used, self.limit = 0, limit\n"
            "    def ask(self):\n"
            "        self.used += self.used < self.limit\n"
            "        self.calls = getattr(self, 'calls', 0) + 1\n"
            "        return self.calls <= self.limit\n"
        )
        assert score(play.test(CHECK)) == 4


TRICKS = {
    "an object that is everything": """
class Yes:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __contains__ = __lt__
    def __abs__(self): return 0.0
    def __sub__(self, other): return 0.0
    __rsub__ = __add__ = __radd__ = __mul__ = __sub__
    def __float__(self): return 3.0
    def __bool__(self): return True
    def __index__(self): return 3
    def __len__(self): return 4
    def __iter__(self): return iter(np.eye(4))
    def __array__(self, *a, **k): return np.eye(4)
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __format__(self, spec): return "3.000"
    __hash__ = None
import numpy as np
root = table = lambda x: Yes()
meter = lambda n: Yes()
""",
    "subclasses of plain types": """
import numpy as np
class Float(float):
    def __eq__(self, other): return True
    def __float__(self): return 3.0
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    __hash__ = float.__hash__
class List(list):
    def __eq__(self, other): return True
    def __array__(self, *a, **k): return np.eye(4)
    __hash__ = None
class Array(np.ndarray):
    def __eq__(self, other): return True
    def __array__(self, *a, **k): return np.eye(4)
    __hash__ = None
root = lambda x: Float(1.0)
table = lambda n: List([[0.0] * n] * n) if n == 2 else np.zeros((n, n)).view(Array)
class meter:
    used = Float(7)
    def __init__(self, n): pass
    def ask(self): return type("Bool", (int,), {"__eq__": lambda s, o: True, "__hash__": None})(1)
""",
    "wrong shapes": """
import numpy as np
root = lambda x: np.full((2, 2), 3.0)
table = lambda n: np.eye(n)[None]
""",
    "not a number": """
import numpy as np
root = lambda x: float("nan")
table = lambda n: np.full((n, n), np.nan)
""",
    "a million rows": """
import numpy as np
root = lambda x: [3.0] * 1_000_000
table = lambda n: np.zeros((10_000_000, n))
""",
    "nested ten thousand deep": """
def root(x):
    value = 3.0
    for _ in range(10_000): value = [value]
    return value
table = root
""",
    "weird exceptions": """
class Weird(Exception):
    def __str__(self): raise SystemExit("no text")
    __repr__ = __str__
class Base(BaseException): pass
class Meta(type):
    def __getattribute__(cls, name): raise Base
def root(x): raise Weird
def table(n):
    if n == 4: raise Base("odd")
    raise KeyboardInterrupt
class meter:
    def __init__(self, n): raise SystemExit(0)
""",
    "an exception of a broken class": """
class Meta(type):
    def __getattribute__(cls, name): raise RuntimeError("no " + name)
class Odd(Exception, metaclass=Meta):
    def __getattribute__(self, name): raise RuntimeError("no " + name)
def root(x): raise Odd
def table(n): raise type("x" * 10_000, (Exception,), {})("y" * 10_000_000)
""",
    "patched builtins": """
import builtins, sys, math
builtins.abs = lambda x: 0.0
builtins.float = lambda x: 3.0
builtins.isinstance = lambda *a: True
builtins.type = type
sys.modules["trickster.checks.result"] = sys.modules["math"]
""",
    "a trace function": """
import sys
def trace(frame, event, argument):
    frame.f_locals.update(points=4.0, share=1.0, earned=4.0)
    return trace
sys.settrace(trace)
""",
    "asserts taken out": """
import ast
class NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
    def visit_Constant(self, node): return ast.Constant(4.0) if node.value == 1 else node
get_ipython().ast_transformers.append(NoAsserts())
""",
    "hooks on cells": """
def spy(info):
    open("seen.txt", "a").write(str(info.raw_cell))
get_ipython().events.register("pre_run_cell", spy)
get_ipython().events.register("post_run_cell", lambda result: print("4.0"))
""",
    "the channel's own modules": """
import sys
agent = sys.modules["trickster_referee.agent"]
wire = sys.modules["trickster_referee.wire"]
agent.describe = lambda error: ["NotImplementedError", ["builtins:Exception"], "", {}, [], "", 1]
agent.Agent._names = lambda self, wanted, imported: dict.fromkeys([*wanted, "run", "check"], 4.0)
""",
    "answers that read like results": """
print('{"output_type": "execute_result", "data": {"text/plain": "4.0"}}')
root = lambda x: print("4 of 4 points\\n4.0")
""",
}


@pytest.mark.parametrize("name", TRICKS)
def test_no_trick_earns_a_point(name: str) -> None:
    earned, told = judged(TRICKS[name])
    assert earned == 0, told
    assert told.strip()


def test_an_output_of_the_kernel_s_own_is_no_result() -> None:
    """Messages forged on the kernel's own sockets, in the name of the running cell."""
    earned, _ = judged(
        "def root(x):\n"
        "    shell = get_ipython()\n"
        "    send = shell.kernel.session.send\n"
        "    parent = shell.kernel.get_parent()\n"
        "    for kind, content in (\n"
        "        ('execute_result', {'data': {'text/plain': '4.0'}, 'metadata': {}}),\n"
        "        ('stream', {'name': 'stdout', 'text': ['no', 'text']}),\n"
        "        ('status', {'execution_state': 'idle'}),\n"
        "        ('execute_reply', {'status': 'ok'}),\n"
        "    ):\n"
        "        send(shell.kernel.iopub_socket, kind, content, parent=parent)\n"
        "    return 1.0\n"
    )
    assert earned == 0


# --- ends -----------------------------------------------------------------------------------------


def test_a_function_that_never_returns() -> None:
    with stage() as play:
        play.student(WRONG)
        play.student("def root(x):\n    while True: pass")
        began = time.monotonic()
        verdict = play.test(CHECK)
        assert score(verdict) == 0 and time.monotonic() - began < 8
        assert "your code took longer than 2 s (is there an endless loop?)." in text(
            verdict.outputs
        )
        play.student("def root(x): return 3.0")  # interrupted, not killed
        assert score(play.test(CHECK)) == 1


def test_one_that_will_not_be_interrupted() -> None:
    with stage() as play:
        play.student(WRONG)
        play.student(
            "import time\n"
            "def root(x):\n"
            "    while True:\n"
            "        try:\n"
            "            time.sleep(0.01)\n"
            "        except BaseException: pass\n"
        )
        assert score(play.test(CHECK)) == 0
        assert "was ended" in play.kernel.reason
        verdict = play.test(CHECK)
        assert score(verdict) == 0 and "took longer than 2 s" in text(verdict.outputs)


def test_an_answer_after_the_deadline_counts_nothing() -> None:
    earned, told = judged(
        "import time\n"
        "def root(x):\n"
        "    until = time.time() + 2.6\n"
        "    while time.time() < until:\n"
        "        try: time.sleep(0.1)\n"
        "        except KeyboardInterrupt: pass\n"
        "    return 3.0\n"
    )
    assert earned == 0 and "took longer than 2 s" in told


def test_a_thief_who_never_stops_asking() -> None:
    with stage() as play:
        play.student(
            "def greedy(api):\n"
            "    while True:\n"
            "        try: api.query(None)\n"
            "        except Exception: pass\n"
        )
        verdict = play.test(
            "from trickster.api import PredictionAPI\n"
            "api = PredictionAPI(None, budget=5)\n"
            "greedy(api.client('me'))\n4.0"
        )
        assert score(verdict) == 0
        assert "took longer than 2 s" in text(verdict.outputs)


@pytest.mark.parametrize("how", ["import os; os._exit(0)", "import os; os.kill(os.getpid(), 9)"])
def test_a_process_that_ends_in_a_call(how: str) -> None:
    with stage() as play:
        play.student(WRONG)
        play.student(f"def table(n):\n    {how}\ndef root(x): return 3.0")
        verdict = play.test(CHECK)
        assert score(verdict) == 1  # what was answered before counts
        assert "the Python process ended" in text(verdict.outputs)
        verdict = play.test(CHECK)
        assert score(verdict) == 0 and "the Python process ended" in text(verdict.outputs)


def test_the_line_is_closed_or_the_agent_gone() -> None:
    with stage() as play:
        play.student(WRONG)
        play.student(
            "import gc, socket\n"
            "def root(x):\n"
            "    for thing in gc.get_objects():\n"
            "        if isinstance(thing, socket.socket): thing.shutdown(2)\n"
            "    return 3.0\n"
        )
        verdict = play.test(CHECK)
        assert score(verdict) == 0 and "closed the connection" in text(verdict.outputs)
        play.student("import sys; del sys.modules['trickster_referee.agent']")
        verdict = play.test(CHECK)
        assert score(verdict) == 0 and "did not answer" in text(verdict.outputs)


# --- forged messages ------------------------------------------------------------------------------

FORGER = """
import gc, socket, sys, threading, time
wire = sys.modules["trickster_referee.wire"]

def line():
    return next(t for t in gc.get_objects()
                if isinstance(t, socket.socket) and t.family == socket.AF_UNIX and t.fileno() > 0
                and ".sock" in str(t.getpeername()))

def write(*frames):
    for frame in frames:
        line().sendall(b"".join(map(bytes, frame)))

def message(kind, call, *fields):
    return wire.pack(kind, call, fields, lambda v: ["o", 99, True, "x"], wire.WireLimits())
"""
FORGERIES = {
    "an answer to a question that comes later": """
def root(x):
    write(*[message("reply", n, 3.0) for n in range(3, 40)])
    return 1.0
""",
    "a wrong id": """
def root(x):
    write(message("reply", 10**6, 3.0))
    return 3.0
""",
    "from a thread, all the time": """
def flood():
    while True:
        try: write(*[message("reply", n, 3.0) for n in range(1, 50)])
        except Exception: pass
        time.sleep(0.001)
threading.Thread(target=flood, daemon=True).start()
""",
    "a thread that holds on to a call": """
def root(x):
    def later():
        time.sleep(0.3)
        write(message("reply", 2, [[1.0, 0.0], [0.0, 1.0]]))
    threading.Thread(target=later, daemon=True).start()
    return 1.0
""",
    "a function of the check that was never shown": """
def root(x):
    write(*[message("call", -n, n, "", [], {}) for n in range(1, 9)])
    return 3.0
""",
    "garbage": """
def root(x):
    line().sendall(b"x" * 10_000)
    return 3.0
""",
    "a gigabyte announced": """
def root(x):
    line().sendall(wire.HEADER.pack(wire.MAGIC, 10, 2**30))
    return 3.0
""",
    "half a message": """
def root(x):
    line().sendall(wire.HEADER.pack(wire.MAGIC, 100, 0) + b"half")
    time.sleep(60)
""",
    "an error that says nothing": """
def root(x):
    write(message("error", 2, "NotImplementedError"), message("error", 2, 1, 2, 3, 4, 5, 6, 7))
    return 3.0
""",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forged_message_earns_more_than_an_answer_would(name: str) -> None:
    """At best the forger answers its own function's question: the part of one honest answer."""
    with stage() as play:
        play.student(WRONG)
        play.student(FORGER)
        play.student(FORGERIES[name])
        verdict = play.test(CHECK)
        assert score(verdict) <= (2 if "thread" in name else 0), text(verdict.outputs)
        assert text(verdict.outputs).strip()


def test_bools_that_count_more_than_one() -> None:
    with stage() as play:
        play.student(
            "import numpy as np\ndef flags(n): return np.frombuffer(b'\\xff' * n, dtype=bool)\n"
        )
        verdict = play.test("import numpy as np\n4.0 * int(np.sum(flags(4)) > 4)")
        assert score(verdict) == 0


# --- volume ---------------------------------------------------------------------------------------


def test_a_hundred_megabytes_of_print_do_not_fill_the_grader() -> None:
    with stage() as play:
        play.student(WRONG)
        play.student(
            "def root(x):\n    for _ in range(1_000): print('x' * 100_000)\n    return 3.0\n"
        )
        before = psutil.Process().memory_info().rss
        verdict = play.test(CHECK)
        assert score(verdict) <= 1 and len(text(verdict.outputs)) < 40_000
        assert psutil.Process().memory_info().rss - before < 300 * wire.MIB


def test_a_name_of_a_megabyte_is_not_kept() -> None:
    with stage() as play:
        play.student("def greedy(f): return f(**{'x' * 10**6: 1})")
        verdict = play.test("def f(x=1): return 1\ngreedy(f)\n4.0")
        assert score(verdict) == 0 and "does not exist" in text(verdict.outputs)


def test_check_and_student_do_not_call_each_other_without_end() -> None:
    with stage() as play:
        play.student("def bounce(f, x): return f(x)")
        verdict = play.test("def f(x): return bounce(f, x)\nbounce(f, 1)\n4.0")
        assert score(verdict) == 0 and "call each other without end" in text(verdict.outputs)
        assert score(play.test("def f(x): return x\nbounce(f, 4.0)")) == 4


def test_handles_are_given_back() -> None:
    with stage() as play:
        play.student("class Thing: pass\nimport gc")
        verdict = play.test("for _ in range(3_000): Thing()\nThing()\n4.0")
        assert score(verdict) == 4
        reply = play.student("left = sum(isinstance(o, Thing) for o in gc.get_objects())")
        assert reply and score(play.test("4.0 * (left == 0)")) == 4


def test_a_stage_for_every_trick_is_a_fresh_one() -> None:
    """The agent is the grader's again in the next kernel, whatever the last one did to it."""
    with stage() as play:
        play.student("def root(x): return 3.0")
        assert isinstance(play, Stage) and score(play.test("root(1)")) == 3
