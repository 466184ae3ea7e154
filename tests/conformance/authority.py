"""Certificates made for this run alone."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates. Its own is the file `certificate`, in PEM."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), _named("an authority of tests")
        made = self._begun(self.name, self.key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = folder / "authority.pem"
        self.certificate.write_bytes(_pem(made.sign(self.key, hashes.SHA256())))

    def sign(self, *hosts: str) -> tuple[Path, Path]:
        """A server's certificate for these names and addresses, and its key, as files in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._begun(_named("a server of tests"), key).add_extension(x509.SubjectAlternativeName(map(_host, hosts)), critical=False)
        certificate, key_file = self.folder / f"{hosts[0]}.crt", self.folder / f"{hosts[0]}.key"
        certificate.write_bytes(_pem(made.sign(self.key, hashes.SHA256())))
        plain = serialization.NoEncryption()
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        key_file.chmod(0o600)
        return certificate, key_file

    def _begun(self, subject: x509.Name, key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        named = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        return named.serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + _DAY)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
