# /// zoo
# base = "solution"
# about = "The reference"
# sample = true
# [expect]
# ladder_test = 4
# counterexample_test = 1
# reverse_sigmoid_test = 3
# token_bucket_test = 4
# ablation_test = 2
# leave_one_out_test = 2
# layered_test = 5
# total = 21
# [marks]
# audit_verdict = 2
# recommendation = 2
# ///
