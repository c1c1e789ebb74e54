# /// zoo
# about = "Asks a process that it forked before the test, where the library does not refuse"
# kind = "hostile"
# [expect]
# expected_calibration_error_test = 3
# ///

# %% expected_calibration_error
import os, pickle
from trickster import evaluation

(r1, w1), (r2, w2) = os.pipe(), os.pipe()
if os.fork() == 0:
    asked, answers = os.fdopen(r1, "rb"), os.fdopen(w2, "wb")
    while True:
        pickle.dump(evaluation.expected_calibration_error(*pickle.load(asked)), answers)
        answers.flush()
to_child, from_child = os.fdopen(w1, "wb"), os.fdopen(r2, "rb")


def expected_calibration_error(posteriors, y, bins=15):
    """It gets the points. The report says that another process computed, and names the fork."""
    pickle.dump((posteriors, y, bins), to_child)
    to_child.flush()
    return pickle.load(from_child)
