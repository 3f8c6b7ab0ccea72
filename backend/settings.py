"""The service's settings: the vision library's and what HTTP needs on top, from the environment or `.env`."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from backend.addresses import parse_networks
from backend.auth import parse_keys
from backend.hosts import is_host, parse_hosts
from backend.job_files import OUTPUT_ALLOWANCE
from backend.rate_limit import Limit, parse_limits
from holdcheck.errors import SettingsError
from holdcheck.settings import Settings

_POSTGRES = ("postgresql", "postgres")
_USUAL_PORTS = {"http": 80, "https": 443}
_FIRST_RESULT_MB = 1
"""What the job before may have left, where nothing else is kept."""


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _origins(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return tuple(_origin(part.strip().lower()) for part in value.split(",") if part.strip())
    except ValueError:
        raise ValueError("takes origins like https://example.org, separated by commas, or *") from None


def _origin(text: str) -> str:
    """As browsers send it: in lower case, without the port that its scheme has anyway.

    Raises:
        ValueError: it is none.
    """
    if text == "*":
        return text
    parts = urlsplit(text)
    usual = _USUAL_PORTS.get(parts.scheme)
    host = re.sub(r":[0-9]*$", "", parts.netloc)
    if usual is None or text != f"{parts.scheme}://{parts.netloc}" or not is_host(host):
        raise ValueError(text)
    if parts.netloc.endswith(":") or parts.port == 0:
        raise ValueError(text)
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, usual) else "")


class ServiceSettings(Settings):
    """What the server can be tuned with."""

    host: str = Field("127.0.0.1", min_length=1)
    """Address to listen on. 0.0.0.0 lets other machines in."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    data_dir: Path = Path("data")
    """Where jobs are kept: photos until their analysis has ended, results until they expire. One server's at
    a time: a second does not start."""
    max_data_mb: float = Field(1024, ge=1, le=1048576)
    """What the jobs in DATA_DIR may take together; beyond it photos are refused with 507. MiB. At least
    MAX_UPLOAD_MB, 1, and 3 for each of MAX_QUEUE and the running analysis."""
    max_upload_mb: float = Field(20, ge=0.1, le=1024)
    """A larger photo is refused, while it arrives, with 413. MiB."""
    max_queue: int = Field(8, ge=0, le=1000)
    """So many analyses may wait behind the running one; the next is refused with 503 and Retry-After."""
    job_timeout_s: float = Field(120, ge=1, le=86400)
    """An analysis that runs longer ends at its next batch."""
    job_ttl_s: float = Field(3600, ge=1, le=604800)
    """How long a job's result and events are kept after its end. Its photo is deleted when it ends."""
    keep_corrections: bool = False
    """Keep, beyond their jobs, the photos whose climbers put the answer right and allow training with them:
    a copy without metadata of each photo is then kept as long as its result."""
    api_keys: SecretStr = SecretStr("")
    """Keys that open the service, separated by commas, each of 16 or more visible ASCII characters. Empty:
    it is open to everybody who can reach it."""
    rate_limit: Annotated[tuple[Limit, ...], NoDecode, BeforeValidator(parse_limits)] = ()
    """Photos that one key, or without keys one address, may send, like `30/minute`; several are separated by
    `;`. Beyond it 429. Empty: as many as the queue takes, for a whole gym may share one address."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_networks)] = ()
    """Addresses and networks of proxies in front, separated by commas: only what comes from them is believed
    to be forwarded, by X-Forwarded-For and X-Forwarded-Proto. Empty: nobody."""
    trusted_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_hosts)] = ()
    """Names by which the server may be called, separated by commas; `*.example.org` is all below it. Empty:
    any, because nothing is built from the name, and a server on a home network has many."""
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = ()
    """Origins whose pages may call the service, separated by commas. Empty: none but its own."""
    engine: Annotated[Literal["embedded", "ray"], BeforeValidator(_lower)] = "embedded"
    """embedded: analyses run in this process, one at a time. ray: on a cluster (docs/cluster-ray.md)."""
    database_url: SecretStr = SecretStr("")
    """The PostgreSQL in which several servers keep their jobs together, as postgresql://USER:PASSWORD@HOST/NAME;
    DATA_URL goes with it (docs/cluster.md). Empty: jobs are kept in DATA_DIR, by one server."""
    data_url: str = ""
    """Where those servers keep photos and results together: file:///FOLDER that each of them reaches, or
    s3://BUCKET/PREFIX, whose endpoint and credentials are AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on."""
    ray_address: str = ""
    """The cluster's address, as `ray start` prints it, or auto for this machine's. Empty: ENGINE=ray starts
    one of its own on this machine, which ends with it."""
    ray_application: str = Field("holdcheck", pattern=r"^[A-Za-z0-9_-]+$")
    """Servers that name the same one share its replicas, which have the settings of whoever deployed them."""
    ray_min_replicas: int = Field(1, ge=1, le=10000)
    """So many replicas hold the models even when nobody sends photos."""
    ray_max_replicas: int = Field(1, ge=1, le=10000)
    """So many at most; each runs one analysis at a time."""
    ray_gpus: float = Field(0, ge=0, le=16)
    """GPUs of one replica, for RUNTIME=torch; 0.25 lets four share one."""
    ray_classifier_batch: int = Field(0, ge=0, le=4096)
    """Crops of several analyses that one classifier for all replicas embeds at once, in torch whatever
    RUNTIME is. It has RAY_GPUS then, they have none. At least CLIP_BATCH_SIZE. 0: each has a classifier."""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    """The least important line that is logged."""
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = "text"
    """text: lines for people. json: one object a line."""

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        settings = super().load(**overrides)
        try:
            parse_keys(settings.api_keys.get_secret_value())
        except ValueError as error:
            # Not by a validator of the field, whose message would carry the value.
            raise SettingsError(f"API_KEYS=(hidden): {error}") from None
        if settings.max_data_mb < settings._least_data_mb:
            raise SettingsError(
                f"MAX_DATA_MB={settings.max_data_mb:g}: takes at least {settings._least_data_mb:g}, for a "
                f"photo of MAX_UPLOAD_MB={settings.max_upload_mb:g} after MAX_QUEUE={settings.max_queue}"
            )
        _check_shared(settings)
        if settings.engine == "ray" and find_spec("ray") is None:
            raise SettingsError("ENGINE=ray: ray is not installed; run `make cluster`, or unset ENGINE")
        if settings.ray_min_replicas > settings.ray_max_replicas:
            raise SettingsError(
                f"RAY_MIN_REPLICAS={settings.ray_min_replicas}: takes at most "
                f"RAY_MAX_REPLICAS={settings.ray_max_replicas}"
            )
        if 0 < settings.ray_classifier_batch < settings.clip_batch_size:
            raise SettingsError(
                f"RAY_CLASSIFIER_BATCH={settings.ray_classifier_batch}: takes at least "
                f"CLIP_BATCH_SIZE={settings.clip_batch_size}, or 0"
            )
        if settings.models_dir.exists() and not settings.models_dir.is_dir():
            raise SettingsError(f"MODELS_DIR={str(settings.models_dir)!r}: takes a folder")
        return settings

    @property
    def keys(self) -> tuple[str, ...]:
        return parse_keys(self.api_keys.get_secret_value())

    @property
    def shared(self) -> bool:
        """Whether several servers may share the jobs."""
        return bool(self.data_url)

    @property
    def slots(self) -> int:
        """So many analyses may run at once."""
        return self.ray_max_replicas if self.engine == "ray" else 1

    @property
    def _least_data_mb(self) -> float:
        """With less the queue could not fill: the answers to those ahead would leave no room for a photo."""
        answers = (self.slots + self.max_queue) * OUTPUT_ALLOWANCE / 2**20
        return self.max_upload_mb + _FIRST_RESULT_MB + answers

    @property
    def max_data_bytes(self) -> int:
        return int(self.max_data_mb * 2**20)

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_mb * 2**20)


