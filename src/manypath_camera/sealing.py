"""Encryption of a spool's items at rest: AES-256-GCM with a key from a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from manypath_camera.errors import SpoolKeyError

KEY_BYTES = 32
_NONCE_BYTES = 12  # GCM's own size; random, which is safe for 2^32 items of one key


def read_key(path: Path) -> bytes:
    """Return the key of a file: 32 raw bytes, or 64 hexadecimal digits.

    Raises:
        SpoolKeyError: the file cannot be read, others may read it, or it holds something else.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as err:
        raise SpoolKeyError(f"cannot read the spool's key {path}: {err.strerror}") from err
    if stat.S_IMODE(mode) & 0o077:
        raise SpoolKeyError(f"the spool's key {path} can be read by others; chmod 600 {path}")
    if len(content) == KEY_BYTES:
        return content
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SpoolKeyError(
            f"the spool's key {path} has {len(content)} bytes; it must be 32 raw bytes or 64 hexadecimal digits: "
            f"openssl rand -hex 32 > {path}"
        )
    return key


class Seal:
    """Encrypts and decrypts items.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)

    def close(self, payload: bytes, context: bytes) -> bytes:
        """Return ``payload`` encrypted; it opens only with the same ``context``."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, payload, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Return what was encrypted.

        Raises:
            SpoolKeyError: another key, another context, or changed bytes.
        """
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
        except InvalidTag as err:
            raise SpoolKeyError("an item of the spool does not open with this key") from err
