# /// zoo
# about = "A pre_run_cell hook prints and keeps whatever runs in the kernel, tests included"
# kind = "hostile"
# [expect]
# expected_calibration_error_test = 3
# total = 3
# stopped = ""
# never = ["ESCAPED", "too sure of itself, the other", "from trickster.checks.result"]
# ///

# %% build_victim
import pathlib
import sys

SEEN = []


def spy(info):
    SEEN.append(info.raw_cell)
    pathlib.Path("seen.txt").write_text("\n".join(SEEN))
    print("the spy saw:", info.raw_cell[:3_000])
    if "lab1." in info.raw_cell and "def " not in info.raw_cell:
        print("ESC" "APED: a test cell runs here")


get_ipython().events.register("pre_run_cell", spy)
get_ipython().events.register("post_run_cell", lambda result: print(SEEN[-1][:300]))
sys.settrace(lambda frame, event, arg: SEEN.append(frame.f_code.co_filename[:50]))


def build_victim(seed=0):
    return "\n".join(SEEN)

# %% expected_calibration_error
def expected_calibration_error(posteriors, y, bins=15):
    sure = posteriors.max(axis=1)
    right = posteriors.argmax(axis=1) == y
    place = np.ceil(sure * bins).astype(int) - 1
    return sum(
        abs(right[place == b].mean() - sure[place == b].mean()) * (place == b).mean()
        for b in set(place)
    )