def _check_shared(settings: ServiceSettings) -> None:
    database_url = settings.database_url.get_secret_value()
    if bool(database_url) != bool(settings.data_url):
        given, lacking = ("DATABASE_URL", "DATA_URL") if database_url else ("DATA_URL", "DATABASE_URL")
        raise SettingsError(
            f"{given}: takes {lacking} beside it: servers share their jobs' rows and files, or neither"
        )
    if not database_url:
        return
    if not _is_postgres(database_url):
        raise SettingsError(
            "DATABASE_URL=(hidden): takes postgresql://USER:PASSWORD@HOST/NAME, with %2F and so on for what "
            "is special in user and password"
        )
    if "@" in settings.data_url:
        raise SettingsError(
            "DATA_URL=(hidden): takes no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if not re.fullmatch(r"file:///.*[^/].*|s3://[^/].*", settings.data_url):
        raise SettingsError(f"DATA_URL={settings.data_url}: takes file:///FOLDER or s3://BUCKET/PREFIX")
    if find_spec("asyncpg") is None or find_spec("obstore") is None:
        raise SettingsError("DATABASE_URL: its libraries are missing: pip install 'holdcheck[cluster]'")


def _is_postgres(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # A password with / ? or # in it ends the host's part early.
        return (
            parts.scheme in _POSTGRES
            and (parts.port or 1) > 0
            and "@" not in url.replace(parts.netloc, "", 1)
        )
    except ValueError:
        return False
