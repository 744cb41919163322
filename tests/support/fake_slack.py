"""A Slack on loopback: incoming webhooks and the Web API's four calls, with Slack's documented limits.

What breaks a limit gets the answer that Slack documents for it. Any other call fails the test that made it.
"""

import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from jsonschema import Draft202012Validator

from support.http_server import LoopbackHttpServer, QuietHandler

SCHEMA = json.loads(Path(__file__).with_name("slack-message.schema.json").read_text(encoding="utf-8"))
VALID = Draft202012Validator(SCHEMA)
# slackapi/bolt-js#2509: found by trying, not documented.
TOTAL = 13_200
SECRET = "B000verysecret"
WEBHOOK = f"/services/T000/B000/{SECRET}"
TOKEN = "xoxb-1111-2222-verysecrettoken"
CHANNEL = "C012345"
# What mrkdwn may hold: the three entities, and links to http(s) addresses. Mentions begin with <!, <@, <#.
_ALLOWED = re.compile(r"&(?:amp|lt|gt);|<https?://[^<>|\s]+>")


def texts(message):
    """(text object or fallback, whether Slack reads it as mrkdwn) of a message."""
    yield message["text"], True
    for block in message["blocks"]:
        for part in [block.get("text"), *block.get("fields", []), *block.get("elements", [])]:
            if part is not None:
                yield part["text"], part["type"] == "mrkdwn"


def breach(message):
    """Slack's word for what is wrong with a message, and where; None for one that it takes."""
    wrong = next(iter(VALID.iter_errors(message)), None)
    if wrong is not None:
        place = "/".join(map(str, wrong.absolute_path))
        word = "no_text" if place in ("", "text") else "invalid_blocks"
        return word, f"{place}: {wrong.message[:300]}"
    size = len(json.dumps(message, ensure_ascii=False).encode("utf-16-le")) // 2
    if size > TOTAL:
        return "msg_blocks_too_long", f"{size} characters"
    for text, mrkdwn in texts(message):
        if not text.strip():
            return "invalid_blocks", "an empty text"
        if mrkdwn and re.search(r"[<>&]", _ALLOWED.sub("", text)):
            return "invalid_blocks", f"not escaped: {text[:300]}"
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", text):
            return "invalid_blocks", f"a control character: {text[:300]!r}"
    return None


@dataclass
class Call:
    path: str
    body: object
    headers: dict = field(default_factory=dict)


class FakeSlack:
    """``answers`` are used up in order, (status, body, headers) or None: no answer comes. Then Slack's own."""

    def __init__(self):
        self.answers, self.calls, self.breaches, self.files = [], [], [], {}
        self.release = threading.Event()
        self.lock = threading.Lock()
        fake = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake.answer(self, data)

            do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815 - the base class's names

        self.server = LoopbackHttpServer(Handler)
        self.url = self.server.url
        self.webhook, self.api_url = f"{self.url}{WEBHOOK}", f"{self.url}/api/"

    def close(self):
        self.release.set()
        self.server.close()

    def messages(self):
        """What was posted, in order."""
        return [call.body for call in self.calls if call.path in (WEBHOOK, "/api/chat.postMessage")]

    def paths(self):
        return [call.path for call in self.calls]

    def answer(self, handler, data):
        path = urlsplit(handler.path).path
        body = self.parsed(handler, path, data)
        with self.lock:
            self.calls.append(
                Call(path, body, {key.lower(): value for key, value in handler.headers.items()})
            )
            scripted = self.answers.pop(0) if self.answers else ()
        if scripted is None:
            self.release.wait(10)
            handler.close_connection = True
            return
        status, text, headers = scripted or self.own(handler, path, body)
        out = text if isinstance(text, bytes) else text.encode()
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(out)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(out)

    def parsed(self, handler, path, data):
        kind = handler.headers.get("Content-Type", "")
        if path.startswith("/upload/"):
            return data
        if "json" in kind:
            return json.loads(data)
        query = {**parse_qs(urlsplit(handler.path).query), **parse_qs(data.decode())}
        return {key: values[0] for key, values in query.items()}

    def own(self, handler, path, body):
        if handler.command != "POST":
            return self.unknown(handler, path)
        if path == WEBHOOK:
            wrong = self.noted(body)
            return (400, wrong[0], {}) if wrong else (200, "ok", {})
        if path.startswith("/upload/") and path.rpartition("/")[2] in self.files:
            found = self.files[path.rpartition("/")[2]]
            if len(body) != int(found["length"]):
                return 400, "wrong length", {}
            found["content"] = body
            return 200, f"OK - {len(body)}", {}
        if not path.startswith("/api/"):
            return self.unknown(handler, path)
        if handler.headers.get("Authorization") != f"Bearer {TOKEN}":
            return json_answer(ok=False, error="invalid_auth")
        return self.method(handler, path, body)

    def method(self, handler, path, body):
        match path.removeprefix("/api/"):
            case "chat.postMessage":
                wrong = self.noted(body)
                if wrong:
                    return json_answer(ok=False, error=wrong[0])
                if body.get("channel") != CHANNEL:
                    return json_answer(ok=False, error="channel_not_found")
                ts = f"{1764100000 + len(self.calls)}.000100"
                return json_answer(ok=True, channel=CHANNEL, ts=ts, message=body)
            case "files.getUploadURLExternal":
                if not body.get("filename") or not str(body.get("length", "")).isdigit():
                    return json_answer(ok=False, error="invalid_arguments")
                name = f"F{len(self.files) + 1:03}"
                self.files[name] = dict(body)
                return json_answer(ok=True, file_id=name, upload_url=f"{self.url}/upload/v1/{name}")
            case "files.completeUploadExternal":
                files = json.loads(body["files"]) if isinstance(body["files"], str) else body["files"]
                for file in files:
                    if "content" not in self.files.get(file["id"], {}):
                        return json_answer(ok=False, error="file_not_found")
                    self.files[file["id"]].update(channel=body["channel_id"], thread_ts=body.get("thread_ts"))
                return json_answer(ok=True, files=files)
        return self.unknown(handler, path)

    def noted(self, message):
        wrong = breach(message)
        if wrong:
            self.breaches.append(wrong)
        return wrong

    def unknown(self, handler, path):
        self.breaches.append(("unknown_method", f"{handler.command} {path}"))
        return 404, "", {}


def json_answer(**body):
    return 200, json.dumps(body), {"Content-Type": "application/json; charset=utf-8"}
