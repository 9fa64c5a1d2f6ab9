"""Authorities and identities for tests, as files that can be renewed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import NamedTuple

import trustme

from manypath_services.common.settings import CertificateFiles

HOST = "127.0.0.1"


class Identity(NamedTuple):
    """Files of one identity and of the authority that it trusts."""

    files: CertificateFiles

    @property
    def settings(self) -> dict[str, Path | None]:
        certificate, key, ca = self.files
        return {"tls_certificate": certificate, "tls_key": key, "tls_ca": ca}


class Authority:
    """Issues identities into a folder."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self._ca.cert_pem.bytes())

    def issue(self, name: str, *names: str, trusts: Path | None = None, expires: dt.datetime | None = None) -> Identity:
        """Write, or write anew, an identity; each file is replaced at once, as a careful renewal does it."""
        issued = self._ca.issue_cert(*(names or (HOST, "localhost")), not_after=expires)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        for file, content in ((key, issued.private_key_pem.bytes()), (certificate, chain)):
            fresh = file.with_suffix(".new")
            fresh.write_bytes(content)
            fresh.replace(file)
        return Identity(CertificateFiles(certificate, key, trusts or self.ca))


YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
