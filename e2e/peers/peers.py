"""What messages are sent to in the tests, each with an independent library on the other side: an SMTP server with
STARTTLS and AUTH (aiosmtpd), a webhook that verifies Standard Webhooks (standardwebhooks), and a push service with
one subscribed browser, which verifies VAPID (py_vapid) and decrypts (http_ece). Each message received is a line of
JSON on standard output, written before it is answered.

usage: peers.py SMTP_PORT HOOK_PORT PUSH_PORT CERTIFICATE KEY WEBHOOK_SECRET ANSWER_AFTER_SECONDS
"""

import asyncio
import base64
import email
import json
import os
import ssl
import sys
import threading
import time
from email import policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import http_ece
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02
from standardwebhooks import Webhook

smtp_port, hook_port, push_port, certificate, key, secret, pause = sys.argv[1:]
pause = float(pause)
lock = threading.Lock()
browser_key = ec.generate_private_key(ec.SECP256R1())
browser_auth = os.urandom(16)


def say(message):
    with lock:
        print(json.dumps(message), flush=True)


def url_base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=policy.default)
        parts = {kind: mail.get_body(preferencelist=(kind,)).get_content() for kind in ("plain", "html")}
        say({
            "kind": "mail",
            "at": time.time(),
            "encrypted": session.ssl is not None,
            "signed_in": bool(session.authenticated),
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            **parts,
        })
        await asyncio.sleep(pause)
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"user", b"secret")
    return AuthResult(success=known)


class Peer(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.take(body)
        time.sleep(pause)
        self.send_response(201)
        self.send_header("content-length", "0")
        self.end_headers()


class Hook(Peer):
    def take(self, body):
        try:
            Webhook(secret).verify(body, dict(self.headers))
            verified = True
        except Exception as error:
            verified = str(error)
        say({"kind": "hook", "id": self.headers["webhook-id"], "verified": verified, "body": json.loads(body)})


class Push(Peer):
    def take(self, body):
        try:
            verified = Vapid02.verify(self.headers["authorization"])
        except Exception as error:
            verified = repr(error)
        try:
            plain = http_ece.decrypt(body, private_key=browser_key, auth_secret=browser_auth, version="aes128gcm")
            plain = json.loads(plain)
        except Exception as error:
            plain = repr(error)
        token = self.headers["authorization"].split("t=")[1].split(",")[0]
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        headers = {name.lower(): value for name, value in self.headers.items()}
        say({"kind": "push", "verified": verified, "claims": claims, "headers": headers, "plain": plain})


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
push = ThreadingHTTPServer(("127.0.0.1", int(push_port)), Push)
push.socket = context.wrap_socket(push.socket, server_side=True)
threading.Thread(target=push.serve_forever, daemon=True).start()
hook = ThreadingHTTPServer(("127.0.0.1", int(hook_port)), Hook)
public = browser_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
say({"kind": "ready", "p256dh": url_base64(public), "auth": url_base64(browser_auth)})
hook.serve_forever()
