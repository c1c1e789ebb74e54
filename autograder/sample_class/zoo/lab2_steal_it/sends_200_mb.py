# /// zoo
# about = "A notebook of 200 MB"
# kind = "clumsy"
# file = "huge"
# [expect]
# total = 0
# status = "failed"
# reason = "at most 50 MB are accepted"
# ///
