"""The warehouse at the other end of the Webhook: takes what is signed with its secret, and nothing else.

python examples/events/receiver.py [PORT [ADDRESS]]
"""

import base64
import hashlib
import hmac
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRET = "whsec_bm90IGEgc2VjcmV0LCBidXQgYW4gZXhhbXBsZQ=="  # noqa: S105 - jobs.yaml says it, for all to see
LATEST_SECONDS = 300


class Warehouse(BaseHTTPRequestHandler):
    """Answers 204 to what it believes, 401 to the rest. A library such as `standardwebhooks` does the same."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        believed = self._is_signed(body)
        self.send_response(204 if believed else 401)
        self.end_headers()
        if believed:
            print(self.headers["ce-type"], self.headers["webhook-id"], body.decode(), flush=True)

    def _is_signed(self, body: bytes) -> bool:
        message_id, moment = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        if abs(time.time() - int(moment)) > LATEST_SECONDS:
            return False
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        signed = f"{message_id}.{moment}.".encode() + body
        wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return any(hmac.compare_digest(one, wanted) for one in self.headers["webhook-signature"].split())

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


if __name__ == "__main__":
    port, address = (*sys.argv[1:], *("8099", "127.0.0.1")[len(sys.argv) - 1 :])
    HTTPServer((address, int(port)), Warehouse).serve_forever()
