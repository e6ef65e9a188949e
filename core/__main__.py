import signal
import sys

from core.cli import as_interrupt, main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, as_interrupt)
    sys.exit(main())
