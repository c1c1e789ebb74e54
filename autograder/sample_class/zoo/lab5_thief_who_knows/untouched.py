# /// zoo
# about = "Handed in as it was given out"
# sample = true
# [expect]
# total = 0
# ///
