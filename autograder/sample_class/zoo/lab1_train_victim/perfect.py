# /// zoo
# base = "solution"
# about = "The reference"
# sample = true
# [expect]
# build_victim_test = 2
# train_victim_test = 5
# predict_proba_test = 4
# expected_calibration_error_test = 3
# api_test = 4
# total = 18
# [marks]
# written = 2
# ///
