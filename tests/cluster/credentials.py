"""Keys that NATS believes: certificates of our own authority, and an operator with an account and a user (nkeys and their JWTs)."""

import base64
import datetime
import hashlib
import ipaddress
import json
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

OPERATOR, ACCOUNT, USER, SEED = 14 << 3, 0, 20 << 3, 18 << 3


def certificates(folder: Path) -> dict[str, Path]:
    """`ca`, and for `server` and `client` a certificate and a key (`server_key`); a `stranger` authority beside them."""
    made: dict[str, Path] = {}

    def write(name: str, data: bytes):
        made[name] = folder / f"{name}.pem"
        made[name].write_bytes(data)
        made[name].chmod(0o600)

    def certificate(name: str, issuer=None):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(issuer[0] if issuer else subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        if issuer:
            names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
        write(name, signed.public_bytes(serialization.Encoding.PEM))
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        write(f"{name}_key", key.private_bytes(pem, form, serialization.NoEncryption()))
        return subject, key

    authority = certificate("ca")
    certificate("server", authority)
    certificate("client", authority)
    certificate("stranger")
    return made


def _crc16(data: bytes) -> bytes:
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc.to_bytes(2, "little")


def _base32(data: bytes) -> str:
    return base64.b32encode(data + _crc16(data)).decode().rstrip("=")


class Key:
    """An nkey of one kind."""

    def __init__(self, kind: int):
        self.kind = kind
        self.private = ed25519.Ed25519PrivateKey.generate()

    @property
    def public(self) -> str:
        """As others know it."""
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return _base32(bytes([self.kind]) + self.private.public_key().public_bytes(*raw))

    @property
    def seed(self) -> str:
        """As its owner has it."""
        raw = self.private.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
        return _base32(bytes([SEED | self.kind >> 5, (self.kind & 31) << 3]) + raw)

    def signs(self, subject: str, name: str, nats: dict) -> str:
        """A JWT as NATS has them."""

        def part(value: bytes) -> str:
            return base64.urlsafe_b64encode(value).decode().rstrip("=")

        claims = {"jti": "", "iat": 1_700_000_000, "iss": self.public, "name": name, "sub": subject, "nats": nats | {"version": 2}}
        claims["jti"] = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode().rstrip("=")
        head = part(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode()) + "." + part(json.dumps(claims).encode())
        return f"{head}.{part(self.private.sign(head.encode()))}"


def operator() -> tuple[str, str]:
    """The settings of a server that believes an operator, and the text of a user's file of credentials."""
    own, account, user = Key(OPERATOR), Key(ACCOUNT), Key(USER)
    without = {"subs": -1, "data": -1, "payload": -1}
    limits = without | {"imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
    of_operator = own.signs(own.public, "school", {"type": "operator"})
    of_account = own.signs(account.public, "nodes", {"type": "account", "limits": limits})
    of_user = account.signs(user.public, "node", {"type": "user", "pub": {}, "sub": {}} | without)
    settings = f"operator: {of_operator}\nresolver: MEMORY\nresolver_preload: {{ {account.public}: {of_account} }}\n"
    file = f"-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n" \
           f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    return settings, file


def secret() -> str:
    """One that no log may show."""
    return secrets.token_hex(16)
