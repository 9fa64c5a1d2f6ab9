"""What settings say of certificates and tokens, as the things that servers and clients need."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import grpc

from manypath_services.common.metrics import ServiceMetrics
from manypath_services.common.settings import CertificateFiles, ServiceSettings
from manypath_services.common.tls import RenewedCertificates
from manypath_services.common.tokens import call_credentials


class ClientSecurity(NamedTuple):
    """How calls to another server are made.

    Attributes:
        certificates: own ones and those trusted; None is a plain connection.
        token: sent with every call; None is none.
    """

    certificates: RenewedCertificates | None = None
    token: grpc.CallCredentials | None = None


def watch_certificates(settings: ServiceSettings, metrics: ServiceMetrics) -> RenewedCertificates | None:
    """Return the certificates that the settings name, their expiry and renewals as metrics; None if they name none.

    Raises:
        TlsError: they cannot be used.
    """
    files = settings.certificate_files
    if files.certificate is None and files.ca is None:
        return None
    certificates = RenewedCertificates(files, on_read=lambda outcome: metrics.renewals.labels(outcome).inc())
    if files.certificate is not None:
        metrics.watch_expiry("own", lambda: certificates.current()[0].expiry)
    if files.ca is not None:
        metrics.watch_expiry("authority", lambda: certificates.current()[0].ca_expiry)
    return certificates


def client_security(
    settings: ServiceSettings, metrics: ServiceMetrics, *, tls: bool, token_file: Path | None
) -> ClientSecurity:
    """Return how this service calls another one.

    Args:
        settings: with this service's certificates and those it trusts.
        metrics: where their expiry shows.
        tls: whether to use TLS at all.
        token_file: that holds the token the other one wants; None is none.

    Raises:
        TlsError, TokenFileError: the files cannot be used.
    """
    if not tls:
        return ClientSecurity()
    return ClientSecurity(
        watch_certificates(settings, metrics) or RenewedCertificates(CertificateFiles()),
        None if token_file is None else call_credentials(token_file),
    )
