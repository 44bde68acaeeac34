"""Settings from the environment: variables that begin with `GRAFTMATCH_`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """`GRAFTMATCH_HOME`: folder of installed releases and of the default registry.

    `GRAFTMATCH_REGISTRY`: another registry, a folder or `postgresql://...`; "" is the default one.
    """

    model_config = SettingsConfigDict(env_prefix="GRAFTMATCH_", env_ignore_empty=True)

    home: Path = Field(
        default=Path.home() / ".graftmatch",
        description="Folder of releases, frequencies, models and the default registry.",
    )
    registry: str = Field(
        default="",
        description="Another registry, a folder or `postgresql://HOST/DATABASE`.",
    )

    @property
    def reference(self) -> Path:
        """Folder of the installed nomenclature releases."""
        return self.home / "reference"

    @property
    def frequencies(self) -> Path:
        """Folder of the imported frequency sets."""
        return self.home / "frequencies"

    @property
    def models(self) -> Path:
        """Folder of the fitted risk models."""
        return self.home / "models"

    @property
    def searches(self) -> Path:
        """Folder of the saved searches."""
        return self.home / "searches"

    def searches_of(self, site: str) -> Path:
        """Folder of the saved searches of a site of the service; of "" those of the commands."""
        return self.searches / "sites" / site if site else self.searches

    @property
    def jobs(self) -> Path:
        """Folder of the jobs of the service."""
        return self.home / "jobs"

    @property
    def requests(self) -> Path:
        """Folder of the answers to requests that are done once."""
        return self.home / "requests"

    def registry_place(self, named: str | Path | None) -> str | Path:
        """Where a registry is that was named, or the one in use."""
        return named or self.registry or self.home / "registry"
