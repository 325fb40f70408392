"""Writes an identity of a gateway, and the document that stands where an enclave would vouch for it, without any code of ours."""

import base64
import datetime
import hashlib
import json
import pathlib

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, x25519

HERE = pathlib.Path(__file__).parent
SDK = json.loads((HERE / "sdk-1.1.4.json").read_text())
NONCE = bytes(range(20))
TIMESTAMP_MS = 1_795_166_465_000


def certificate(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vector")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(datetime.datetime(2020, 1, 1)).not_valid_after(datetime.datetime(2100, 1, 1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def pem(key):
    parts = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*parts).decode()


def clamped(key):
    """The same key (RFC 7748, section 5), as a gateway's file has it."""
    return bytes([key[0] & 248]) + key[1:31] + bytes([key[31] & 127 | 64])


def document(key, certificate):
    der = serialization.Encoding.DER
    public_key = key.public_key().public_bytes(der, serialization.PublicFormat.SubjectPublicKeyInfo)
    multihash = lambda data: b"\x12\x20" + hashlib.sha256(data).digest()
    return {
        "module_id": "simulated evidence, nothing was measured",
        "digest": "SHA384",
        "timestamp": TIMESTAMP_MS,
        "pcrs": {register: bytes(48) for register in range(3)},
        "certificate": b"",
        "cabundle": [],
        "public_key": public_key,
        "user_data": multihash(certificate.public_bytes(der)) + multihash(public_key),
        "nonce": NONCE,
    }


def main():
    signing = serialization.load_pem_private_key(SDK["tee"]["private_key_pem"].encode(), None)
    tls = ec.derive_private_key(7, ec.SECP256R1())
    ohttp = x25519.X25519PrivateKey.from_private_bytes(clamped(bytes.fromhex(SDK["ohttp"]["recipient_sk"])))
    own = certificate(tls)
    blocks = pem(signing), own.public_bytes(serialization.Encoding.PEM).decode(), pem(tls), pem(ohttp)
    protected, payload = cbor2.dumps({1: -37}), cbor2.dumps(document(signing, own))
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    signature = signing.sign(cbor2.dumps(["Signature1", protected, b"", payload]), pss, hashes.SHA256())
    vector = {
        "note": "TEST KEYS ONLY.",
        "identity": "OpenGradient gateway identity, version 1: keep secret\n" + "".join(blocks),
        "nonce": NONCE.hex(),
        "timestamp_ms": TIMESTAMP_MS,
        "document": base64.b64encode(cbor2.dumps([protected, {}, payload, signature])).decode(),
    }
    (HERE / "attestation.json").write_text(json.dumps(vector, indent=1) + "\n")


main()
