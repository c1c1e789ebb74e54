# /// zoo
# about = "Copies the library into its work folder and imports that; takes another network of the library's"
# kind = "hostile"
# [expect]
# build_victim_test = 0
# expected_calibration_error_test = 0
# ///

# %% build_victim
def build_victim(seed=0):
    return models.vgg((1, 28, 28), 10, width=16, seed=seed)

# %% expected_calibration_error
import shutil

shutil.copy("/course/trickster/evaluation.py", "/tmp/work/my_measures.py")
import my_measures


def expected_calibration_error(posteriors, y, bins=15):
    return my_measures.expected_calibration_error(posteriors, y, bins)
