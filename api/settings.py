"""What an installation of the service is told: from the environment (`TABLEGATE_...`), secrets from files too."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def is_guarded(url: str) -> bool:
    """Whether what is sent to an address is encrypted on its way, or does not leave this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


class Settings(BaseSettings):
    """One frozen value, made at start and handed down.

    Attributes:
        data: folder of keys, encrypted tables and bundles; the database too, unless a URL names another.
        database_url: SQLAlchemy URL, `sqlite:///...` or `postgresql+psycopg://...`; empty for a file in `data`.
        database_url_file: file that holds it instead, for a password no environment should show.
        files_url: URL of the object store, as fsspec reads it; empty for a folder in `data`.
        wrapped_keys_url: URL of the store of wrapped keys, apart from the files; empty for a folder in `data`.
        keys: folder of this machine's own keys, the vault's and the signing key; None for one in `data`.
        webhook: URL that notices are posted to; empty for none.
        mail: `smtp://user:password@host:port/from@address` that notices are mailed through; empty for none.
        host, port: where the API and the pages are served.
        https: whether browsers come over HTTPS, through a proxy in front; cookies are then sent over it alone.
        public_url: address people reach the service by, such as `https://tablegate.example.org`; needed for `oidc_...`.
        oidc_issuer: address of the OpenID provider that people sign in with; empty for none.
        oidc_client_id, oidc_client_secret: what the service is known by there.
        oidc_client_secret_file: file that holds the secret instead.
        oidc_claim: which of the provider's claims is somebody's name here; `email` must be verified there.
        traces: collector that OpenTelemetry traces are sent to, `http://host:4318/v1/traces`; empty for none.
        policies: folder of further policy files, known by their stem; None for the shipped ones alone.
        max_upload_bytes: largest table taken in.
        session_idle_minutes, session_hours: how long a browser stays signed in.
        lease_seconds: how long a silent worker counts as alive.
        job_memory_bytes: address space a job may take; 0 for no limit.
    """

    model_config = SettingsConfigDict(env_prefix="TABLEGATE_", frozen=True, extra="ignore")

    data: Path = user_data_path("tablegate") / "service"
    database_url: str = ""
    database_url_file: Path | None = None
    files_url: str = ""
    wrapped_keys_url: str = ""
    keys: Path | None = None
    webhook: str = Field(default="", repr=False)
    mail: str = Field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    https: bool = False
    public_url: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = Field(default="", repr=False)
    oidc_client_secret_file: Path | None = None
    oidc_claim: str = "email"
    traces: str = ""
    policies: Path | None = None
    max_upload_bytes: int = Field(default=8 << 30, gt=0)
    session_idle_minutes: int = Field(default=30, gt=0)
    session_hours: int = Field(default=12, gt=0)
    lease_seconds: float = Field(default=20.0, gt=0)
    job_memory_bytes: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_database(self) -> Self:
        if self.database_url and self.database_url_file:
            raise ValueError("give TABLEGATE_DATABASE_URL or TABLEGATE_DATABASE_URL_FILE, not both")
        return self

    @model_validator(mode="after")
    def _whole_provider(self) -> Self:
        secret = bool(self.oidc_client_secret) != bool(self.oidc_client_secret_file)
        if self.oidc_issuer and not (self.oidc_client_id and self.public_url and secret):
            raise ValueError(
                "TABLEGATE_OIDC_ISSUER needs TABLEGATE_OIDC_CLIENT_ID, TABLEGATE_PUBLIC_URL, and one of "
                "TABLEGATE_OIDC_CLIENT_SECRET and TABLEGATE_OIDC_CLIENT_SECRET_FILE"
            )
        for name in ("oidc_issuer", "public_url"):
            if self.oidc_issuer and not is_guarded(getattr(self, name)):
                raise ValueError(f"TABLEGATE_{name.upper()} is an https address")
        return self

    @property
    def oidc_secret(self) -> str:
        """The secret shared with the provider."""
        if self.oidc_client_secret_file is not None:
            return self.oidc_client_secret_file.read_text(encoding="utf-8").strip()
        return self.oidc_client_secret

    @property
    def database(self) -> str:
        """The database's URL."""
        if self.database_url_file is not None:
            return self.database_url_file.read_text(encoding="utf-8").strip()
        return self.database_url or f"sqlite:///{self.data.absolute() / 'tablegate.db'}"

    @property
    def files(self) -> str:
        """URL of the object store."""
        return self.files_url or (self.data.absolute() / "files").as_uri()

    @property
    def wrapped_keys(self) -> str:
        """URL of the store of wrapped keys."""
        return self.wrapped_keys_url or (self.data.absolute() / "keys").as_uri()

    @property
    def keys_folder(self) -> Path:
        """Folder of this machine's own keys."""
        return self.keys or self.data.absolute() / "keys"

    @property
    def work(self) -> Path:
        """Folder for what a run writes before it is stored."""
        return self.data.absolute() / "work"

    def environment(self) -> dict[str, str]:
        """The same as variables, for a process of ours that is to read them."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {f"TABLEGATE_{name.upper()}": str(value) for name, value in given.items() if value is not None}
