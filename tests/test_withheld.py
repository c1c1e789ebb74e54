"""While its check runs, the library's answer to an exercise refuses: every one, however reached."""

from __future__ import annotations

import functools
import importlib
import inspect
import pickle
import pkgutil
import shutil
import sys
import tempfile
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trickster
from trickster import (
    defenses,
    evaluation,
    limiters,
    models,
    ood,
    pools,
    services,
    solvable,
    withheld,
)
from trickster.checks.result import CheckResult, Sheet, check
from trickster.checks.values import array
from trickster.defenses import Trickster
from trickster.limiters import TokenBucket
from trickster.ood import score_msp as alias
from trickster.withheld import Withheld, functions_of, lifted, nobody, refused_by, refusing

X = np.array([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3]])
PARTIAL = functools.partial(ood.score_msp)
BUCKET = TokenBucket(1, 3)  # made before the check
KNN = ("trickster.ood.score_knn",)


class Mine(TokenBucket):
    """A subclass that is called one's own."""


def by_import(posteriors: np.ndarray) -> np.ndarray:
    from trickster.ood import score_msp

    return score_msp(posteriors)


def by_module(posteriors: np.ndarray) -> np.ndarray:
    import trickster.ood as o

    return o.score_msp(posteriors)


def by_thread(posteriors: np.ndarray) -> np.ndarray:
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(alias(posteriors))
        except Withheld as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def own(posteriors: np.ndarray) -> np.ndarray:
    return posteriors.max(axis=1)


def own_after_all(posteriors: np.ndarray) -> np.ndarray:
    try:
        return alias(posteriors)
    except Withheld:
        return own(posteriors)


@check("Exercise, score_msp", 3, withholds=("trickster.ood.score_msp",))
def msp(sheet: Sheet, score: Callable[..., Any]) -> None:
    """Three parts that all need the answer, and one that does not."""
    for name in ("the formula", "again"):
        with sheet.part(name, 1) as part:
            got = array(score(X), "score_msp", (2,))
            part.expect(np.allclose(got, [0.7, 0.4]), f"{got}", "the largest of each row")
    with sheet.part("something else", 1) as part:
        part.expect(True, "there", "there")


@check("Exercise, TokenBucket", 2, withholds=("trickster.limiters.TokenBucket",))
def bucket(sheet: Sheet, make: Callable[..., Any]) -> None:
    with sheet.part("a burst", 2) as part:
        limiter = make(1, 3)
        part.expect([limiter.allow("a", 0.0) for _ in range(4)] == [True] * 3 + [False], "", "")


# --- one check, at a desk -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        ood.score_msp,
        alias,
        PARTIAL,
        by_import,
        by_module,
        by_thread,
        lambda p: next(map(alias, [p])),
    ],
    ids=["itself", "alias", "partial", "import", "module", "thread", "map"],
)
def test_however_it_is_reached_it_refuses(answer: Callable[..., Any]) -> None:
    result = msp(answer)
    assert float(result) == 1
    first, again, other = result.parts
    assert first.advice.startswith(
        "Withheld: trickster.ood.score_msp is the library's, and this exercise asks for your own. "
        "Other exercises may use the library's."
    )
    # Said once; after that, briefly.
    assert again.advice == Withheld.plain and "Withheld:" not in again.advice
    assert other.status == "passed" and not result.note
    assert "Traceback" not in result.as_text()
    assert answer(X).tolist() == [0.7, 0.4], "afterwards, it answers again"


def test_one_s_own_answer_counts() -> None:
    assert msp(own) == msp(own_after_all) == 3


@pytest.mark.parametrize(
    "make",
    [TokenBucket, Mine, lambda rate, burst: BUCKET, lambda *given: Mine(*given), type(BUCKET)],
    ids=["class", "subclass", "instance", "function", "type"],
)
def test_a_class_refuses_with_its_instances_and_subclasses(make: Callable[..., Any]) -> None:
    assert bucket(make) == 0
    assert "trickster.limiters.TokenBucket is the library's" in bucket(make).parts[0].advice
    assert bucket(limiters.GlobalLimit(BUCKET).allow) == 0
    assert TokenBucket(1, 3).allow("a", 0.0) and Mine(1, 3).retry_after("a", 0.0) == 0


def test_a_wrapper_of_an_instance_does_not_help() -> None:
    """The library's own code calls ``allow`` of whatever it was handed."""
    everybody = limiters.GlobalLimit(BUCKET)
    assert bucket(lambda rate, burst: everybody) == 0
    assert everybody.allow("a", 0.0)


