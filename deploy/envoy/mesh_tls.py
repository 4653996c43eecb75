"""Envoy's side of mTLS on the mesh: its certificate comes from a folder that it watches, and is replaced in place."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
_TRUST_DOMAIN = "spiffe://parley/"
_CERTIFICATE, _AUTHORITY = "mesh_certificate", "mesh_authority"


@dataclass(frozen=True, slots=True)
class MeshTls:
    """Transport sockets; `secrets` is the folder that `write_secrets` wrote to."""

    secrets: str

    def listener(self) -> dict[str, Any]:
        """Return the socket of the mesh listener: whoever calls shows a certificate of the mesh."""
        context = {
            "@type": f"{_TLS}DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": self._common({"prefix": _TRUST_DOMAIN}),
        }
        return {"name": "envoy.transport_sockets.tls", "typed_config": context}

    def upstream(self, identity: str) -> dict[str, Any]:
        """Return the socket of a cluster: who answers must be that identity."""
        context = {
            "@type": f"{_TLS}UpstreamTlsContext",
            "common_tls_context": self._common({"exact": f"{_TRUST_DOMAIN}{identity}"}),
        }
        return {"name": "envoy.transport_sockets.tls", "typed_config": context}

    def _common(self, name: dict[str, str]) -> dict[str, Any]:
        return {
            "alpn_protocols": ["h2"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificate_sds_secret_configs": [self._secret(_CERTIFICATE)],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": name}]},
                "validation_context_sds_secret_config": self._secret(_AUTHORITY),
            },
        }

    def _secret(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "sds_config": {"path_config_source": {"path": f"{self.secrets}/{name}.json"}, "resource_api_version": "V3"},
        }


def write_secrets(certificates: str, secrets: Path) -> None:
    """Write files that tell Envoy where its certificate is, and to look again when the folder's link is swapped."""
    current = Path(certificates) / "current"
    watched = {"path": certificates}
    certificate = {
        "certificate_chain": {"filename": str(current / "certificate.pem")},
        "private_key": {"filename": str(current / "key.pem")},
        "watched_directory": watched,
    }
    authority = {"trusted_ca": {"filename": str(current / "authority.pem")}, "watched_directory": watched}
    # Envoy takes one from a file.
    for secret in (
        {"name": _CERTIFICATE, "tls_certificate": certificate},
        {"name": _AUTHORITY, "validation_context": authority},
    ):
        resource = {"@type": f"{_TLS}Secret", **secret}
        (secrets / f"{secret['name']}.json").write_text(json.dumps({"resources": [resource]}))
