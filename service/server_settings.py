"""Settings of the server: options, or variables that begin with `GRAFTMATCH_SERVE_`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.status import ServerError

# What has to be said to listen for other machines without protection.
EXPOSED = "everyone on the network may read our donors"


class ServeSettings(BaseSettings):
    """Settings of `graftmatch serve`: `GRAFTMATCH_SERVE_...`, or options, which go first."""

    model_config = SettingsConfigDict(env_prefix="GRAFTMATCH_SERVE_", frozen=True)

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=50051, ge=0, le=65535, description="Port; 0 takes a free one.")
    tls_cert: Path | None = Field(
        default=None, description="Certificate of the server and of those who signed it, PEM."
    )
    tls_key: Path | None = Field(default=None, description="Private key of the certificate, PEM.")
    tls_client_ca: Path | None = Field(
        default=None,
        description="Certificates of those who sign clients, PEM: clients must have one.",
    )
    tokens: Path | None = Field(
        default=None, description="File of tokens, TOML, made with `graftmatch token new`."
    )
    insecure: str = Field(
        default="",
        description="Listens for other machines without TLS or tokens if it says exactly: "
        f"{EXPOSED}.",
    )
    audit_log: Path | None = Field(default=None, description="File that every call is written to.")
    audit_key: Path | None = Field(
        default=None,
        description="Key that identifiers are hashed with in the audit log, made if missing; by "
        "default the name of the log and `.key`.",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port of 127.0.0.1 that metrics are told at over HTTP.",
    )
    traces: str = Field(
        default="", description="Address of an OpenTelemetry collector (OTLP over gRPC) for traces."
    )
    reflection: bool = Field(default=True, description="Tell clients the calls that there are.")
    workers: int = Field(default=1, ge=1, le=256, description="Processes that share the port.")
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Threads of each process that compute; by default one a core.",
    )
    max_calls: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description="Calls that a process takes at once; more are refused with a time to retry.",
    )
    drain_seconds: float = Field(
        default=5,
        ge=0,
        le=3600,
        description="What calls under way have to end when the server stops.",
    )
    stall_seconds: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="After which a stream ends that its client does not read.",
    )
    reload_seconds: float = Field(
        default=5,
        gt=0,
        le=86_400,
        description="How often new donors and frequencies are looked for.",
    )
    keepalive_seconds: float = Field(
        default=60, ge=1, le=86_400, description="Silence after which a connection is tested."
    )
    connection_seconds: float = Field(
        default=3600,
        ge=1,
        le=1_000_000,
        description="Age at which a connection is closed; its calls have as long again to end.",
    )

    job_slots: int = Field(
        default=1,
        ge=0,
        le=256,
        description="Jobs that are worked on at a time, by all processes together, one in each.",
    )
    waiting_jobs: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Jobs of a site that have not ended; more are refused with a time to retry.",
    )
    job_days: float = Field(
        default=7, gt=0, le=3650, description="After which a job that has ended is removed."
    )

    @field_validator("tls_cert", "tls_key", "tls_client_ca", "tokens", "audit_log", "audit_key")
    @classmethod
    def _named(cls, path: Path | None) -> Path | None:
        # What an empty variable says; without the file it names there might be no protection.
        if path == Path():
            raise ValueError("names no file")
        return path

    @property
    def job_seconds(self) -> float:
        """After which a job that has ended is removed."""
        return 86_400 * self.job_days

    @property
    def compute_threads(self) -> int:
        """Threads of a process that compute."""
        return self.threads or os.cpu_count() or 1

    def audit_key_file(self, log: Path) -> Path:
        """Where the key of the audit log is."""
        return self.audit_key or log.with_name(f"{log.name}.key")


def serve_settings(**given: Any) -> ServeSettings:
    """Settings of the server, those given before those of the environment.

    Raises `ServerError`, also for a variable that is none: misspelt, it might have protected
    something.
    """
    known = {variable(name) for name in ServeSettings.model_fields}
    begin = str(ServeSettings.model_config["env_prefix"])
    unknown = [name for name in os.environ if name.upper().startswith(begin)]
    if unknown := sorted(name for name in unknown if name.upper() not in known):
        raise ServerError(f"there is no setting {', '.join(unknown)}; see docs/operations.md")
    try:
        return ServeSettings(**given)
    except ValidationError as error:
        raise ServerError(
            "; ".join(
                f"{(option if name in given else variable)(name)}: {one['msg']}, "
                f"not {str(one['input'])[:100]!r}"
                for one in error.errors()
                for name in [str(one["loc"][0])]
            )
        ) from error


def option(name: str) -> str:
    """The option of `graftmatch serve` for a setting."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """The variable of the environment for a setting of the server."""
    return f"{ServeSettings.model_config['env_prefix']}{name}".upper()
