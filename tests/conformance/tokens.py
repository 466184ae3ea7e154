"""Issuers with keys made for this run alone, and tokens that PyJWT signs with them. Each is remembered, to search the logs for it."""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

OPEN = "open.example.org"  # no permission asked
LISTED = "listed.example.org"  # a fixed list: the accounts below
ASKED = "asked.example.org"  # an HTTP service is asked
UNRULED = "unruled.example.org"  # the issuers may name it, but no rule says who may enter
UNLISTED = "unlisted.example.org"  # no issuer may name it
AUDIENCES = [OPEN, LISTED, ASKED, UNRULED]
LISTED_SUBJECTS = ["anna", "boris"]


@dataclass
class Issuer:
    """Who signs: `name` is the `iss` claim, `secret` what PyJWT signs with, `public` what the server is given."""

    name: str
    algorithm: str
    secret: object
    public: bytes


def _pem(private) -> bytes:
    return private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _issuers() -> dict[str, Issuer]:
    shared = secrets.token_hex(32)
    pairs = {
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    issuers = {"HS256": Issuer("hs256.example.org", "HS256", shared, shared.encode())}
    for algorithm, private in pairs.items():
        issuers[algorithm] = Issuer(f"{algorithm.lower()}.example.org", algorithm, private, _pem(private))
    return issuers


ISSUERS = _issuers()
MINTED: list[str] = []


def write_keys(folder: Path) -> dict[str, Path]:
    """Puts each issuer's public (or shared) key into the folder; returns the paths by algorithm."""
    paths = {}
    for algorithm, issuer in ISSUERS.items():
        paths[algorithm] = folder / f"{algorithm.lower()}.{'key' if algorithm == 'HS256' else 'pem'}"
        paths[algorithm].write_bytes(issuer.public)
        paths[algorithm].chmod(0o600)
    return paths


def token(sub: str, aud=OPEN, algorithm: str = "HS256", secret=None, lifetime_s: int | None = 3600, **claims) -> str:
    """A token of `sub`. `lifetime_s=None` leaves `exp` out; a claim given as None is left out too."""
    issuer = ISSUERS[algorithm]
    body = {"iss": issuer.name, "aud": aud, "sub": sub}
    if lifetime_s is not None:
        body["exp"] = int(time.time()) + lifetime_s
    body.update(claims)
    body = {name: value for name, value in body.items() if value is not None}
    signed = jwt.encode(body, secret or issuer.secret, algorithm=algorithm)
    MINTED.append(signed)
    return signed


def agent_id(sub: str, label: str = "web", aud: str = OPEN) -> str:
    """`label.sub.aud`."""
    return f"{label}.{sub}.{aud}"
