"""A small OpenAI-compatible server on loopback, with faults by script."""

import hashlib
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def right_answer(prompt):
    """What the prompts of these tests ask for: 12 after ``please say 12``."""
    return prompt.split()[-1]


def is_right(model, prompt, quality):
    """Whether the stub answers rightly: of all prompts, a share `quality` of them."""
    draw = (
        int.from_bytes(hashlib.sha256(f"{model}|{prompt}".encode()).digest()[:8], "big")
        / 2**64
    )
    return draw < quality


class Stub:
    """An endpoint's behaviour and what it has seen.

    Parameters
    ----------
    model : str
        The name that it returns.
    quality : float
        Share of prompts that it answers rightly.
    seconds : float
        Before the first token of an answer.
    tokens : (int, int, int)
        Input, output and reasoning tokens that it reports.
    script : list
        Faults of the next requests in order, then none: a status, ``(status,
        headers)``, or a name: "slow", "trickle", "cut", "silent cut", "malformed",
        "empty", "nothing", "no usage", "error in stream".

    Attributes
    ----------
    requests : list of dict
        Bodies as they came, each with ``"headers"`` and ``"at"`` (monotonic seconds).
    """

    def __init__(
        self, model="stub-1", quality=1.0, seconds=0.0, tokens=(20, 5, 2), script=()
    ):
        self.model, self.quality, self.seconds, self.tokens = (
            model,
            quality,
            seconds,
            tokens,
        )
        self.script, self.requests = list(script), []
        self.guard, self.under_way, self.most = threading.Lock(), 0, 0

    def answer(self, prompt):
        return (
            right_answer(prompt)
            if is_right(self.model, prompt, self.quality)
            else "I do not know"
        )

    def usage(self):
        given, said, thought = self.tokens
        return {
            "prompt_tokens": given,
            "completion_tokens": said,
            "total_tokens": given + said,
            "completion_tokens_details": {"reasoning_tokens": thought},
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = (
        True  # or each answer of two writes waits 40 ms for the other side
    )

    def log_message(self, *_):
        pass

    def do_POST(self):
        stub = self.server.stub
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with stub.guard:
            fault = stub.script.pop(0) if stub.script else None
            stub.requests.append(
                body
                | {
                    "headers": dict(self.headers),
                    "at": time.monotonic(),
                    "path": self.path,
                    "fault": fault,
                }
            )
            stub.under_way += 1
            stub.most = max(stub.most, stub.under_way)
        try:
            self.reply(stub, body, fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with stub.guard:
                stub.under_way -= 1

    def reply(self, stub, body, fault):
        status, headers = fault if isinstance(fault, tuple) else (fault, {})
        if isinstance(status, int):
            said = (
                [{"message": "in a list"}]
                if "list" in headers
                else {
                    "error": {
                        "message": (
                            "no, and your header was"
                            f" {self.headers.get('Authorization')}"
                        )
                    }
                }
            )
            return self.whole(json.dumps(said).encode(), status, headers)
        if fault == "slow":
            self.server.ended.wait(1.5)
        self.server.ended.wait(stub.seconds)
        text = "" if fault == "empty" else stub.answer(body["messages"][-1]["content"])
        usage = None if fault == "no usage" else stub.usage()
        if fault == "nothing":
            return self.whole(b"")
        if body.get("stream"):
            return self.stream(
                stub,
                text,
                usage,
                fault,
                bool(body.get("stream_options", {}).get("include_usage")),
            )
        answer = {
            "id": "1",
            "created": 1,
            "model": stub.model,
            "system_fingerprint": "s",
            "usage": usage,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text},
                }
            ],
        }
        data = json.dumps({k: v for k, v in answer.items() if v is not None}).encode()
        if fault == "malformed":
            data = data[: len(data) // 2]
        if fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return None
        return self.whole(data)

    def whole(self, data, status=200, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, stub, text, usage, fault, metered):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if (
            fault == "silent cut"
        ):  # without a length or chunks the end of a connection is the end of the text
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        head = {"id": "1", "created": 1, "model": stub.model, "system_fingerprint": "s"}
        half = len(text) // 2
        parts = [
            {"role": "assistant", "content": ""},
            {"content": text[:half]},
            {"content": text[half:]},
        ]
        events = [
            head | {"choices": [{"index": 0, "delta": d, "finish_reason": None}]}
            for d in parts
        ]
        events.append(
            head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        )
        if usage and metered:
            events.append(head | {"choices": [], "usage": usage})
        lines = [f"data: {json.dumps(e)}\n\n".encode() for e in events] + [
            b"data: [DONE]\n\n"
        ]
        if fault == "malformed":
            lines[1] = b'data: {"choices": [\n\n'
        if fault == "error in stream":
            lines[1] = b'data: {"error": "overloaded", "error_type": "overloaded"}\n\n'
        for number, line in enumerate(lines):
            if fault in ("cut", "silent cut") and number == 2:
                self.close_connection = True
                return
            self.wfile.write(
                line if fault == "silent cut" else b"%x\r\n%s\r\n" % (len(line), line)
            )
            self.wfile.flush()
            if fault == "trickle":
                self.server.ended.wait(0.2)
        if fault != "silent cut":
            self.wfile.write(b"0\r\n\r\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that hangs up is none of the server's business."""


@contextmanager
def serving(stub=None, **behaviour):
    """Serve a stub on a free port of this machine; it has its ``base_url`` then."""
    stub = stub or Stub(**behaviour)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.stub, server.ended = stub, threading.Event()
    stub.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}
    )
    thread.start()
    try:
        yield stub
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
