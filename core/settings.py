"""Settings from ``CHARTLIGHT_*`` environment variables or a ``.env`` file.

docs/settings.md lists them; a test compares it with this class.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.errors import InputError

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """All settings of Chartlight; each field's description is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="CHARTLIGHT_", env_file=PROJECT_ROOT / ".env", env_ignore_empty=True, extra="ignore"
    )

    home: Path = Field(
        PROJECT_ROOT / ".chartlight", description="Folder for what Chartlight writes: demo cohort, cache, audit log."
    )
    datasets: Annotated[list[Path], NoDecode] = Field(
        default=[],
        description="MEDS dataset folders offered in the app, separated by commas. Empty: the demo in HOME/demo.",
    )
    concepts: Path | None = Field(
        None, description="Athena CONCEPT.csv, or its folder, for codes that a dataset leaves undescribed."
    )
    models: Path | None = Field(
        None, description="Folder of your own segmenters, one folder each, offered beside the shipped ones."
    )
    heads: Path = Field(PROJECT_ROOT / "assets" / "heads", description="Folder of risk heads, one folder per encoder.")
    features: Path | None = Field(None, description="Folder of cohort features written by `python -m core embed`.")
    results: Path | None = Field(None, description="Folder of benchmark results shown on the Benchmark page.")
    cache: Path | None = Field(
        None, description="SQLite file of the embedding cache. Default: HOME/embeddings.sqlite."
    )
    cache_gb: float = Field(
        4.0, gt=0, description="Size bound of the embedding cache in GB; the oldest entries go first."
    )
    encoder: str = Field("minilm", description="Encoder used where none is chosen.")
    encoders: Path | None = Field(None, description="TOML file with your own encoder entries.")
    weights: Path | None = Field(
        None, description="Folder with encoder weights, one folder per encoder name, looked in before the hub."
    )
    embedding_url: str = Field(
        "", description="Base URL of an OpenAI-compatible embeddings server, for the encoder `openai-compatible`."
    )
    embedding_model: str = Field("", description="Model name that the embeddings server expects.")
    embedding_key: str = Field("", description="API key for the embeddings server.", repr=False)
    device: str = Field("auto", description="torch device: auto, cpu, cuda, cuda:0, mps.")
    address: str = Field(
        "127.0.0.1", description="Address the dashboard binds to. Any other than loopback needs sign-in."
    )
    port: int = Field(8501, description="Port of the dashboard.")
    sign_in: bool = Field(
        False, description="Require sign-in through OpenID Connect (`[auth]` in .streamlit/secrets.toml)."
    )
    role_claim: str = Field(
        "roles", description="Claim of the identity token that carries the role: viewer, researcher or admin."
    )
    idle_minutes: int = Field(
        30, gt=0, description="Minutes without use, in any tab, after which one has to sign in again."
    )
    audit_log: Path | None = Field(None, description="Audit log (JSON lines). Default: HOME/audit.jsonl.")
    id_key: str = Field(
        "",
        description="Secret key for pseudonymous subject ids. Default: a random key kept in HOME/id.key.",
        repr=False,
    )
    upload_mb: int = Field(50, gt=0, description="Largest upload in MB.")
    queue_limit: int = Field(20, gt=0, description="Waiting model jobs above which new ones are refused.")
    queue_workers: int = Field(
        2, gt=0, description="Model jobs that run at once; each gets its share of the processor's cores."
    )
    job_timeout_s: float = Field(
        120.0, gt=0, description="Seconds after which a waiting or running model job is given up."
    )
    timings: bool = Field(False, description="Write to the log when the steps of a page's work end, for measuring.")

    @field_validator("datasets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("*")
    @classmethod
    def _in_home(cls, value: object) -> object:
        """``~/`` in .env, or behind the = of `make run DATA=~/x` in some shells, is the user's home and no folder."""
        if isinstance(value, list):
            return [cls._in_home(one) for one in value]
        return value.expanduser() if isinstance(value, Path) and value.parts[:1] == ("~",) else value

    @property
    def demo_path(self) -> Path:
        """Folder of the demo cohort."""
        return self.home / "demo"

    @property
    def dataset_paths(self) -> list[Path]:
        """Dataset folders to offer, the demo cohort where none is named."""
        return self.datasets or [self.demo_path]

    @property
    def cache_path(self) -> Path:
        """SQLite file of the embedding cache."""
        return self.cache or self.home / "embeddings.sqlite"

    @property
    def audit_path(self) -> Path:
        """File of the audit log."""
        return self.audit_log or self.home / "audit.jsonl"


@lru_cache
def get_settings() -> Settings:
    """Read the settings once per process.

    Raises:
        InputError: one is not what it has to be. The message has its name and not its value, which may be a secret.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"CHARTLIGHT_{'_'.join(map(str, found['loc'])).upper()}: {found['msg']}" for found in error.errors()]
        fix = "correct it in the environment or in .env; docs/settings.md says what each setting may be"
        raise InputError("; ".join(wrong), fix) from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(
            f".env cannot be read: {why}", "save it as UTF-8, readable by this user, or remove it"
        ) from None