def test_a_made_defence_refuses_and_its_alternative_constructor() -> None:
    made = Trickster(lambda p, query: p.max(axis=1), 0.5)
    with refusing(("trickster.defenses.Trickster",)):
        for use in (
            lambda: made(X, None),
            lambda: made.weird(X, None),
            lambda: Trickster(lambda p, query: p.max(axis=1), 0.5),
            lambda: Trickster.from_features(X, X, k=1),
            lambda: made.from_features(X, X, k=1),
        ):
            with pytest.raises(Withheld):
                use()
        assert "Trickster(" in repr(made) and made == made  # an error's text may show it
        assert defenses.misinform(X).shape == X.shape  # what its `lie` is by default
    assert made(X, None).shape == X.shape


def test_other_exercises_may_use_it() -> None:
    assert bucket(lambda *given: alias(X)) == 0  # for what it is, and not because it refuses
    assert "Withheld" not in bucket(lambda *given: alias(X)).as_text()


# --- who may call it --------------------------------------------------------------------------


def test_the_library_s_own_functions_go_on() -> None:
    with refusing((*KNN, "trickster.ood.choose_threshold", "trickster.models.Network")):
        assert Trickster.from_features(X, X, k=1).threshold > 0
        assert models.mlp((1, 2, 2), 3, seed=0).spec["kind"] == "mlp"
        with pytest.raises(Withheld):
            ood.score_knn(X, X, k=1)


def test_what_the_library_is_handed_refuses() -> None:
    """Its code does not name it: a student has handed it over."""
    handed = Trickster(lambda p, query: p.max(axis=1), 0.5, lie=defenses.misinform)
    with refusing(("trickster.defenses.misinform",)), pytest.raises(Withheld):
        handed(X, None)


def as_a_check(source: str) -> dict[str, Any]:
    """Functions whose code lies in a file of the checks."""
    names: dict[str, Any] = {"ood": ood, "withheld": withheld}
    exec(compile(source, str(Path(withheld.CHECKS) / "lab9.py"), "exec"), names)
    return names


def test_a_check_says_when_it_compares() -> None:
    names = as_a_check(
        "def wanted(x):\n    with withheld.lifted():\n        return ood.score_msp(x)\n"
        "def mistaken(x):\n    return ood.score_msp(x)\n"
    )
    with refusing(("trickster.ood.score_msp",)):
        assert names["wanted"](X).tolist() == [0.7, 0.4]
        for refused in (names["mistaken"], alias):
            with pytest.raises(Withheld):
                refused(X)
    with pytest.raises(RuntimeError, match="Only a check"):
        lifted()


def test_somebody_else_may_refuse_or_nobody() -> None:
    asked: list[tuple[str, ...]] = []

    def elsewhere(names: tuple[str, ...]) -> Any:
        asked.append(names)
        return nobody(names)

    with refused_by(elsewhere):
        assert msp(alias) == 3 and asked == [("trickster.ood.score_msp",)]
    assert msp(alias) == 1


# --- what stays as it was ---------------------------------------------------------------------


def test_a_function_stays_itself() -> None:
    before = (ood.score_knn.__code__, inspect.signature(ood.score_knn), ood.score_knn.__doc__)
    with refusing(KNN):
        assert pickle.loads(pickle.dumps(ood.score_knn)) is ood.score_knn
        assert ood.score_knn.__doc__ == before[2] and ood.score_knn.__name__ == "score_knn"
        assert inspect.getsource(ood.score_knn).startswith("def score_knn(")
    assert (ood.score_knn.__code__, inspect.signature(ood.score_knn)) == before[:2]


def test_it_refuses_until_the_last_check_that_withholds_it_has_ended() -> None:
    code = ood.score_knn.__code__
    with refusing(KNN):
        with refusing([*KNN, *KNN]), pytest.raises(Withheld):
            ood.score_knn(X, X, k=1)
        with pytest.raises(Withheld):
            ood.score_knn(X, X, k=1)
    assert ood.score_knn.__code__ is code and ood.score_knn(X, X, k=1).shape == (2,)


