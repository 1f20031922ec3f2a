"""A local stand-in for OpenAI's API: chat completions, plain and streamed, embeddings, and an error."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHAT_USAGE = {
    "prompt_tokens": 1_200,
    "completion_tokens": 340,
    "total_tokens": 1_540,
    "prompt_tokens_details": {"cached_tokens": 1_000},
    "completion_tokens_details": {"reasoning_tokens": 40},
}
EMBEDDING_USAGE = {"prompt_tokens": 8, "total_tokens": 8}
FAILING_MODEL = "gpt-4o-fails"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if request.get("model") == FAILING_MODEL:
            self._json({"error": {"message": "no such model", "type": "invalid_request_error", "code": "bad"}}, 400)
        elif self.path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}]
            answer = {"object": "list", "model": "text-embedding-3-small", "data": data, "usage": EMBEDDING_USAGE}
            self._json(answer)
        elif request.get("stream"):
            self._stream()
        else:
            message = {"role": "assistant", "content": "Hello, Ada."}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            self._json(_completion("chat.completion", [choice]) | {"usage": CHAT_USAGE})

    def _json(self, body: dict[str, Any], status: int = 200) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        time.sleep(0.05)
        for text in ("Hello, ", "Ada."):
            delta = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
            self._chunk(_completion("chat.completion.chunk", [delta]))
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        self._chunk(_completion("chat.completion.chunk", [last]))
        self._chunk(_completion("chat.completion.chunk", []) | {"usage": CHAT_USAGE})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _chunk(self, body: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _completion(kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    frame = {"id": "chatcmpl-1", "object": kind, "created": int(time.time()), "model": "gpt-4o-2024-08-06"}
    return {**frame, "choices": choices}


@contextmanager
def fake_openai() -> Iterator[str]:
    """The base URL of a running stand-in."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
