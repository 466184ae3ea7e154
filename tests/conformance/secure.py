"""Certificates of the tests' own, made when they are needed, and clients that trust them."""

import datetime
import functools
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


@dataclass
class Authority:
    """One that signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass
class Files:
    """What a server shows, what proves that it may, and what its clients trust."""

    chain: Path
    key: Path
    root: Path

    def client(self, **versions) -> ssl.SSLContext:
        """A client that trusts the root and nobody else; `minimum_version` and `maximum_version` as `ssl` has them."""
        context = ssl.create_default_context(cafile=str(self.root))
        context.set_alpn_protocols(["http/1.1"])
        for name, version in versions.items():
            setattr(context, name, version)
        return context


def _signed(name: str, key, by: Authority | None, own_key, days: int, is_authority: bool) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by.certificate.subject if by else subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=400)).not_valid_after(now + datetime.timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    if is_authority:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    issuer_key = by.certificate.public_key() if by else key.public_key()
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    return builder.sign(own_key, hashes.SHA256())


@functools.cache
def authorities() -> tuple[Authority, Authority]:
    """The root, and one that it trusts."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    root = Authority(_signed("the tests' root", keys[0], None, keys[0], 3650, True), keys[0])
    return root, Authority(_signed("the tests' authority", keys[1], root, keys[0], 3650, True), keys[1])


def write(folder: Path, name: str = "server", days: int = 90, kind: str = "ecdsa") -> Files:
    """A certificate for this machine, with the one above it, in the folder; whoever reads it meanwhile finds the old or the new."""
    root, middle = authorities()
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    leaf = _signed(name, key, middle, middle.key, days, False)
    files = Files(folder / f"{name}.pem", folder / f"{name}.key", folder / "root.pem")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    contents = {
        files.root: root.pem,
        files.key: key.private_bytes(*form),
        files.chain: leaf.public_bytes(serialization.Encoding.PEM) + middle.pem,
    }
    for path, content in contents.items():
        beside = path.with_suffix(path.suffix + ".new")
        beside.write_bytes(content)
        beside.replace(path)
    return files
