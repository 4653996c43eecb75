"""Keeps the certificates of mesh identities fresh: asks Vault's PKI and lays them into folders, in time."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from services.chassis import logs
from services.chassis.certificates import TRUST_DOMAIN, Certificate, CertificateFolder
from services.chassis.secret_stores.settings import VaultSettings
from services.chassis.settings import ChassisSettings
from services.chassis.supervision import keep_running
from services.chassis.vault import VaultSession, keep_session

_log = logs.get(__name__)
_RENEW_AT = 2 / 3


class CertificateAgent:
    """Keeps one identity's certificate, which may be asked for `seconds`."""

    def __init__(self, session: VaultSession, identity: str, folder: CertificateFolder, seconds: float) -> None:
        self._session = session
        self._identity = identity
        self._folder = folder
        self._seconds = seconds

    async def keep(self) -> None:
        """Lay a certificate, and the next one when two thirds of its life are over, for ever.

        Raises:
            SecretsUnavailable: Vault is away.
            VaultError: Vault refuses.
        """
        while True:
            await self.renew()
            await asyncio.sleep(self._seconds * _RENEW_AT)

    async def renew(self) -> None:
        """Lay a fresh certificate. Raises as `keep`."""
        wishes = {"uri_sans": f"{TRUST_DOMAIN}{self._identity}", "ttl": f"{max(1, round(self._seconds))}s"}
        issued = await self._session.call(
            lambda client: client.secrets.pki.generate_certificate(
                self._identity, server_name(self._identity), extra_params=wishes
            )
        )
        data = issued["data"]
        authority = data["issuing_ca"].encode() + b"\n"
        chain = data["certificate"].encode() + b"\n" + authority
        certificate = Certificate(chain, data["private_key"].encode(), authority)
        version = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
        await asyncio.to_thread(self._folder.replace, certificate, version)
        _log.info("certificate laid", identity=self._identity, serial=data["serial_number"], seconds=self._seconds)


async def keep_certificates(folder: str, identities: Sequence[str]) -> None:
    """Keep the certificates of identities below a folder until SIGTERM or SIGINT.

    While Vault is away the certificates that were laid serve on.
    """
    settings = VaultSettings()
    logs.configure(ChassisSettings().log_level)
    session = VaultSession(settings.vault_url, settings.vault_login_file, settings.vault_ca)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    agents = [
        CertificateAgent(session, name, CertificateFolder(Path(folder) / name), settings.certificate_seconds)
        for name in identities
    ]
    tasks = [asyncio.create_task(keep_running("certificates", agent.keep)) for agent in agents]
    tasks.append(asyncio.create_task(keep_session(session)))
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await session.close()


def server_name(identity: str) -> str:
    """Return the DNS name in an identity's certificate."""
    return f"{identity}.parley.internal"
