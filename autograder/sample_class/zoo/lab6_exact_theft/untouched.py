# /// zoo
# about = "Handed in as it was given out"
# [expect]
# total = 0
# ///
