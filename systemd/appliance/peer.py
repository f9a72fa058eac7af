"""What the appliance's service sees and tells: two web servers, a third that
starts when asked, a clock over UDP, receivers of syslog over UDP, TCP and TLS, and
ports where whoever comes is sent bytes without an end.

usage: peer.py TLS SHARE
"""
import http.server
import os
import selectors
import socket
import ssl
import sys
import threading
import time

tls, share = sys.argv[1:]
ADDRESS = "198.18.77.2"


class Page(http.server.BaseHTTPRequestHandler):
    server_version = "nginx/1.22.1"
    sys_version = ""

    def do_GET(self):
        body = b"<html><title>appliance</title></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_OPTIONS = do_GET

    def log_message(self, *_):
        pass


def context(*, client):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(f"{tls}/server.crt", f"{tls}/server.key")
    if client:
        c.verify_mode = ssl.CERT_REQUIRED
        c.load_verify_locations(f"{tls}/ca.crt")
    return c


def web(port, inside=None):
    server = http.server.ThreadingHTTPServer((ADDRESS, port), Page)
    if inside:
        server.socket = inside.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def datagrams():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((ADDRESS, 514))
    with open(f"{share}/syslog.udp", "ab", buffering=0) as out:
        while True:
            out.write(s.recv(65536) + b"\n")


def clock():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((ADDRESS, 123))
    while True:
        asked, who = s.recvfrom(2048)
        if len(asked) >= 48 and asked[0] & 7 == 3:
            mode = asked[0] & 0x38 | 4
            s.sendto(bytes([mode, 2, 6, 0xEC]) + bytes(8) + b"\x0a\0\0\1" + bytes(8) + asked[40:48] + bytes(16), who)


def stream(port, name, inside=None):
    s = socket.create_server((ADDRESS, port))
    while True:
        raw, _ = s.accept()
        try:
            with (inside.wrap_socket(raw, server_side=True) if inside else raw) as c, \
                    open(f"{share}/{name}", "ab", buffering=0) as out:
                while data := c.recv(65536):
                    out.write(data)
        except OSError:
            continue


def flood():
    """Sends each of many ports' clients whatever they take, in text and in bytes."""
    s = selectors.DefaultSelector()
    for port in range(20000, 20200):
        s.register(socket.create_server((ADDRESS, port)), selectors.EVENT_READ, port)
    while True:
        for key, _ in s.select():
            if isinstance(key.data, int):
                c, _ = key.fileobj.accept()
                c.setblocking(False)
                text = b"SSH-2.0-%d " % key.data + b"A" * 65536 if key.data % 2 else os.urandom(65536)
                s.register(c, selectors.EVENT_WRITE, text)
                continue
            try:
                key.fileobj.send(key.data)
            except BlockingIOError:
                pass
            except OSError:
                s.unregister(key.fileobj)
                key.fileobj.close()


web(8080)
web(8443, context(client=False))
for work, *of in ((datagrams,), (clock,), (flood,), (stream, 601, "syslog.tcp"),
                  (stream, 6514, "syslog.tls", context(client=True))):
    threading.Thread(target=work, args=of, daemon=True).start()
open(f"{share}/peer.up", "w").close()
while not os.path.exists(f"{share}/start-9090"):
    time.sleep(0.2)
web(9090)
while True:
    time.sleep(60)
