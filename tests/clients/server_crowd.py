"""Downloads one file with many threads that resume and retry as clients do: server_crowd.py REPO FILE THREADS --endpoint URL"""

import collections
import hashlib
import http.client
import threading
import time
import urllib.parse

import client

args = client.arguments(__doc__, "repo", "file", "threads", endpoint=None)
PATIENCE = 90


def fetch(address, path):
    """The file's bytes, whatever happens to the server; a 200 where a part was asked for starts over."""
    got, deadline = bytearray(), time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection(address, timeout=10)
            headers = {"Range": f"bytes={len(got)}-"} if got else {}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            if answer.status == 200:
                got.clear()
            elif answer.status != 206:
                raise OSError(f"status {answer.status}")
            expected = len(got) + int(answer.headers["Content-Length"])
            while chunk := answer.read1(65536):
                got += chunk
            if len(got) == expected:
                return bytes(got)
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.3)
    raise TimeoutError(f"{len(got)} bytes after {PATIENCE} s")


def crowd():
    address = urllib.parse.urlsplit(args.endpoint).netloc
    digests, failures = collections.Counter(), []

    def one():
        try:
            digests[hashlib.sha256(fetch(address, f"/{args.repo}/resolve/main/{args.file}")).hexdigest()] += 1
        except Exception as error:  # told to the test
            failures.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(int(args.threads))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"digests": dict(digests), "failures": failures}


client.run(crowd)
