# /// zoo
# about = "Lies in every other call, with the right key, whatever is asked there"
# kind = "hostile"
# [expect]
# defend_test = [0, 0.5]
# total = [0, 0.5]
# ///

# %% defend
calls = []


def defend(x, posteriors, statistics, key):
    calls.append(key)
    if len(calls) % 2:
        return PictureLie(bytes.fromhex(key))(posteriors, Query(x, x, "", 0.0))
    return posteriors
