# /// zoo
# base = "solution"
# about = "The reference"
# sample = true
# [expect]
# collect_test = 2
# train_clone_test = 4
# fidelity_test = 1
# steal_test = 7
# audit_test = 3
# compare_test = 1
# total = 18
# [marks]
# verdict = 2
# ///
