# /// zoo
# about = "A notebook that an editor saved as UTF-16"
# kind = "clumsy"
# file = "utf-16"
# [expect]
# total = 0
# repairs = ["encoding"]
# ///
