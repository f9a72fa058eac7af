"""What the appliance's service sees and tells: two web servers, a third that
starts when asked, and receivers of syslog over UDP and TLS.

usage: peer.py TLS SHARE
"""
import http.server
import os
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


def streams():
    s = socket.create_server((ADDRESS, 6514))
    inside = context(client=True)
    while True:
        raw, _ = s.accept()
        try:
            with inside.wrap_socket(raw, server_side=True) as c, \
                    open(f"{share}/syslog.tls", "ab", buffering=0) as out:
                while data := c.recv(65536):
                    out.write(data)
        except OSError:
            continue


web(8080)
web(8443, context(client=False))
threading.Thread(target=datagrams, daemon=True).start()
threading.Thread(target=streams, daemon=True).start()
open(f"{share}/peer.up", "w").close()
while not os.path.exists(f"{share}/start-9090"):
    time.sleep(0.2)
web(9090)
while True:
    time.sleep(60)
