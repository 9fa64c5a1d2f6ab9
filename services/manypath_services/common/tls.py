"""Certificates: read from files, checked before they are used, and read again when they are renewed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from manypath_services.common.errors import TlsError
from manypath_services.common.settings import CertificateFiles

_log = logging.getLogger(__name__)
Thing = TypeVar("Thing")
_GRACE_SECONDS = 60.0  # of calls on a channel whose certificate was renewed
_LOOK_SECONDS = 1.0  # between two looks at the files: handshakes of a storm of clients share one


class Certificates(NamedTuple):
    """What the files hold; as ``CertificateFiles``, in bytes.

    Attributes:
        chain: PEM of the own certificate and those between.
        key: PEM of its private key.
        ca: PEM of the trusted authorities.
        expiry: Unix time, in seconds, at which the own certificate ends; 0 if there is none.
        ca_expiry: likewise of the authority that ends first.
    """

    chain: bytes | None
    key: bytes | None
    ca: bytes | None
    expiry: float
    ca_expiry: float


def read_certificates(files: CertificateFiles) -> Certificates:
    """Read and check the files.

    Raises:
        TlsError: one cannot be read, holds none, or the key is another certificate's.
    """
    chain, key, ca = (None if file is None else _read(file) for file in files)
    expiry = ca_expiry = 0.0
    if files.certificate and files.key and chain is not None and key is not None:
        own = _parse(files.certificate, chain)[0]
        expiry = own.not_valid_after_utc.timestamp()
        if _public(files.key, key) != own.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ):
            raise TlsError(f"{files.key} is not the key of {files.certificate}; renew both together")
    if files.ca and ca is not None:
        ca_expiry = min(one.not_valid_after_utc.timestamp() for one in _parse(files.ca, ca))
    return Certificates(chain, key, ca, expiry, ca_expiry)


class RenewedCertificates:
    """The files' content, read again when they change; a renewal that makes no sense leaves the old content in use.

    Args:
        files: where they are.
        on_read: told "ok" or "failed" at each reading but the first.

    Raises:
        TlsError: at the first reading; later ones are logged.
    """

    def __init__(self, files: CertificateFiles, on_read: Callable[[str], None] | None = None) -> None:
        self._files = files
        self._on_read = on_read
        self._lock = threading.Lock()  # handshakes come from gRPC's threads, scrapes from another
        self._stamp = self._look()
        self._looked = time.monotonic()
        self._current = read_certificates(files)
        self._generation = 0

    def current(self) -> tuple[Certificates, int]:
        """Return the content now, and a number that grows with each renewal."""
        with self._lock:
            if time.monotonic() - self._looked >= _LOOK_SECONDS:
                self._looked = time.monotonic()
                self._renew()
            return self._current, self._generation

    def _renew(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._current = read_certificates(self._files)
        except TlsError as err:  # half of a renewal, or a mistake: the next look may find it whole
            _log.warning("renewed certificates are not usable, the old ones stay: %s", err)
            self._stamp = ()
            self._tell("failed")
            return
        self._generation += 1
        _log.info("certificates renewed", extra={"expiry": self._current.expiry})
        self._tell("ok")

    def _tell(self, outcome: str) -> None:
        if self._on_read is not None:
            self._on_read(outcome)

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for file in self._files:
            if file is not None:
                try:
                    status = file.stat()  # follows links: Kubernetes swaps one to renew a mounted Secret
                    found.append((status.st_ino, status.st_mtime_ns, status.st_size))
                except OSError:
                    found.append((0, 0, 0))
        return tuple(found)


def server_credentials(certificates: RenewedCertificates, *, require_client: bool) -> grpc.ServerCredentials:
    """Return credentials of a server whose every handshake uses the newest certificates.

    Args:
        certificates: with a certificate and a key.
        require_client: refuse callers without a certificate from the trusted authorities.
    """

    def configuration(content: Certificates) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(content.key or b"", content.chain or b"")], root_certificates=content.ca if require_client else None
        )

    first, generation = certificates.current()
    used = [generation]

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        content, newest = certificates.current()
        if newest == used[0]:
            return None
        used[0] = newest
        return configuration(content)

    fetch: Any = renewed  # its stubs do not know that None means no change
    return grpc.dynamic_ssl_server_credentials(
        configuration(first), fetch, require_client_authentication=require_client
    )


def client_credentials(
    certificates: RenewedCertificates, token: grpc.CallCredentials | None = None
) -> grpc.ChannelCredentials:
    """Return credentials of a client, from the newest certificates; a later renewal needs a channel anew.

    Args:
        certificates: of the client; without an own certificate it stays anonymous.
        token: sent with every call.
    """
    content, _ = certificates.current()
    credentials = grpc.ssl_channel_credentials(
        root_certificates=content.ca, private_key=content.key, certificate_chain=content.chain
    )
    return credentials if token is None else grpc.composite_channel_credentials(credentials, token)


class Renewed(Generic[Thing]):
    """Something that holds a connection, made anew when the certificates that it was made with are renewed.

    gRPC reads a client's certificates once, when it opens a channel. Calls under way finish on the old one.

    Args:
        make: given credentials; None is a plain connection.
        close: ends one, with the seconds that its calls may take to finish.
        certificates: None is a plain connection.
        token: sent with every call.
    """

    def __init__(
        self,
        make: Callable[[grpc.ChannelCredentials | None], Thing],
        close: Callable[[Thing, float], Awaitable[None]],
        *,
        certificates: RenewedCertificates | None = None,
        token: grpc.CallCredentials | None = None,
    ) -> None:
        self._make = make
        self._close = close
        self._certificates = certificates
        self._token = token
        self._generation = 0
        self._current: Thing | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def current(self) -> Thing:
        """Return it; call this for each use, on the event loop that it belongs to."""
        generation = 0 if self._certificates is None else self._certificates.current()[1]
        if self._current is not None and generation != self._generation:
            closing = asyncio.get_running_loop().create_task(_end(self._close, self._current))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._current = None
        if self._current is None:
            credentials = None if self._certificates is None else client_credentials(self._certificates, self._token)
            self._current = self._make(credentials)
            self._generation = generation
        return self._current

    async def close(self) -> None:
        """End it at once, and those that a renewal left behind."""
        for closing in tuple(self._closing):
            closing.cancel()
        if self._current is not None:
            await self._close(self._current, 0.0)


async def _end(close: Callable[[Thing, float], Awaitable[None]], thing: Thing) -> None:
    await close(thing, _GRACE_SECONDS)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as err:
        raise TlsError(f"cannot read {file}: {err.strerror}") from err


def _parse(file: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as err:
        raise TlsError(f"{file} holds no PEM certificate: {err}") from err


def _public(file: Path, pem: bytes) -> bytes:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as err:
        raise TlsError(f"{file} holds no PEM private key without a pass phrase: {err}") from err
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
