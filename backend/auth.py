"""Keys: who has one may use the service, and sees the jobs that were made with it."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from backend.errors import ApiKeyInvalid, ApiKeyMissing, RateLimited
from backend.rate_limit import MAX_CLIENTS, Limit, RateLimiter

LEAST_CHARACTERS = 16
SCHEME = b"bearer"
HEADER = b"x-api-key"
_HOW = "Send a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`."
_GUESSES = Limit(10, 60)
"""Different wrong keys from one client; beyond it no key of its is looked at."""
_REFUSALS = Limit(60, 60)
"""Answers 401 to one client; beyond it they are 429. A right key passes all the same."""


def parse_keys(value: str) -> tuple[str, ...]:
    """Read keys separated by commas.

    Raises:
        ValueError: one of them is none; the message does not tell it.
    """
    if not value:
        return ()
    keys = tuple(part.strip() for part in value.split(","))
    for number, key in enumerate(keys, 1):
        if len(key) < LEAST_CHARACTERS or not all("!" <= character <= "~" for character in key):
            raise ValueError(
                f"key {number} of {len(keys)} is none: each takes {LEAST_CHARACTERS} or more visible ASCII "
                "characters, and commas between them"
            )
    if len(set(keys)) < len(keys):
        raise ValueError("a key is there twice")
    return keys


class Keys:
    """The keys that open the service. It keeps their hashes alone."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._owners = {_digest(key.encode()): _owner(key.encode()) for key in keys}

    def __len__(self) -> int:
        return len(self._owners)

    def owner(self, offered: bytes) -> str | None:
        """Who has this key, or None. It takes as long for a wrong key as for any right one."""
        digest = _digest(offered)
        found = None
        for known, owner in self._owners.items():
            if hmac.compare_digest(known, digest):
                found = owner
        return found


class Doorkeeper:
    """Tells owners by their keys, and lets nobody try keys for long."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._guesses = RateLimiter([_GUESSES])
        self._refusals = RateLimiter([_REFUSALS])
        self._tried: OrderedDict[bytes, None] = OrderedDict()

    def owner(self, headers: Sequence[tuple[bytes, bytes]], client: str) -> str:
        """Who sends these headers.

        Raises:
            ApiKeyMissing, ApiKeyInvalid: nobody whom we know.
            RateLimited: the client tried too many keys; it is not told whether this one is right.
        """
        offered = _offered(headers)
        if not offered:
            raise self._refusal(client, ApiKeyMissing(f"This server is used with a key. {_HOW}"))
        # One a request: many headers would be many guesses.
        if len(offered) > 1:
            raise self._refusal(client, ApiKeyInvalid(f"There is more than one key. {_HOW}"))
        # Before the key is looked at: who tries them all must not learn which one it was.
        wait_s = self._guesses.wait_s(client)
        if wait_s:
            raise RateLimited("Too many wrong keys came from your address.", wait_s)
        key = offered.pop()
        owner = self._keys.owner(key)
        if owner is None:
            self._count_guess(client, key)
            raise self._refusal(client, ApiKeyInvalid(f"This is none of the server's keys. {_HOW}"))
        return owner

    def _count_guess(self, client: str, key: bytes) -> None:
        """One wrong key again and again is no guessing: a forgotten tablet must not shut out its gym."""
        guess = _digest(client.encode() + b"\0" + key)
        if guess not in self._tried:
            self._guesses.take(client)
        self._tried[guess] = None
        self._tried.move_to_end(guess)
        if len(self._tried) > MAX_CLIENTS:
            self._tried.popitem(last=False)

    def _refusal(self, client: str, error: ApiKeyMissing | ApiKeyInvalid) -> Exception:
        wait_s = self._refusals.take(client)
        if wait_s:
            return RateLimited("Too many requests without a right key came from your address.", wait_s)
        return error


def _offered(headers: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
    """The different keys in the headers, as bytes: who sends other characters than ours has none of ours."""
    offered = set()
    for name, value in headers:
        if name == HEADER:
            offered.add(value.strip())
        elif name == b"authorization":
            scheme, _, key = value.strip().partition(b" ")
            if scheme.lower() == SCHEME:
                offered.add(key.strip())
    return offered - {b""}


def _digest(key: bytes) -> bytes:
    """Of one length for every key: a comparison of digests tells nothing of the length either."""
    return hashlib.sha256(key).digest()


def _owner(key: bytes) -> str:
    """Stands for the key in the store: another hash than the one that keys are compared by."""
    return hashlib.blake2b(key, digest_size=16, person=b"holdcheck owner").hexdigest()
