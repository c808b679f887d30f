"""A web server of ten lines that takes its socket as from systemd."""
import http.server, os, socket

class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from python, worker %s, pid %d\n" % (os.environb[b"NORESTART_SLOT"], os.getpid()))

server = http.server.ThreadingHTTPServer(("", 0), Hello, bind_and_activate=False)
server.socket = socket.socket(fileno=3)  # the first of LISTEN_FDS
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1\nSTATUS=serves", os.environ["NOTIFY_SOCKET"])
server.serve_forever()
