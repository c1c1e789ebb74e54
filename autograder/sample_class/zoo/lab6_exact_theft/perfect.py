# /// zoo
# base = "solution"
# about = "The reference"
# sample = true
# [expect]
# solve_softmax_test = 4
# fit_rounded_test = 2
# find_kinks_test = 2
# neuron_at_test = 2
# fit_outputs_test = 2
# hidden_size_test = 3
# logits_through_top_k_test = 4
# output_projection_test = 1
# tell_test = 3
# total = 23
# [marks]
# advice = 2
# ///
