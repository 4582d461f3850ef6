#!/usr/bin/python3
"""Programs people really run."""

import shutil
import socket

import harness
from harness import eventually, get


class RealPrograms(harness.Case):
    def killed_and_back(self, hf, name):
        pid = hf.pid(name)
        harness.kill(pid)
        hf.wait_restarted(name, pid)

    def test_pythons_http_server(self):
        hf = self.holdfast()
        port = self.port()
        site = self.path("site")
        site.mkdir()
        (site / "index.html").write_text("hello from python")
        hf.apply(name="site", command=["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "${PORT}"],
                 directory=str(site), listen={"http": port}, health={"ready": "http:/", "every": "200ms"})
        self.assertEqual(get(port), (200, "hello from python"))
        self.killed_and_back(hf, "site")
        self.assertEqual(get(port), (200, "hello from python"))

    def nginx(self, port, text):
        config = self.path("nginx.conf")
        folder = self.path("nginx")
        folder.mkdir(exist_ok=True)
        config.write_text(f"""
            daemon off; master_process on; worker_processes 2; pid {folder}/pid; error_log stderr;
            events {{ worker_connections 64; }}
            http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
                    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{text}"; }} }} }}
        """)
        return [shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-c", str(config), "-e", "stderr"]

    def test_nginx_and_its_workers(self):
        hf = self.holdfast()
        port = self.port()
        hf.apply(name="web", command=self.nginx(port, "hello from nginx"), listen={"http": port})
        self.assertEqual(get(port), (200, "hello from nginx"))
        workers = harness.children_of(hf.pid("web"))
        self.assertEqual(len(workers), 2)
        # The master dies; its workers still hold the port and must not keep the successor from it.
        self.killed_and_back(hf, "web")
        self.assertEqual(get(port), (200, "hello from nginx"))
        eventually(lambda: not any(map(harness.process_exists, workers)), "the old workers are gone")
        hf.cli("stop", "web", check=0)
        hf.wait_state("web", "stopped")

    def redis(self, port, *words):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.recv(4096).decode()

    def test_redis_keeps_its_data_over_a_graceful_restart(self):
        hf = self.holdfast()
        port = self.port()
        folder = self.path("redis")
        folder.mkdir()
        hf.apply(name="cache", command=["/usr/bin/redis-server", "--port", "${PORT}", "--bind", "127.0.0.1", "--dir",
                                        str(folder), "--save", "3600 1", "--supervised", "systemd"], listen={"tcp": port})
        self.assertEqual(self.redis(port, "SET", "key", "value"), "+OK\r\n")
        self.assertIn("Ready", hf.instance("cache").get("status", "Ready"))
        old = hf.pid("cache")
        hf.cli("restart", "cache", "--cold", check=0)
        hf.wait_restarted("cache", old)
        self.assertEqual(self.redis(port, "GET", "key"), "$5\r\nvalue\r\n")
        self.assertEqual(hf.instance("cache")["last_exit"]["by"], "holdfast")
        self.killed_and_back(hf, "cache")


if __name__ == "__main__":
    harness.main()
