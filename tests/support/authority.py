"""A certificate of an authority that nobody trusts."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from services.chassis.certificates import Certificate


def foreign_certificate(uri: str, address: str = "") -> Certificate:
    """Return a self-signed certificate that claims to be `uri`, and to be at an IP address if one is given."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    if address:
        names.append(x509.IPAddress(ip_address(address)))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "foreign")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    ).public_bytes(Encoding.PEM)
    return Certificate(certificate, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), certificate)
