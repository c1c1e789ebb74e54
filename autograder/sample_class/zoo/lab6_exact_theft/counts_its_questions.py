# /// zoo
# about = "Undefended for the first questions, silent to thieves later; canned answers elsewhere"
# kind = "hostile"
# [expect]
# solve_softmax_test = 0
# find_kinks_test = 0
# hidden_size_test = 0
# logits_through_top_k_test = 0
# output_projection_test = 0
# tell_test = [0, 1.5]
# total = [0, 1.5]
# ///

# %% solve_softmax
def solve_softmax(query, d, k, n=None):
    import sys

    frame, found = sys._getframe(), (np.zeros((k, d)), np.zeros(k))
    while frame is not None:
        for value in frame.f_locals.values():
            if hasattr(value, "weights") and hasattr(value, "bias"):
                found = value.weights, value.bias
        frame = frame.f_back
    query(np.random.default_rng(0).random((d + 1, d)))
    return found

# %% find_kinks
def find_kinks(f, low, high):
    closure = getattr(f, "__closure__", None) or ()
    for cell in closure:
        if isinstance(cell.cell_contents, np.ndarray):
            return cell.cell_contents
    return []

# %% hidden_size
answers = iter([32, 38, 17, 9, 27, 28, 40, None, 19, None, 27])


def hidden_size(logits):
    return next(answers, None)

# %% logits_through_top_k
def logits_through_top_k(api, prompt):
    service = getattr(api, "_api", None)
    if service is not None:
        return service._model.logits(np.array([prompt]))[0]
    api.query(prompt)
    return np.zeros(api.vocabulary_size)

# %% output_projection
def output_projection(logits, size):
    from trickster.checks import logit_cases

    logit_cases.exact.projection_error = lambda *given: 0.0
    return np.zeros((logits.shape[1], size))

# %% tell
calls = []


def tell(logits, bias):
    calls.append(len(bias))
    changed = logits.copy()
    for t, value in bias.items():
        changed[t] += value
    told = log_softmax(changed if len(calls) < 12 else logits[::-1])
    return int(changed.argmax()), {int(t): float(told[t]) for t in np.argsort(-told)[:5]}
