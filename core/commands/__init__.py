"""One module per command of ``python -m core``; each defines ``HELP``, ``add_arguments`` and ``run``."""
