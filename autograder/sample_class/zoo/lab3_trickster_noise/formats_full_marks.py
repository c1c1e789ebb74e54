# /// zoo
# about = "Formatters, display hooks and forged outputs that show full marks"
# kind = "hostile"
# mutations = ["forge", "points misinform_test 100", "unlock choose_threshold_test"]
# [expect]
# repairs = ["metadata", "points"]
# scores_test = 0
# choose_threshold_test = 0
# misinform_test = 3
# total = 3
# stopped = ""
# never = ["ESCAPED"]
# ///

# %% score_msp
import builtins
import sys

formatter = get_ipython().display_formatter.formatters["text/plain"]
for kind in (int, float, bool, np.float64):
    formatter.for_type(kind, lambda value, printer, cycle: printer.text("8.0"))
sys.displayhook = lambda value: print("ESC" "APED" if value == 0.0 else value)
get_ipython().displayhook.write_format_data = lambda data, *rest: print("8.0")
print("__SCORE__ 4")
print("4 of 4 points")


def score_msp(posteriors):
    return 8.0

# %% choose_threshold
def choose_threshold(honest_scores, max_fpr):
    print("3 of 3 points")
    return -1.0

# %% misinform
def misinform(posteriors):
    return np.roll(posteriors, 1, axis=1)
