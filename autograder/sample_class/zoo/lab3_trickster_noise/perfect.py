# /// zoo
# base = "solution"
# about = "The reference"
# sample = true
# [expect]
# zero_mean_noise_test = 2
# scores_test = 4
# choose_threshold_test = 3
# misinform_test = 3
# trickster_test = 5
# spend_test = 4
# total = 21
# [marks]
# why_noise = 2
# limits = 2
# ///