def test_a_check_that_breaks_leaves_nothing_withheld() -> None:
    @check("Broken", 1, withholds=KNN)
    def broken(sheet: Sheet) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert ood.score_knn(X, X, k=1).shape == (2,) and not withheld._withheld


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("trickster.ood.score_lof", AttributeError),
        ("tricksters.ood.score_knn", ImportError),
        ("trickster.limiters.MICRO", TypeError),
        ("trickster.demos.demo_b_victim", TypeError),  # a cache would still know the answer
    ],
)
def test_a_name_that_is_none_is_a_mistake(name: str, error: type[Exception]) -> None:
    with pytest.raises(error), refusing((*KNN, name)):
        pass
    assert not withheld._withheld


# --- what is out of the name's reach ------------------------------------------------------------


def loaded_again(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location("odd", ood.__file__)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "odd", module)
    spec.loader.exec_module(module)
    return module.score_msp


def made_of_its_code(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    return types.FunctionType(ood.score_msp.__code__, vars(ood))


def behind_another(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(ood, "score_msp", own)
    return alias


def of_a_module_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(trickster, "ood", ood)
    monkeypatch.delitem(sys.modules, "trickster.ood")
    return alias


def of_a_copied_file(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ood.__file__, f"{folder}/my_scores.py")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "my_scores", raising=False)
        return importlib.import_module("my_scores").score_msp


def of_its_text(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    names: dict[str, Any] = {"np": np}
    exec(inspect.getsource(ood.score_msp), names)
    return names["score_msp"]


@pytest.mark.parametrize(
    "reach",
    [
        *(made_of_its_code, behind_another, of_a_module_that_is_gone, loaded_again),
        *(of_a_copied_file, of_its_text),
    ],
)
def test_every_copy_in_the_process_refuses(
    reach: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = reach(monkeypatch)
    with refusing(("trickster.ood.score_msp",), copies=True), pytest.raises(Withheld):
        answer(X)
    assert answer(X).tolist() == [0.7, 0.4]


CODE = ood.score_msp.__code__


@pytest.mark.parametrize(
    "reach",
    [
        *(loaded_again, of_a_copied_file, of_its_text),
        lambda monkeypatch: types.FunctionType(CODE, vars(ood)),
        lambda monkeypatch: importlib.reload(ood).score_msp,
        lambda monkeypatch: eval(CODE, {"posteriors": X}),
    ],
    ids=["file", "copied file", "text", "code", "reload", "run"],
)
def test_a_copy_that_is_made_during_the_check_refuses(
    reach: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing(("trickster.ood.score_msp",), copies=True), pytest.raises(Withheld):
        reach(monkeypatch)(X)
    assert not withheld._sought


def test_a_copied_class_refuses_with_its_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {"__name__": "mine"}
    exec(Path(limiters.__file__).read_text(encoding="utf-8"), names)
    mine = names["TokenBucket"](1, 3)
    with refusing(("trickster.limiters.TokenBucket",), copies=True):
        for use in (lambda: mine.allow("a", 0.0), lambda: names["TokenBucket"](1, 3)):
            with pytest.raises(Withheld):
                use()
    assert mine.allow("a", 0.0)


def test_what_is_typed_into_a_cell_or_differs_is_no_copy() -> None:
    """The report names what was pasted; a right answer may have the same words."""
    text = inspect.getsource(ood.score_msp)
    typed = compile(text, "/tmp/ipykernel_7/123.py", "exec")
    other = compile(text.replace("np.max(posteriors", "np.max(1 * posteriors"), "<string>", "exec")
    before: dict[str, Any] = {"np": np}
    exec(typed, before)
    with refusing(("trickster.ood.score_msp",), copies=True):
        assert before["score_msp"](X).tolist() == [0.7, 0.4]
        for code in (typed, other):
            names: dict[str, Any] = {"np": np}
            exec(code, names)
            assert names["score_msp"](X).tolist() == [0.7, 0.4]
        with refusing(KNN, copies=True):  # whose guards are made of the library's code
            assert before["score_msp"](X).tolist() == [0.7, 0.4]


def test_no_solution_is_a_copy() -> None:
    """However it is loaded: its documentation differs, if nothing else."""
    texts = {text for _, name in every_name() for text in withheld._texts_of(name)[1]}
    for path in Path(withheld.HERE).parent.glob("solutions/lab*/lab*.py"):
        whole = compile(path.read_text(encoding="utf-8"), path.name, "exec")
        for code in codes_in(whole):
            assert withheld._text(code) not in texts, (path.name, code.co_qualname)


# --- all checks of the course -------------------------------------------------------------------


def all_checks() -> dict[str, Callable[..., CheckResult]]:
    """Every check of every lab, by its name."""
    found = {}
    for path in sorted(Path(withheld.CHECKS).glob("lab*.py")):
        module = importlib.import_module(f"trickster.checks.{path.stem}")
        for name, value in vars(module).items():
            if hasattr(value, "withholds"):
                found[f"{path.stem}.{name}"] = value
    return found


def every_name() -> list[tuple[str, str]]:
    return [(who, name) for who, one in all_checks().items() for name in one.withholds]


def test_there_are_checks_that_withhold() -> None:
    names = {name for _, name in every_name()}
    assert len(all_checks()) >= 20 and len(names) >= 10
    assert {"trickster.ood.score_knn", "trickster.limiters.TokenBucket"} <= names


@pytest.mark.parametrize(("who", "name"), every_name())
def test_every_name_refuses_during_its_check_and_works_after(who: str, name: str) -> None:
    functions = functions_of(name)
    codes = [function.__code__ for function in functions]

    @check("Stands in", 1, withholds=all_checks()[who].withholds)
    def stands_in(sheet: Sheet) -> None:
        for function in functions:
            with pytest.raises(Withheld, match=name.rpartition(".")[0]):
                function()
        with sheet.part("all", 1) as part:
            part.expect(True, "", "")

    assert stands_in() == 1
    assert [function.__code__ for function in functions] == codes


# Library functions that call a withheld one and are no answer to its exercise, with the reason.
NO_ANSWER = {
    ("lab1.train_victim", "trickster.demos.DemoB.run"): "calls scikit-learn's fit",
    ("lab1.train_victim", "trickster.ood.OutlierExposure.fit"): "calls scikit-learn's fit",
    ("lab1.train_victim", "trickster.solvable.fit_softmax"): "calls scikit-learn's fit",
    ("lab6.tell", "trickster.services.TokenAPI.__init__"): "makes one that refuses",
}


def single_kinds(honest: np.ndarray, seed: int) -> np.ndarray:
    rng, other = np.random.default_rng(seed), np.roll(honest, 1, axis=0)
    return pools._OUTLIERS["overlaid"](honest, other, rng)


@pytest.mark.parametrize(
    ("who", "answers"),
    [
        ("lab1.build_victim", [lambda seed=0: models.vgg((1, 28, 28), seed=seed), None]),
        ("lab2.fidelity", [lambda c, v, x: evaluation.accuracy(c(x), v(x).argmax(axis=1))]),
        ("lab2.fidelity", [lambda c, v, x: evaluation.utility(c, x, v(x).argmax(axis=1))]),
        ("lab6.tell", [lambda p, b: (services.token_only(p, b)[0], services.no_bias(p, b)[1])]),
        ("lab6.tell", [lambda p, b: (services.TopTokens()(p, b)[0], services.most_likely(p, 5))]),
        ("lab6.fit_rounded", [lambda x, p: solvable.fit_softmax(x, p.argmax(axis=1))]),
        ("lab5.detector", [single_kinds, lambda rows: rows[:, 0]]),
    ],
    ids=["vgg", "accuracy", "utility", "two services", "the undefended one", "fit", "kinds"],
)
def test_what_answers_in_another_way_refuses_as_well(who: str, answers: list[Any]) -> None:
    result = all_checks()[who](*answers)
    assert "Withheld: trickster." in result.as_text()
    assert float(result) == 0


def library() -> Iterator[tuple[str, types.CodeType]]:
    """The code of every function of the library that a student may call, checks left out."""
    for info in pkgutil.iter_modules(trickster.__path__, "trickster."):
        if info.name in ("trickster.checks", "trickster.withheld"):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if getattr(value, "__module__", "") == info.name and callable(value):
                try:
                    found = functions_of(f"{info.name}.{name}")
                except TypeError:
                    continue
                for function in found:
                    yield f"{info.name}.{function.__qualname__}", function.__code__


def codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from codes_in(const)


@pytest.mark.parametrize("who", [who for who, one in all_checks().items() if one.withholds])
def test_no_other_function_of_the_library_passes_the_answer_on(who: str) -> None:
    """Who calls a withheld function by its name gets its answer, and must be withheld as well."""
    names = all_checks()[who].withholds
    known = {name.rpartition(".")[2] for name in names}
    passing = {
        place
        for place, code in library()
        for inner in codes_in(code)
        if known & set(inner.co_names)
        and not any(place == name or place.startswith(f"{name}.") for name in names)
    }
    assert passing == {place for check_of, place in NO_ANSWER if check_of == who}
