# /// zoo
# about = "A property and a method look for the check's variables on the stack and in memory"
# kind = "hostile"
# [expect]
# expected_calibration_error_test = 0
# api_test = 0
# total = 0
# stopped = ""
# never = ["ESCAPED", "_wrong_formulas"]
# ///

# %% expected_calibration_error
import gc
import inspect
import sys

KNOWN = ("sheet", "part", "want", "gaps", "posteriors_of_the_check")


def peek():
    found = [
        (name, frame.frame.f_locals[name])
        for frame in inspect.stack()
        for name in KNOWN
        if name in frame.frame.f_locals
    ]
    found += [thing for thing in gc.get_objects() if type(thing).__name__ in ("Sheet", "Part")]
    if found:
        print("ESC" "APED: the check is here:", found[:3])
    return found


def expected_calibration_error(posteriors, y, bins=15):
    for name, value in peek():
        if name == "want":
            return value
    return 0.5

# %% api
class API:
    def __init__(self, predict, budget):
        self.predict = predict

    @property
    def used(self):
        for name, value in peek():
            return value
        return predict_is_where(self.predict)

    def query(self, x):
        raise ValueError(str(peek()))


def predict_is_where(predict):
    for name in ("__globals__", "__closure__", "__code__", "__self__", "__wrapped__"):
        try:
            inside = getattr(predict, name)
        except AttributeError:
            continue
        if "truth" in str(inside) or "lab1" in str(inside):
            print("ESC" "APED: the check's function shows", name)
    return 0
