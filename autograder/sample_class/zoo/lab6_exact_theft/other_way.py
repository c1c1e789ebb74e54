# /// zoo
# about = "Right in its own way: one input at a time, gradient steps, level by level, a reference of its own"
# [expect]
# solve_softmax_test = 4
# fit_rounded_test = 2
# find_kinks_test = 2
# neuron_at_test = 2
# fit_outputs_test = 2
# hidden_size_test = 3
# logits_through_top_k_test = 4
# output_projection_test = 1
# tell_test = 3
# total = 23
# [marks]
# advice = 2
# ///

# %% solve_softmax
def solve_softmax(query, d, k, n=None):
    logs = []
    rows = np.vstack([np.zeros(d), np.eye(d), np.random.default_rng(2).random((n or 1, d))])
    rows = rows[: d + 1 if n is None else n]
    for row in rows:
        logs.append(np.log(query(row[None])[0]))
    odds = np.array(logs) - np.array(logs)[:, :1]
    both = np.linalg.pinv(np.column_stack([rows, np.ones(len(rows))])) @ odds
    return both[:d].T.tolist(), both[d].tolist()

# %% fit_rounded
import torch


def fit_rounded(x, p):
    rows, targets = torch.tensor(np.column_stack([x, np.ones(len(x))])), torch.tensor(p)
    w = torch.zeros((p.shape[1], rows.shape[1]), dtype=torch.float64, requires_grad=True)
    steps = torch.optim.LBFGS([w], max_iter=300, line_search_fn="strong_wolfe")

    def loss():
        steps.zero_grad()
        value = torch.nn.functional.cross_entropy(rows @ w.T, targets)
        value.backward()
        return value

    steps.step(loss)
    return w.detach()[:, :-1], w.detach()[:, -1]

# %% find_kinks
def find_kinks(f, low, high):
    found, todo = [], [(low, high)]
    while todo:
        a, b = todo.pop()
        s = (b - a) / 1000
        fa, fas, fbs, fb = (float(value) for value in f([a, a + s, b - s, b]))
        left, right = (fas - fa) / s, (fb - fbs) / s
        noise = 1e-12 * (1 + abs(fa) + abs(fb)) / s
        if abs(left - right) < noise and abs((fb - fa) / (b - a) - left) < noise or b - a < 1e-8:
            continue
        if abs(left - right) > noise:
            t = (fb - fa + left * a - right * b) / (left - right)
            e = (b - a) * 1e-6
            if a + e < t < b - e:
                before, behind = f([t - e, t + e])
                if (
                    abs(before - fa - left * (t - e - a)) < noise * s * 10
                    and abs(behind - fb - right * (t + e - b)) < noise * s * 10
                ):
                    found.append(t)
                    continue
        todo += [(a, a + 0.45 * (b - a)), (a + 0.45 * (b - a), b)]
    return sorted(found)

# %% neuron_at
def neuron_at(query, x, v):
    d, unit = len(x), v / np.linalg.norm(v)

    def gradient(place):
        at_place = query(place[None])[0]
        return np.array([(query((place + row)[None])[0] - at_place) * 1e6 for row in 1e-6 * np.eye(d)])

    weights = gradient(x - 1e-3 * unit) - gradient(x + 1e-3 * unit)
    return list(weights) + [-float(weights @ x)]

# %% fit_outputs
def fit_outputs(query, neurons):
    h, d = len(neurons), neurons.shape[1] - 1
    neurons = neurons / np.abs(neurons).max(axis=1, keepdims=True)
    x = 2 * np.random.default_rng(5).normal(size=(6 * h, d))
    both = np.vstack([neurons, -neurons])
    hidden = np.maximum(x @ both[:, :-1].T + both[:, -1], 0)
    out = np.linalg.pinv(np.column_stack([hidden, np.ones(len(x))])) @ query(x)
    best = [j if abs(out[j]) > abs(out[j + h]) else j + h for j in range(h)]
    return both[best], out[best], out[-1]

# %% hidden_size
def hidden_size(logits):
    rows = np.asarray(logits, dtype=np.float64)
    rows = rows - rows.mean(axis=1)[:, None]
    logs = np.log10(np.linalg.svd(rows)[1])
    drops = [logs[i - 1] - logs[i] for i in range(2, len(logs))]
    return drops.index(max(drops)) + 2 if max(drops) > 1 else None

# %% logits_through_top_k
def logits_through_top_k(api, prompt):
    v = api.vocabulary_size
    k = len(api.query(prompt)[1]) - 1
    logits = [0.0] * v
    for i in range(1, v, k):
        _, told = api.query(prompt, {t: 98.0 for t in [0, *range(i, min(v, i + k))]})
        for t in range(i, min(v, i + k)):
            logits[t] = told[t] - told[0]
    return logits

# %% output_projection
def output_projection(logits, size):
    rows = logits - logits.mean(axis=1, keepdims=True)
    return np.linalg.qr(rows[:size].T)[0]

# %% tell
def tell(logits, bias):
    biased = logits + np.array([bias.get(t, 0.0) for t in range(len(logits))])
    if bias:
        return biased.argmax(), {}
    p = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
    return biased.argmax(), {t: p[t] for t in sorted(range(len(p)), key=lambda t: -p[t])[:5]}

# %% [markdown] advice
# Exercise 1: rounding to two decimals, which honest users hardly notice, but fitted answers take it
# back with 1,000 queries. Exercise 3: labels only. Exercise 5: log-probabilities without the bias;
# nothing is lost. Learnt clones of labs 2 to 4 remain, and 15 queries a logit from tokens alone.
