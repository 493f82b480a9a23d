"""A hub of static files, served by nginx with sendfile: as little server as possible beside a client.

It gives the headers that clients rely on: the commit, the hash as ETag, the size, ranges.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

CONFIGURATION = """
daemon off;
worker_processes 1;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 512; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/tmp;
  proxy_temp_path {folder}/tmp;
  fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp;
  scgi_temp_path {folder}/tmp;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_requests 1000000;
  etag off;
  map_hash_max_size 65536;
  map_hash_bucket_size 512;
  map $uri $hub_etag {{ default ""; include {folder}/etags.conf; }}
  map $uri $hub_size {{ default ""; include {folder}/sizes.conf; }}
  map $uri $hub_commit {{ default ""; include {folder}/commits.conf; }}
  server {{
    listen {address}:{port} backlog=4096;
    location /api/ {{
      root {folder}/json;
      default_type application/json;
      try_files $uri.json =404;
    }}
    location / {{
      root {folder}/files;
      default_type application/octet-stream;
      types {{ }}
      add_header ETag $hub_etag;
      add_header X-Linked-Etag $hub_etag;
      add_header X-Linked-Size $hub_size;
      add_header X-Repo-Commit $hub_commit;
    }}
    error_page 404 @missing;
    location @missing {{ add_header X-Error-Code EntryNotFound always; return 404; }}
  }}
}}
"""

# Smaller files are in git itself on a hub, larger ones are kept by their SHA-256.
LFS_FROM = 1 << 20


class Hub:
    """Serves `repositories` while the `with` block runs; at another address for a hub behind a network, with a prefix
    of its command that puts it there."""

    def __init__(self, folder, repositories, address="127.0.0.1", prefix=()):
        self.folder = Path(folder)
        self.repositories = repositories
        self.address = address
        self.prefix = prefix

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "tmp").mkdir(parents=True)
        for repository in self.repositories:
            self.lay_out(repository)
        self.port = free_port()
        self.url = f"http://{self.address}:{self.port}"
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = self.folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=self.folder, address=self.address, port=self.port, user=user))
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        command = [*self.prefix, nginx, "-p", self.folder, "-e", self.folder / "error.log", "-c", configuration]
        self.process = subprocess.Popen(command)
        self.wait_until_open()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)

    def lay_out(self, repository):
        """Writes the JSON answers and the tables of headers, and links the files."""
        commit, name = repository.commit, repository.name
        files = self.folder / "files" / name / "resolve" / commit
        files.parent.mkdir(parents=True)
        files.symlink_to(repository.folder.resolve())
        (files.parent / "main").symlink_to(repository.folder.resolve())
        api = self.folder / "json" / "api" / "models" / name
        (api / "revision").mkdir(parents=True)
        (api / "tree").mkdir()
        info = {
            "id": name,
            "modelId": name,
            "sha": commit,
            "private": False,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": [{"rfilename": path} for path in repository.files],
        }
        for answer in [api.with_name(api.name + ".json"), api / "revision" / "main.json", api / "revision" / f"{commit}.json"]:
            answer.write_text(json.dumps(info))
        tree = [tree_entry(path, entry) for path, entry in repository.files.items()]
        for revision in ["main", commit]:
            (api / "tree" / f"{revision}.json").write_text(json.dumps(tree))
        with (
            (self.folder / "etags.conf").open("a") as etags,
            (self.folder / "sizes.conf").open("a") as sizes,
            (self.folder / "commits.conf").open("a") as commits,
        ):
            for path, entry in repository.files.items():
                for revision in ["main", commit]:
                    uri = f"/{name}/resolve/{revision}/{path}"
                    etags.write(f"{uri} '\"{digest(entry)}\"';\n")
                    sizes.write(f"{uri} {entry['size']};\n")
                    commits.write(f"{uri} {commit};\n")

    def wait_until_open(self):
        for _ in range(200):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection((self.address, self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("nginx did not start: " + (self.folder / "error.log").read_text())

    def file_url(self, repository, path):
        return f"{self.url}/{repository.name}/resolve/{repository.commit}/{path}"

    def requests(self):
        """How many requests have been answered so far."""
        return len((self.folder / "access.log").read_text().splitlines())


def digest(entry):
    return entry["sha256"] if entry["size"] >= LFS_FROM else entry["git"]


def tree_entry(path, entry):
    answer = {"type": "file", "path": path, "size": entry["size"], "oid": entry["git"]}
    if entry["size"] >= LFS_FROM:
        answer["lfs"] = {"oid": entry["sha256"], "size": entry["size"], "pointerSize": 135}
    return answer


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
