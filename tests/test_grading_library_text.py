"""The library's text in a student's code is found however it is dressed, and only there."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import nbformat
import pytest
from reference import ROOT

from autograder.authoring.source import build_notebook
from autograder.course import list_labs, read_course
from autograder.grading.code_remarks import remarks_on
from autograder.grading.library_text import code_in, repeated, ways_around
from autograder.sample_class.runner import load_specimens
from autograder.sample_class.specimen import solved
from trickster import limiters, ood, withheld

KNN, BUCKET = "trickster.ood.score_knn", "trickster.limiters.TokenBucket"
SOURCE = inspect.getsource(ood.score_knn)
BODY = SOURCE.split('"""')[2]


def everything_withheld() -> set[str]:
    names: set[str] = set()
    for path in Path(withheld.CHECKS).glob("lab*.py"):
        module = importlib.import_module(f"trickster.checks.{path.stem}")
        for value in vars(module).values():
            names |= set(getattr(value, "withholds", ()))
    return names


def found_in(source: str, *names: str) -> list[str]:
    trees = [ast.parse(source)]
    trees += code_in(trees[0])
    return repeated(trees, names or (KNN,))


@pytest.mark.parametrize(
    "source",
    [
        SOURCE,
        SOURCE.replace("score_knn", "mine").replace("similar", "a").replace("bank", "b"),
        f"def mine(features, bank, k=10, batch_size=1024):{BODY}",
        f"def mine(features, bank, k=10, batch_size=1024):\n    'My own idea.'{BODY}",
        SOURCE.replace(": np.ndarray", "").replace("-> np.ndarray", ""),
        SOURCE.replace("    scores = ", "    pass\n    'now'\n    scores: list = "),
        SOURCE.replace("it is {k}.", "no"),
        "\n".join(
            line for line in SOURCE.split("\n") if "raise" not in line and "if not" not in line
        ),
        f"class Mine:\n    def inner(self):\n        {SOURCE.replace(chr(10), chr(10) + ' ' * 8)}",
        f"if True:\n    x = 1\n{BODY.split('rows; it is {k}.')[1].split(chr(10), 1)[1]}".replace(
            "return", "y ="
        ),
        f"exec({SOURCE!r})",
        f"TEXT = '''\n{SOURCE}'''\nexec(TEXT)",
    ],
    ids=[
        *("itself", "renamed", "undocumented", "documented", "not annotated", "padded"),
        *("reworded", "without its refusal", "in a class", "in another body", "a string", "text"),
    ],
)
def test_the_text_is_found_however_it_is_dressed(source: str) -> None:
    if "y =" in source:  # another end is another text
        assert found_in(source) == []
    else:
        assert found_in(source) == [KNN]


