"""An issuer that publishes its keys as a JWK Set: over HTTP or HTTPS, as it should or as it should not."""

import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import algorithms

import tokens

ISSUER = "published.example.org"
_KINDS = {
    "RS256": (lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048), algorithms.RSAAlgorithm),
    "PS256": (lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048), algorithms.RSAAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), algorithms.ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, algorithms.OKPAlgorithm),
}


class Key:
    """A pair of keys with a name."""

    def __init__(self, kid: str | None, algorithm: str = "ES256"):
        self.kid, self.algorithm = kid, algorithm
        make, self.kind = _KINDS[algorithm]
        self.private = make()

    @property
    def jwk(self) -> dict:
        """What is published."""
        public = self.kind.to_jwk(self.private.public_key(), as_dict=True)
        public.pop("key_ops", None)
        return public | ({"kid": self.kid} if self.kid else {})

    def token(self, sub: str, header: dict | None = None, **claims) -> str:
        """A token of `sub`, with the key's name in its header."""
        body = {"iss": ISSUER, "aud": tokens.OPEN, "sub": sub, "exp": int(time.time()) + 3600} | claims
        named = {"kid": self.kid} if self.kid else {}
        signed = jwt.encode(body, self.private, algorithm=self.algorithm, headers=named | (header or {}))
        tokens.MINTED.append(signed)
        return signed


class KeyServer:
    """Answers with the keys in `keys`, or as `fault` has it: "500", "hang", "garbage", "large", "private", "secret", "redirect", "empty".
    """

    def __init__(self, *keys: Key, files: tuple | None = None):
        self.keys, self.fault, self.max_age = list(keys), None, None
        self.asked = 0
        self.released = threading.Event()
        own = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                own.asked += 1
                try:
                    own._answer(self)
                except OSError:
                    pass  # the asker has heard enough

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.scheme = "https" if files else "http"
        if files:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*files)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where to ask."""
        return f"{self.scheme}://127.0.0.1:{self.server.server_port}/jwks.json"

    def document(self) -> bytes:
        """The set."""
        return json.dumps({"keys": [key.jwk for key in self.keys]}).encode()

    def _answer(self, request: BaseHTTPRequestHandler):
        body, status, headers = self.document(), 200, {}
        match self.fault:
            case "500":
                status = 500
            case "hang":
                self.released.wait(60)
            case "garbage":
                body = b"\x00\xff<html>not a set</html>"
            case "large":
                body = body[:-1] + b" " * (10 << 20) + b"}"
            case "private":
                private = self.keys[0].kind.to_jwk(self.keys[0].private, as_dict=True)
                body = json.dumps({"keys": [private]}).encode()
            case "secret":
                body = json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0LXdvcmQtb2YtdGhpcnR5LXR3by1ieXRlcyE"}]}).encode()
            case "redirect":
                status, headers = 302, {"location": "/elsewhere.json"}
            case "empty":
                body = b'{"keys": []}'
        request.send_response(status)
        if self.max_age is not None:
            request.send_header("cache-control", f"public, max-age={self.max_age}")
        for name, value in {"content-type": "application/json", "content-length": str(len(body))}.items():
            request.send_header(name, value)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def close(self):
        """Ends it, and whoever still waits in it."""
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
