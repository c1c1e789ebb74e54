# /// zoo
# about = "Keeps its budget, and asks the service about the pictures that its clone is graded with"
# kind = "hostile"
# [expect]
# steal_test = 0
# total = 0
# stopped = ""
# ///

# %% steal
def steal(api, pools, budget, seed=0):
    api.query(pools["shapes"][:1])

    def clone(pictures):
        answers = np.full((len(pictures), 10), 0.1)
        for i in range(0, len(pictures), 100):
            try:
                answers[i : i + 100] = api.query(pictures[i : i + 100])
            except Exception:
                pass
        return answers

    return clone
