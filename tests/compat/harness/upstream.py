"""Another service with a model that embeds: it gives each text the numbers of its letters."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Upstream:
    """The service, on a free port of this machine, until it is stopped."""

    def __init__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers `POST /v1/embeddings` as OpenAI's API does."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        length = asked.get("dimensions", 4)
        vectors = [[ord(letter) / 128 for letter in text.ljust(length)[:length]] for text in asked["input"]]
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        tokens = sum(len(text.split()) for text in asked["input"])
        answer = {"object": "list", "data": data, "model": "m-1", "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""
