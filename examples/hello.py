#!/usr/bin/python3
"""A small web service that takes its socket from Holdfast, so that it can be replaced without a client noticing.

With `sockets = "inherit"` the listening socket is descriptor 3, as LISTEN_FDS says. On SIGTERM the service stops
accepting, answers what it has begun, and exits; what waits in the socket's queue is the successor's.
"""

import http.server
import os
import signal
import socket

FIRST_INHERITED = 3


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        service, instance = os.environ.get("HOLDFAST_SERVICE", "hello"), os.environ.get("HOLDFAST_INSTANCE", "0")
        body = f"hello from {service}.{instance}, pid {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.HTTPServer):
    # How soon a SIGTERM is noticed while nobody asks anything.
    timeout = 0.2

    def get_request(self):
        connection, address = super().get_request()
        # A client that connects and says nothing must not keep the others waiting.
        connection.settimeout(5)
        return connection, address


def listening_socket():
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and int(os.environ.get("LISTEN_FDS", "0")) >= 1:
        return socket.socket(fileno=FIRST_INHERITED)
    return socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "8080"))))


def tell_ready():
    """READY=1, as systemd's sd_notify says it: from now on we answer."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", "\0" + path[1:] if path.startswith("@") else path)


def main():
    leaving = []
    signal.signal(signal.SIGTERM, lambda *_: leaving.append(True))
    server = Server(("127.0.0.1", 0), Hello, bind_and_activate=False)
    server.socket.close()
    server.socket = listening_socket()
    # Several instances wait on this socket; when another was quicker there is nothing to accept, and we must not hang.
    server.socket.setblocking(False)
    tell_ready()
    print("listening", flush=True)
    while not leaving:
        server.handle_request()
    print("leaving", flush=True)


main()
