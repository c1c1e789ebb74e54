# /// zoo
# base = "solution"
# about = "The browser called the file (1)"
# kind = "clumsy"
# file = "renamed"
# [expect]
# total = 18
# repairs = ["file"]
# ///
