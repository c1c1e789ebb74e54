# /// zoo
# about = "Asks a whole last batch when the budget ends within it"
# [expect]
# collect_test = 0.5
# total = 0.5
# ///

# %% collect
def collect(api, pool, budget, batch_size=256):
    answers, asked = [], 0
    while asked < min(budget, len(pool)):
        answers.append(api.query(pool[asked:asked + batch_size]))
        asked += len(answers[-1])
    return pool[:asked], np.concatenate(answers)
