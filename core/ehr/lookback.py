"""Look-back windows: how far before the prediction time a record's text reaches. Those of Hegselmann et al., v5."""

from datetime import timedelta

LOOKBACKS: dict[str, timedelta | None] = {
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
    "1w": timedelta(days=7),
    "1mo": timedelta(days=30),
    "1y": timedelta(days=365),
    "3y": timedelta(days=3 * 365),
    "full": None,
}
"""Windows by id, the shortest first; None is the whole record."""
LOOKBACK_NAMES: dict[str, str] = {
    "1h": "1 hour",
    "1d": "1 day",
    "1w": "1 week",
    "1mo": "1 month",
    "1y": "1 year",
    "3y": "3 years",
    "full": "Whole record",
}
"""What a page calls them."""