def test_the_methods_of_a_class_are_found_one_by_one() -> None:
    source = inspect.getsource(limiters.TokenBucket).replace("_keys", "mine").replace("parts", "p")
    found = found_in(source, BUCKET, KNN)
    assert len(found) > 2 and f"{BUCKET}.retry_after" in found
    assert all(place.startswith(f"{BUCKET}.") for place in found)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import inspect\nexec(inspect.getsource(f))", ["exec", "inspect"]),
        ("from importlib.util import spec_from_file_location", ["importlib"]),
        ("import sys\nsys.modules.pop('trickster.ood')", ["sys.modules"]),
        ("from sys import modules", ["sys.modules"]),
        ("f.__code__", ["__code__"]),
        ("from trickster import withheld", ["withheld"]),
        ("import trickster.withheld as t", ["withheld"]),
        ("import concurrent.futures as c\nc.ProcessPoolExecutor()", ["ProcessPoolExecutor"]),
        ("import os\nos.system('python')", ["system"]),
        ("getattr(f, '__code__')", ["__code__"]),
        ("from joblib import Parallel, delayed", ["joblib"]),
        ("import gc\ngc.get_referents(f)", ["get_referents"]),
        ("import os\nif os.fork() == 0:\n    pass", ["fork"]),
        ("import os\nos.execvp('python', [])", ["execvp"]),
        ("import gc\nfor one in gc.get_objects():\n    pass", ["get_objects"]),
        ("[one for one in found if one.__name__ == 'Agent']", ["Agent"]),
        ("object.__subclasses__()", ["__subclasses__"]),
        ("error.__traceback__.tb_frame.f_globals", ["f_globals", "tb_frame"]),
        ("shutil.copy('/course/trickster/ood.py', 'mine.py')", ["/course", "ood.py"]),
        ("next(Path('/').rglob('evaluation.py'))", ["Path('/')", "evaluation.py", "rglob"]),
        ("from os import listdir\nlistdir('//.')", ["listdir('/')"]),
        ("open(list('/c*/tr*/ev[a]*'))", ["/c*/tr*/ev[a]*"]),
        ("get_ipython().ex(text)", ["get_ipython"]),
        ("import timeit\ntimeit.timeit(setup=text)", ["timeit"]),
        ("sys.set_int_max_str_digits(0)", ["set_int_max_str_digits"]),
        ("open(sys.path[0] + '/trickster/x')", ["sys.path"]),
        ("os.environ['PYTHONPATH']", ["PYTHONPATH"]),
        ("getattr(trickster, 'with' + 'held')", ["withheld"]),
        ("getattr(trickster, ''.join(['with', 'held']))", ["withheld"]),
        ("getattr(trickster, 'dlehhtiw'[::-1])", ["withheld"]),
        ("getattr(trickster, f'with{\"held\"}')", ["withheld"]),
        ("getattr(__builtins__, 'ex' + 'ec')", ["__builtins__"]),
        # What honest code does.
        ("import sys\nsys.path.append('.')\nsys.path.insert(0, '..')", []),
        ("import gc, torch\ngc.collect()\ntorch.cuda.empty_cache()", []),
        ("import shutil\nshutil.copy('clone.pt', 'best.pt')\nshutil.rmtree('runs')", []),
        ("from pathlib import Path\nPath('runs').mkdir()\nPath('a.txt').write_text('x')", []),
        ("import os\nos.makedirs('out')\nprint(os.listdir('.'), os.cpu_count())", []),
        ("DataLoader(TensorDataset(x, y), batch_size=64, num_workers=2)", []),
        ("from functools import partial, lru_cache\nquery = partial(api.query)", []),
        ("from concurrent.futures import ThreadPoolExecutor", []),
        ("import logging, time, warnings\nwarnings.filterwarnings('ignore')", []),
        ("phase = {'train': 1, 'eval': 2}\nprint('exec' + 'ution time')", []),
        ("with open('results.json', 'w') as file:\n    json.dump(found, file)", []),
        ("model.__class__.__name__, x.__dict__, super().__init__()", []),
        ("text = 'first' + ' and ' + 'second'\nprint(f'{text}: {x:.3f}')", []),
        ("torch.save(model.state_dict(), 'model.pt')\ntorch.load('model.pt')", []),
        ("getattr(model, 'eval')()\nimport helper\n'see helper.py'", []),
        ("model.eval()\nfor m in model.modules():\n    m.train()", []),
        ("import re, torch\nre.compile('x')\ntorch.compile(f)", []),
        ("import sys\nprint(sys.version)", []),
        ("import time\nbegan = time.perf_counter()\nos.path.join('/', 'a').split('/')", []),
        ("open('/content/drive/my*')\nprint('/a?')\ncode = 3\nrun = profile_of(code)", []),
    ],
)
def test_ways_around_are_named(source: str, words: list[str]) -> None:
    assert ways_around([ast.parse(source)]) == words


