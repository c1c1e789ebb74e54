# /// zoo
# base = "solution"
# about = "Chooses the threshold at 5 %, on the files and not on pictures as they arrive"
# [expect]
# defend_test = [0.5, 2]
# shows = ["Honest users lose"]
# ///

# %% prepare
threshold = choose_threshold(score(statistics_and_posteriors(x_choose)[0]), max_fpr=0.05)
