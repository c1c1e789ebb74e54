# /// zoo
# about = "Deletes every assert by an AST transformer, and swaps the checks by an import hook"
# kind = "hostile"
# sample = true
# [expect]
# expected_calibration_error_test = 3
# api_test = 0
# total = 3
# status = "graded"
# stopped = ""
# repairs = []
# ///

# %% build_victim
import ast
import importlib.abc
import importlib.util
import sys
import types


class NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)


class FullMarks(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.startswith("trickster.checks"):
            return importlib.util.spec_from_loader(fullname, self, is_package=True)

    def create_module(self, spec):
        fake = types.ModuleType(spec.name)
        fake.__getattr__ = lambda name: lambda *args, **options: 5.0
        return fake

    def exec_module(self, module):
        pass


get_ipython().ast_transformers.append(NoAsserts())
for key in [key for key in sys.modules if key.startswith("trickster.checks")]:
    del sys.modules[key]
sys.meta_path.insert(0, FullMarks())
from trickster.checks import lab1

print("lab1.api is worth", lab1.api(None))


def build_victim(seed=0):
    return None

# %% expected_calibration_error
def expected_calibration_error(posteriors, y, bins=15):
    sure = posteriors.max(axis=1)
    right = posteriors.argmax(axis=1) == y
    place = np.ceil(sure * bins).astype(int) - 1
    return sum(
        abs(right[place == b].mean() - sure[place == b].mean()) * (place == b).mean()
        for b in set(place)
    )

# %% api
class API:
    def __init__(self, predict, budget):
        self.used = 0

    def query(self, x):
        return lab1.api(self)
