# /// zoo
# base = "solution"
# about = "The reference"
# sample = true
# [expect]
# unlie_test = 3
# small_loss_test = 2
# detector_test = 4
# keyed_lie_test = 3
# defend_test = 3
# ask_twice_test = 2
# walk_to_edge_test = 2
# total = 19
# [marks]
# worst_case = 2
# agreement = 2
# worth_of_it = 2
# ///
