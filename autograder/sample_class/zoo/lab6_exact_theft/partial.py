# /// zoo
# about = "Half of it: clips, counts singular values with a limit, raises one token at a time, rounds"
# sample = true
# [expect]
# solve_softmax_test = 3
# fit_rounded_test = 0
# find_kinks_test = 0
# neuron_at_test = 1.5
# hidden_size_test = 1.5
# logits_through_top_k_test = 3
# output_projection_test = 1
# tell_test = 0
# total = 10
# [marks]
# advice = 1
# ///

# %% solve_softmax
def solve_softmax(query, d, k, n=None):
    x = np.random.default_rng(1).random((n or d + 1, d))
    logs = np.log(np.clip(query(x), 1e-12, 1))
    logs = logs - logs.mean(axis=1, keepdims=True)
    both = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), logs, rcond=None)[0]
    return both[:-1].T, both[-1]

# %% fit_rounded
def fit_rounded(x, p):
    logs = np.log(np.maximum(p, 0.005))
    logs = logs - logs.mean(axis=1, keepdims=True)
    both = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), logs, rcond=None)[0]
    return both[:-1].T, both[-1]

# %% find_kinks
def find_kinks(f, low, high):
    t = np.linspace(low, high, 3_000)
    slopes = np.diff(f(t)) / np.diff(t)
    return [float(t[i + 1]) for i in np.flatnonzero(np.abs(np.diff(slopes)) > 1e-3)]

# %% neuron_at
def neuron_at(query, x, v):
    jumps = 0
    for sign in (1, -1):
        place = x + sign * 1e-3 * v / np.linalg.norm(v)
        values = query(np.vstack([place, place + 1e-6 * np.eye(len(x))]))
        jumps = jumps + sign * (values[1:] - values[0]) / 1e-6
    return np.append(jumps, jumps @ x)

# %% hidden_size
def hidden_size(logits):
    rows = logits - logits.mean(axis=1, keepdims=True)
    values = np.linalg.svd(rows, compute_uv=False)
    return int((values > 1e-5 * values[0]).sum())

# %% logits_through_top_k
def logits_through_top_k(api, prompt):
    token, told = api.query(prompt)
    logits = np.zeros(api.vocabulary_size)
    for t in range(api.vocabulary_size):
        if t != token:
            _, told = api.query(prompt, {t: 90})
            logits[t] = told[t] - told[token] - 90
    return logits

# %% output_projection
def output_projection(logits, size):
    return np.linalg.svd(logits - logits.mean(axis=1, keepdims=True))[2][:size].T

# %% tell
def tell(logits, bias):
    changed = logits.copy()
    for t, value in bias.items():
        changed[t] += value
    told = log_softmax(changed).round(1)
    return int(changed.argmax()), {int(t): float(told[t]) for t in np.argsort(-told)[:5]}

# %% [markdown] advice
# Round to one decimal everywhere.
