# /// zoo
# about = "A fine grid in place of bisection, one side of the kink, five times the queries, the first large fall, noise against thieves"
# [expect]
# solve_softmax_test = 3
# find_kinks_test = 0
# neuron_at_test = 0
# hidden_size_test = 2
# tell_test = 0
# total = 5
# shows = ["A fine grid is asked everywhere", "on either side of x, and subtract", "do not stop at the first one", "The same question must get the same answer"]
# ///

# %% solve_softmax
def solve_softmax(query, d, k, n=None):
    x = np.random.default_rng(1).random((5 * d, d))
    both = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), np.log(query(x)), rcond=None)[0]
    return both[:-1].T, both[-1]

# %% find_kinks
def find_kinks(f, low, high):
    t = np.linspace(low, high, 60_000)
    slopes = np.diff(f(t)) / np.diff(t)
    return [float(t[i + 1]) for i in np.flatnonzero(np.abs(np.diff(slopes)) > 1e-3)]

# %% neuron_at
def neuron_at(query, x, v):
    place = x + 1e-3 * v
    values = query(np.vstack([place, place + 1e-6 * np.eye(len(x))]))
    weights = (values[1:] - values[0]) / 1e-6
    return np.append(weights, -(weights @ x))

# %% hidden_size
def hidden_size(logits):
    values = np.linalg.svd(np.asarray(logits, float) - logits.mean(axis=1, keepdims=True), compute_uv=False)
    large = np.flatnonzero(values[1:-1] > 10 * values[2:])
    return int(large[0]) + 2 if len(large) else None

# %% tell
dice = np.random.default_rng(0)


def tell(logits, bias):
    changed = logits.copy()
    for t, value in bias.items():
        changed[t] += value
    told = log_softmax(changed)
    scale = 0.5 if bias else 0.005
    return int(changed.argmax()), {
        int(t): float(told[t] + scale * dice.normal()) for t in np.argsort(-told)[:5]
    }
