"""Auth tokens: leave to use a session, proven by an HMAC and kept nowhere.

``token = HMAC-SHA256(secret, session id || minimal big-endian expiration)``; verification needs no table, so a token
outlives a restart as long as the secret does. Session ids carry 128 random bits, because they alone protect the
renditions of a session, and a keyed tag of the caller that obtained them, so that after a refresh both sessions of a
stream can be known to be one caller's without remembering anybody.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Protocol

from baton.jobs.messages import AuthToken
from baton.kernel.clock import Clock
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import SessionId

__all__ = ["TOKEN_LIFETIME_S", "TOKEN_REFRESH_S", "TokenKeys", "TokenMint", "token_bytes"]

TOKEN_LIFETIME_S = 1800
"""How long a token is good for."""

TOKEN_REFRESH_S = TOKEN_LIFETIME_S // 10
"""Gateways ask for a new token when less than this remains."""

_RANDOM_BYTES = 16
_TAG_BYTES = 4
_FORBIDDEN = 403


class TokenKeys(Protocol):
    """The secrets behind tokens, the current one first; older ones verify until their tokens are gone."""

    @property
    def current(self) -> bytes:
        """The secret new tokens are made with."""
        ...

    def acceptable(self, now: float) -> tuple[bytes, ...]:
        """Secrets whose tokens are still honoured at Unix time ``now``."""
        ...


def token_bytes(*, secret: bytes, session_id: str, expiration: int) -> bytes:
    """The 32 bytes of a token; an expiration of 0 contributes nothing to the message."""
    magnitude = abs(expiration)
    message = session_id.encode("utf-8", "surrogateescape") + magnitude.to_bytes(
        (magnitude.bit_length() + 7) // 8, "big"
    )
    return hmac.digest(secret, message, "sha256")


def _caller_tag(secret: bytes, caller: str) -> str:
    return hmac.digest(secret, b"caller:" + caller.encode("utf-8", "surrogateescape"), hashlib.sha256)[
        :_TAG_BYTES
    ].hex()


class TokenMint:
    """Issues and checks tokens."""

    def __init__(
        self, *, keys: TokenKeys, clock: Clock, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        """``random_bytes`` must be a cryptographic source."""
        self._keys = keys
        self._clock = clock
        self._random_bytes = random_bytes

    def issue(self, *, caller: str) -> AuthToken:
        """A token for a fresh session of ``caller`` (a checksummed address, or a peer address off-chain)."""
        secret = self._keys.current
        session_id = SessionId(self._random_bytes(_RANDOM_BYTES).hex() + _caller_tag(secret, caller))
        expiration = int(self._clock.now()) + TOKEN_LIFETIME_S
        token = token_bytes(secret=secret, session_id=session_id, expiration=expiration)
        return AuthToken(token=token, session_id=session_id, expiration=expiration)

    def issue_for(self, session_id: SessionId) -> AuthToken:
        """A token for a session whose name is not ours: live streams are known by the gateway's (video.md 4.7)."""
        expiration = int(self._clock.now()) + TOKEN_LIFETIME_S
        token = token_bytes(secret=self._keys.current, session_id=session_id, expiration=expiration)
        return AuthToken(token=token, session_id=session_id, expiration=expiration)

    def matches(self, token: AuthToken) -> bool:
        """Whether we made this token, expired or not."""
        return any(
            hmac.compare_digest(
                token_bytes(secret=secret, session_id=token.session_id, expiration=token.expiration), token.token
            )
            for secret in self._keys.acceptable(self._clock.now())
        )

    def require(self, token: AuthToken | None) -> AuthToken:
        """The token itself when it is present, ours and not expired.

        Raises:
            RefusedError: 403 with the text for the first of these that fails.
        """
        if token is None:
            raise RefusedError(_FORBIDDEN, Text.MISSING_AUTH_TOKEN)
        if not self.matches(token):
            raise RefusedError(_FORBIDDEN, Text.INVALID_AUTH_TOKEN)
        if self._clock.now() > token.expiration:
            raise RefusedError(_FORBIDDEN, Text.EXPIRED_AUTH_TOKEN)
        return token

    def obtained_by(self, session_id: SessionId, caller: str) -> bool:
        """Whether the token of ``session_id`` was issued to ``caller``."""
        return any(
            hmac.compare_digest(session_id[-2 * _TAG_BYTES :].encode(), _caller_tag(secret, caller).encode())
            for secret in self._keys.acceptable(self._clock.now())
        )
