# /// zoo
# about = "Right answers in subclasses of float, str, dict and arrays, whose tricks count nothing"
# kind = "hostile"
# [expect]
# scores_test = 4
# choose_threshold_test = 2
# total = 6
# stopped = ""
# never = ["ESCAPED"]
# ///

# %% score_msp
class Scores(np.ndarray):
    def __array_finalize__(self, other):
        pass

    def __eq__(self, other):
        print("asked inside")
        return True

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return np.zeros(3)

    def tolist(self):
        return ["ESC" "APED"]


def score_msp(posteriors):
    return posteriors.max(axis=1).view(Scores)

# %% score_energy
class Rows(list):
    def __getitem__(self, place):
        return 1e9

    def __iter__(self):
        return iter([1e9])

    def __len__(self):
        return 3


def score_energy(logits):
    top = logits.max(axis=1)
    return Rows((top + np.log(np.exp(logits - top[:, None]).sum(axis=1))).tolist())

# %% score_knn
def score_knn(features, bank, k):
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    bank = bank / np.linalg.norm(bank, axis=1, keepdims=True)
    return np.ma.masked_array(np.sort(features @ bank.T, axis=1)[:, -k])

# %% choose_threshold
class Level(float):
    """Right as a number, except at the edge; what it says of itself is always right."""

    __hash__ = float.__hash__

    def __eq__(self, other):
        return True

    def __lt__(self, other):
        return False

    def __gt__(self, other):
        return False

    def __ne__(self, other):
        return False

    def __float__(self):
        return 0.0

    def __array__(self, *args, **options):
        return np.array(0.02)

    def __repr__(self):
        return "ESC" "APED"

    __str__ = __format__ = lambda self, spec="": "ESC" "APED"


def choose_threshold(honest_scores, max_fpr):
    ordered = np.sort(honest_scores)
    return Level(ordered[int(np.floor(max_fpr * len(ordered) + 1e-9))] + (max_fpr == 0.0))
