"""What messages are sent to in the tests: a real SMTP server with STARTTLS and AUTH (aiosmtpd), and a webhook
whose signatures are checked by the independent library of Standard Webhooks. Each message received is a line
of JSON on standard output.

usage: peers.py SMTP_PORT HOOK_PORT CERTIFICATE KEY WEBHOOK_SECRET
"""

import email
import json
import ssl
import sys
import threading
from email import policy
from http.server import BaseHTTPRequestHandler, HTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from standardwebhooks import Webhook

smtp_port, hook_port, certificate, key, secret = sys.argv[1:]
lock = threading.Lock()


def say(message):
    with lock:
        print(json.dumps(message), flush=True)


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=policy.default)
        parts = {kind: mail.get_body(preferencelist=(kind,)).get_content() for kind in ("plain", "html")}
        say({
            "kind": "mail",
            "encrypted": session.ssl is not None,
            "signed_in": bool(session.authenticated),
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            **parts,
        })
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"user", b"secret")
    return AuthResult(success=known)


class Hook(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            Webhook(secret).verify(body, dict(self.headers))
            verified = True
        except Exception as error:
            verified = str(error)
        say({"kind": "hook", "verified": verified, "body": json.loads(body)})
        self.send_response(204)
        self.end_headers()


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
Controller(
    Mailbox(),
    hostname="127.0.0.1",
    port=int(smtp_port),
    tls_context=context,
    require_starttls=True,
    authenticator=authenticate,
    auth_required=True,
).start()
hook = HTTPServer(("127.0.0.1", int(hook_port)), Hook)
say({"kind": "ready"})
hook.serve_forever()
