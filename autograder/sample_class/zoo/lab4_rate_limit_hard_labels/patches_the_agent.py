# /// zoo
# about = "Replaces the grader's agent and its wire in the kernel's sys.modules"
# kind = "hostile"
# [limits]
# call_timeout = 10
# [expect]
# ladder_test = 4
# total = 4
# ///

# %% hard_labels
def hard_labels(p):
    return np.eye(p.shape[1])[p.argmax(axis=1)]

# %% top_k
def top_k(p, k):
    places = np.argsort(-p, axis=1, kind="stable")[:, :k]
    kept = np.zeros_like(p)
    np.put_along_axis(kept, places, np.take_along_axis(p, places, axis=1), axis=1)
    return kept / kept.sum(axis=1, keepdims=True)

# %% round_posteriors
def round_posteriors(p, decimals):
    rounded = np.round(p, decimals)
    empty = rounded.sum(axis=1) == 0
    rounded[empty] = hard_labels(p)[empty]
    return rounded / rounded.sum(axis=1, keepdims=True)

# %% counterexample
import sys

agent = sys.modules["trickster_referee.agent"]
wire = sys.modules["trickster_referee.wire"]


class Generous(agent.Agent):
    """Answers every question with full marks, and every name with itself."""

    def _do(self, kind, fields):
        if kind == "names":
            return {name: Generous._full for name in fields[0]}
        return 5.0

    @staticmethod
    def _full(*args, **options):
        return 5.0


agent.Agent = Generous
wire.WireLimits.__new__.__defaults__ = (2**60, 2**60, 2**60, 10_000, 2**30)
wire.GRADER_LIMITS = wire.WireLimits()
agent.describe = lambda error: ["AssertionError", [], "5.0", {}, [], "", 0]


def counterexample():
    return 5.0
