"""Auth tokens: what verifies, in which order refusals come, and whose session it is."""

import pytest

from baton.jobs.messages import AuthToken
from baton.jobs.tokens import TOKEN_LIFETIME_S, TokenMint
from baton.kernel.clock import ManualClock
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import SessionId


class Keys:
    """Secrets a test turns by hand."""

    def __init__(self, *secrets: bytes) -> None:
        self.secrets = secrets

    @property
    def current(self) -> bytes:
        return self.secrets[0]

    def acceptable(self, now: float) -> tuple[bytes, ...]:
        del now
        return self.secrets


def refusal(mint: TokenMint, token: AuthToken | None) -> tuple[int, str]:
    with pytest.raises(RefusedError) as refused:
        mint.require(token)
    return refused.value.status, refused.value.text


def test_a_fresh_token_is_good_until_the_second_it_names() -> None:
    clock = ManualClock(now=1000.0)
    mint = TokenMint(keys=Keys(b"k" * 32), clock=clock)
    token = mint.issue(caller="gateway")
    assert token.expiration == 1000 + TOKEN_LIFETIME_S
    assert mint.require(token) is token
    clock.advance(TOKEN_LIFETIME_S)
    assert mint.require(token) is token
    clock.advance(1)
    assert refusal(mint, token) == (403, Text.EXPIRED_AUTH_TOKEN)


def test_a_session_id_holds_128_bits_of_the_source_of_chance() -> None:
    asked: list[int] = []

    def chance(size: int) -> bytes:
        asked.append(size)
        return b"\xa5" * size

    mint = TokenMint(keys=Keys(b"k" * 32), clock=ManualClock(), random_bytes=chance)
    assert mint.issue(caller="gateway").session_id.startswith("a5" * 16)
    assert asked == [16]


def test_missing_comes_before_invalid_and_invalid_before_expired() -> None:
    mint = TokenMint(keys=Keys(b"k" * 32), clock=ManualClock(now=1_000_000.0))
    assert refusal(mint, None) == (403, Text.MISSING_AUTH_TOKEN)
    forged = AuthToken(token=b"\x00" * 32, session_id=SessionId("s"), expiration=0)
    assert refusal(mint, forged) == (403, Text.INVALID_AUTH_TOKEN)


def test_changing_session_or_expiration_breaks_a_token() -> None:
    mint = TokenMint(keys=Keys(b"k" * 32), clock=ManualClock())
    token = mint.issue(caller="gateway")
    other = AuthToken(token=token.token, session_id=SessionId("0" * 40), expiration=token.expiration)
    later = AuthToken(token=token.token, session_id=token.session_id, expiration=token.expiration + 1)
    assert not mint.matches(other)
    assert not mint.matches(later)


def test_tokens_of_the_previous_secret_are_honoured_and_of_an_older_one_not() -> None:
    clock = ManualClock()
    keys = Keys(b"old" * 10)
    mint = TokenMint(keys=keys, clock=clock)
    token = mint.issue(caller="gateway")
    keys.secrets = (b"new" * 10, b"old" * 10)
    assert mint.matches(token)
    assert mint.obtained_by(token.session_id, "gateway")
    keys.secrets = (b"new" * 10,)
    assert not mint.matches(token)
    assert not mint.obtained_by(token.session_id, "gateway")


def test_a_session_knows_who_obtained_it_without_saying_so() -> None:
    mint = TokenMint(keys=Keys(b"k" * 32), clock=ManualClock())
    token = mint.issue(caller="10.1.2.3")
    assert mint.obtained_by(token.session_id, "10.1.2.3")
    assert not mint.obtained_by(token.session_id, "10.1.2.4")
    assert "10.1.2.3" not in token.session_id


def test_session_ids_carry_128_random_bits() -> None:
    mint = TokenMint(keys=Keys(b"k" * 32), clock=ManualClock())
    ids = {mint.issue(caller="gateway").session_id for _ in range(64)}
    assert len({i[:32] for i in ids}) == 64
