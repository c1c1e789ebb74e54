# /// zoo
# base = "solution"
# about = "The release, and beside it Jupyter's copy with the work in it"
# kind = "clumsy"
# file = "copy beside the release"
# [expect]
# total = 18
# reason = "was not begun"
# repairs = ["file"]
# ///
