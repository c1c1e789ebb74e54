# /// zoo
# about = "A name that nbgrader reads as a pattern"
# kind = "clumsy"
# student = "x[0-9]*?"
# [expect]
# total = 0
# status = "failed"
# reason = "nbgrader cannot work"
# ///
