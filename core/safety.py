"""The words of the safety notice, the same on every page, in every export and on the command line."""

NOTICE = "Research demonstration. Not a medical device; not for diagnosis, treatment or any other clinical use."
DATA_NOTICE = "Synthetic or de-identified data only."
EXPORT_NOTICE = f"Chartlight: {NOTICE}"
