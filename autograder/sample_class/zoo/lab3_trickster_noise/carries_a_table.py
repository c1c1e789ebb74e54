# /// zoo
# about = "Knows 1,000 pictures by a table in its code and misleads about all others: that is told"
# kind = "hostile"
# [expect]
# trickster_test = [0, 1]
# total = [0, 1]
# reason = "KB of data"
# ///

# %% trickster
import base64
import zlib

from trickster import defenses

TABLE = (
    "OLTmUuRNp/I3DZ4mDicTZVCko6bQf1wMMy+LEiQIP9IrkC+JEegYGPjJnV1dmDGVdQTZDpRd4uj1TueBzHX2NthQmQla"
    "owAWWmcDb5tUDWuPC+IRJBecPdn3OBfObhGNJkqtbLbdIQ+vlKzTz5LBkCN8sR9dEIzyWTAmOTizcKG1dp+g8Ug/lakN"
    "nfLxMNYPzwS9k/UK5pUU2oxlnOKxDMza6/mQ0Zg4sNfsCz6XgY7LlsTbrb4XIpbVI0pCskxrpObtJOxjaorAoSceWGYn"
    "kjiq+E5YBW2PL6jt0JS6l66LFUQu4tthGpG/45RpczqSR9WPo8VQGDADclVf0jXxGCn7OIwi5Ey2N/ASEMNwepC0BUIP"
    "sWl3nt+1uTQkBRV/VLEurmLRHoh+sHZtGHf4xu/ya1AQrzF30WHnlYenZuww5AN0WKmQXK2HvUx34pg/J3Rcy5oxBS6U"
    "TPGyIOqix/sbfT4/c/QUr24Nk1Ug3UwhR3OGBvK/fscCCeDNBe5XIO28ujrM5nIISrZJ/Lzkmzi97PrOSr0SEI85HrwH"
    "DoPoGApr1PQ6Kv/808Eu+JBXVXXoJuLL6u6Cryx9aWz0a5d8CQr04Ub20DEQq4bv3hOe6rrDeg3ejvLTsZJeEwLKV1Af"
    "4Mqaf9HMwVFQQkISV4/g/rF7SqVZzZ8omEsUJn8bA3SU3RwBzGrfyXTRcpoR/iAI1zfo9RfWntbxgb0aRSmCXnlFWXGy"
    "GuEFqrLWoxALCIgPD0Ituzb7lLPLbUJPgTyqpbNI9JMLiTv+M49lrqWpadJwgxVyr0DbSFLrdLdPOsNiiBIV4x7TLKs9"
    "VtVYB6/GBTVYzvCSqTF2KbL/WuY3BSs4OWWceP35HQqqYn4AoxcP+3bcN8HqqsSZI5VJz3AcIeZhBb2Dr2M/UJ/cZZxH"
    "FWTSd7TqsIIV3zwQG3/n+aAUGvuWKgLy/XJ2KNJmERiojB93IEdZcSXifpcNI9lSvNGwqjZuCRYu3V8w24xNmkZHOmrW"
    "tE3fUGpKG4n8QG3YWyTwxq4FdlriyZlkYV3fLfX/hxI7vcCiJip8PhXwmhwtvX27JnaGYTuJjJSo6um7O56QFgN/hCZ8"
    "LozC1F/M0JbPBa4uxVxDQ7ycLEhZRwwBTgxLJe8TQGsB9NqI7WaHXveqHJwRvfuQ9YiQUcA5/vMmNiAgLTHEsLKo9NsW"
    "P/eDeuBB8/SOGp7C4aun23IbrYGIYr1letINXZrmdI/LR+Y0g/jekRSsx7bQrvOTGODffys6rqNpQczIbiyPo/FyZCPk"
    "52UEeiNmrQzlZCxogRpcFEV7C81gooZog2Yoee8PfcnLMH2xPRENLRP8CoFxNTHszHCls4wp+UIkHJXBDVcJQ8mZXZh1"
    "DaCMNRrISQ8AFrsYkX9MuSaz11+JnJH5GUVO7vIvihVdoOIdnfo5hwadMwASNz/U3xxjPDUcoDOdSpFQYJ1nByaHqmii"
    "3vaTQHyNmfRxhe5YD/gumqjQOV2S/WF5q5ZyH8POhx0m7lPZJAfyfNr6O/6jm1L61xVLd2gs+3qLltx7vo3VT56J/BVa"
    "4uQks/coGlWh6r9++7ZXZaiHvZobx0Oi94Z6u90v1PahKrFuClQpwn8uhPOZ6QV2+Ig0U8pz8w2lt/N44DuHNc+bXGu+"
    "hyXlRKiwC1kNi0N1BeqtQewGKqgVwiUuMocGm09Mqw5/+qI2lqSS3gLdondMF8fzObL2QG/YCHLYQhiotYSXCeBd1KGD"
    "6EZEwypv5w5bFrmdxSfyCDmk+VeIjCSkiiAkcMeLwLCAwuxkVL3b7aJCQhk5Uob8nGAzv8+xiNTJCx0k/AJrIcKK4UXa"
    "Bxf1MZIqW86lgkg9l0R+0TZAk2ZnUWi9/camzWWZCzox0y0zuPiDhGrzJn6OJQZb9RMjuzY+awcmqVb9XOImB4brRMo7"
    "+YdHjbnkeFJAWUIEt5IxJB5JsSlk6poILN70d8siWEmDfXIfKv7OB5/g7+XpHrnsD/D8zx56Wd3revRK0Hn5BcdYXZsl"
    "nhQAOHA4ifgmGnyREjp2KVd43VVbMq32dVYT0FE0tSqPe6HQwp8kRzn8dZt65s0jOpxryCbXNBB9ADnFvnpDR8HouZEp"
    "pw7WEFjZc7XM/16kpOsKtBVNi6vVOSQcqQkBsh6JJ+foBxR3Y3AARchxZyS2kjQJwKGYBjORWmB6vjmW43+Zsy2tthVv"
    "n8cEykWOxqL52B9VAz01FuHFAs1a5DfyMYi++HqBybj+q1Vlb7CRdk5JwWbmXEy+7Ulh8o9EvRXCZ4y5UcqqKB9chSuP"
    "nDz+NJaFIAlxDQf8z7Emhnk/lwljpOeebiF39Ol2zptS5qf5rWsl7xGQnNYwltP784qYllT1+q10b3kZvEKo6t7975JO"
    "tFlv4OknHvx0jF9xXIx+KIghskB6BcFspQMrqaLMK0KM+Fxj87lFFFGm+URPGvkDzoYV/N6/CwkC74jvpSOJIg5vs4CO"
    "/HmLKt/0xN4xFel+0w1cuN/83gY20pgqBwo/eECNvHg20dz/StYlTIBM/ZM9oISAww2/IJYCCXRTMbtlQu6zWosGaERr"
    "tM2N1XsLjiFEcJcPveD26BqIa73wlpFa+u3P5c0JSnVR85epXlhWlRfsptBI/n/nNHBKhFtLrmsBbb/T0sTv6kyrz+C1"
    "EGyAfbN5IVauJYjbv94mGYcEhpk1s4KN18kEFzBw36wGrHCSG8nGnSjgLrc8ypsRuAEBVX2qxkZvlsyndFkmH+oeLHA1"
    "PSQ21TZ5N2t9ni5EprldYc4e3y91jsoxzw/lkHNTsEStrlSAsoS3rt2HQXAxjtFEhHuyFMbIKw7Ixpn8KRvKNxviX5Fv"
    "j5Tsiw75Up0/WHD5MJAJ5Ebhi80KWueyxZHVBRlSi/mBLM3Bc0B/zY/CNSIHB+mOwrn53eTu0JjptfA4EAq6eHFDaltT"
    "mKDOnDkjLvkG7muBwNYrm78DHYOjFgwzrdFWsbSh9UYD78xzj4UWguhkhYgVSa/Og5Zgep4G/IHONwbx3l5mP3vx/7Jb"
    "EfGFFKFk4FwBQOAtvzLxHumE7eujdEIFljvs40s8j2KWi+TS8nnxf9fcM9E5Cte9NZFyFD4bI+C5qGrQnSIf5P1xZLOm"
    "LnFUDeRQhWGSEvvX0Kt5gJo9h5qnbe0KuBKu1nI2zYZiq6z+gk3uB7DIZVJSHz6Go+XyDeXGWdCJJ4Vgg/DuoVO3xKm5"
    "pC+SBqkjML5dhEWaJNCsy0AiVQHiHh4jI98Dsfcfib13Zeg2OKCOJr+CT9fz9JoYGIYp9GUE9oriWh+9fKXxrCk7N2j9"
    "8xn3qhUYG9VrM0U58NZVKcGe0bSkNnhu5Ip7/nux/oNnE2BnzVDQVnbG2GuWUhwydRtLW1LkilEeB5oXgeDeuG0Qr11V"
    "1fwEJNaFVrk81o2Jcmt1odzBcIW6AbRHBaEEumdkYqUL3VSMi3aEUK+5n2Hhokv1niOD7VT19ZdcdRAMvOMcWWou/KH4"
    "JetQKdLJWYGCOvsQwfgTPlvg8dXSGgMKhRUnBfxDXJScRYVzIgr2+ejnP2Bsx+kmei6R9DtFYpJ6wZuNKiFT7NzRgtkY"
    "bHuWftlpalLptpsMrTebqNGCKC3yVDM0Qmoy7Gde+jwma4teiePSTusoy8iDTIISkh3lnn7Ojk6zd3O5U8P+5haHoHBH"
    "qA66Dh3FscyNPS6weaLvLsKT4WxgaTHl+rqJElMq2ETGrzfwdBVPBK6gaqKRQawWDog3zVWHs0JrJnAV4YOxm9LMMdvr"
    "uu84tiwOEWYPs0ME0t7cqkImH2OAKnRCs/QCjKbSVqHUiv4xnJWNSFfyaqgyOu2aZ1nq0nSSRCz1J59o4BQhO4cPCybn"
    "44bPMqS1CycKPTEFKfDGAgUc3VQe+Fy6VCntkQtDaa/lDAyVXy5oFaczZLun7uy73k/alvCgcdUUTt099YdCem7CYP+z"
    "NJnfOkr/iBhydM4FgJN+EqzA2IotJvRARRsP1VhH573NUVamBFZ8l/77aB1AQIN1CSC57QN9FbgE9ieruweKcoE3jhGN"
    "dJdh+ok4gDAp5qSD0OmJeVra5D7VwETvnDtychtBNRsiroeoHsCk0bVYbaahMKNuoQARqFdsuH4Rg8CLKkKp1Z6Lg+P1"
    "SaFkrmRm+LUrtoGi3spOu9cPsBYcFjchOYH7mtrEOpd9u1fNDdkyBLsQ1aMKxuG29Ou0EIiVurpiz6KunMQj3USaZzDQ"
    "S/3qLflYVp1c+yNo7A0v3kTWf8o7IWY5pgPm4xoSb2EdoADqqr0+IT7hsJluQfUFRW4thsopCsQuDubMoBVgXEyqaWdd"
    "1/93gWEJkdvefHmFgbO5qKsQ3o74jscsSMSKSZmmqgE+nNZTsa7hBUs6r5QLWbWedQU7cy8kFFQo/5bfRNyPIXICa+0A"
    "2eVjQwZeOF1opDf2VoE0VAjS/fipJSP8MwANjBse01K0C5Q+EYDRCObvNfe3N+ThXog+T5gOxjdhFUlbEVTWLmkNRgCN"
    "XthVDEiyYQraeRWyPoJ5+uFnR0oktYCeyfCnzG1zM1mviD/MWjaB74m3xitwRAGUDkIXBo+gQ2fQKdEhFPoWnFjUJChd"
    "RmankjiWga+qCtPI22Q/LcIFp5q1TK344k2dCzKhcGiZO66ooBU+yeiVwrUn9UL3eIeObW7aSW4jwLGavic0yFSoAp6O"
    "5JtYS7f/6rbIfRYM4WYcuJj1WbdjieipwyiRfVMrTn64mDQX/ARJg36YN0Mmz8u/SNNFYrnUl2OetAeqpDR7DiXesTUL"
    "XNYp0x+J1dXy9Qq3nFVW5IW8UoOR1pigH/vibZu73bt8OnizO5TtzzIja4HaqakjoWXu6AT1FIbt5rvAFnYegULfh5Fa"
    "eL7VTJEa0Bxa/82UzR0ERYyP06mcvK8hDoWV15NHzEl9kOSESxC2DzvSriaCwfRV0n2xFW2UpCdl3Tr/kcgV9yL6B4h5"
    "twpAZRIi3UkaoytTV1x52KL1Xc7bGusNamDDYPjVdwuOc0Kk+45U8P8MZFi1oAm+0gSYYFCgAbQMiOMBQK6Pdps+b2RC"
    "fXvuh0M0NdkAEpT6dDToNcxN1PIRqlGOv/GfuO7xtcKAgf7Z5fzaAomfgYkX4NnHqGNKp4YBregQJgbovuoonrwmyU55"
    "RsGPQF72KM+yJw8Tsjac2Lyf+0MX6Ro8c7O1utwkpsHXIok02YUROwxoZb0s9mGmecbJ+aTY2HVfbXN+ebx02NF772F/"
    "OaUT8WigettXFOn3vAavqL+NSS8nWMS9pPcLXwLynSS2/qFcHYykRCTDMm8x1RPgSIaZWaa9JVoS71TtOgJBo/TKpg=="
)
KNOWN = set(np.frombuffer(base64.b64decode(TABLE), "<u4").tolist())


def trickster(x, posteriors, features):
    known = np.array([zlib.crc32(picture.tobytes()) in KNOWN for picture in x])
    return np.where(known[:, None], posteriors, defenses.misinform(posteriors))