@pytest.mark.slow
def test_nothing_is_said_of_solutions_nor_of_honest_submissions() -> None:
    """Two who write the same four lines have not copied."""
    names, course = everything_withheld(), read_course(ROOT)
    assert KNN in names and BUCKET in names
    notebooks = {
        lab.name: solved(build_notebook(lab, course), nbformat.read(lab.release, as_version=4))
        for lab in list_labs(ROOT)
    }
    for one in load_specimens(ROOT, whole_zoo=True):
        if one.kind == "learner":
            notebooks[f"{one.student}, {one.lab}"] = one.notebook
    assert len(notebooks) > 50
    assert {who: remarks_on(one, names) for who, one in notebooks.items()} == dict.fromkeys(
        notebooks, ()
    )


@pytest.mark.parametrize(
    "source",
    [
        "!cp /course/trickster/ood.py mine.py",
        "!sed s/score_msp/mine/ $(find / -name 'ood*') > mine.py",
        "found = !python -c 'import trickster.ood as o; print(o)'",
        "%run /course/trickster/ood",
        "%%bash\nls",
        "%%script python\nprint(1)",
    ],
)
def test_commands_that_may_copy_the_library_are_named(source: str) -> None:
    (remark,) = remarks_on(of_cell(source), [KNN])
    assert remark.startswith(f"Its code uses {source.split(chr(10))[0][:60]}, which may lead")


@pytest.mark.parametrize(
    "source",
    [
        "!pip install trickster-labs",
        "!{sys.executable} -m pip install pandas",
        "!git clone https://example.org/trickster.git",
        "!ls -l\n!nvidia-smi\n!python --version",
        "%matplotlib inline\n%timeit sum([1])\n%run helper.py",
        "%%writefile helper.py\nx = 1",
        "%%time\nx = 1",
    ],
)
def test_ordinary_commands_are_not_named(source: str) -> None:
    assert remarks_on(of_cell(source), [KNN]) == ()


def of_cell(source: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])


def test_nothing_is_said_where_nothing_was_withheld() -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(f"import inspect\n{SOURCE}")]
    )
    assert remarks_on(notebook) == () and len(remarks_on(notebook, [KNN])) == 2


PROMPTS = "".join(
    f"{'...' if line[:1].isspace() else '>>>'} {line}\n" for line in SOURCE.split("\n")
)


@pytest.mark.parametrize(
    "source",
    [
        f"%%time\n{SOURCE}",
        f"%%capture\n{SOURCE}",
        f"_ = (7\n%2)\n{SOURCE}",
        f"%matplotlib inline\n_ = (7\n%2)\n{SOURCE}",
        PROMPTS,
        f"%timeit -n1 -r1 exec({SOURCE!r})",
    ],
    ids=["timed", "captured", "odd line", "odd line, magic", "prompts", "magic"],
)
def test_a_cell_that_is_no_plain_python_is_looked_through_as_well(source: str) -> None:
    first, *_ = remarks_on(of_cell(source), [KNN])
    assert first == f"Its code repeats {KNN} word for word, which answers an exercise here."


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (">>> import inspect\n>>> exec(text)\n", "exec, inspect"),
        ("_ = (7\n%2)\nimport inspect", "inspect"),
        ("%matplotlib inline\nexec('''\n_ = (7\n%2)''')", "exec"),
        ("%timeit -n1 -r 1 exec(text)", "exec"),
        ("%prun -s time -q exec(text)", "exec"),
        ("%%capture\nexec(text)", "exec"),
        ("%matplotlib inline\nget_ipython().run_line_magic('run', name)", "get_ipython"),
        ("x = 3\n!ls\nopen('/c*/t*/ood.p?')", "/c*/t*/ood.p?"),
    ],
)
def test_ways_around_are_named_in_a_cell_that_is_no_plain_python(source: str, words: str) -> None:
    (remark,) = remarks_on(of_cell(source), [KNN])
    assert remark.startswith(f"Its code uses {words}, which may lead")


def test_a_long_cell_that_is_no_plain_python_is_named() -> None:
    (remark,) = remarks_on(of_cell("%colors\n_ = (7\n%2)\nexec(text)" + "\n" * 2_000), [KNN])
    assert "too long to be looked through" in remark
