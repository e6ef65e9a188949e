"""``python -m core serve``: open the dashboard."""

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

from core.errors import InputError
from core.exposure import is_loopback, refuse_open_door
from core.settings import PROJECT_ROOT, Settings, get_settings

HELP = "open the dashboard in the browser; makes the demo cohort first where no dataset is named"
GRACE_SECONDS = 8.0
"""What the app gets to end by itself; Docker kills what is there ten seconds after its signal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--address", help="address to bind to (default: CHARTLIGHT_ADDRESS, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to bind to (default: CHARTLIGHT_PORT, 8501)")


def run(args: argparse.Namespace) -> None:
    """Check the address, make the demo cohort where it is asked for, and run Streamlit until it ends."""
    settings = get_settings()
    address = args.address or settings.address
    port = args.port or settings.port
    refuse_open_door(address, settings)
    refuse_taken_port(address, port)
    ensure_datasets(settings)
    print(f"Chartlight: http://{_in_url(address)}:{port}  (Ctrl-C ends it)", flush=True)
    if status := run_until_stopped(command(address, port, settings)):
        raise SystemExit(status)


def run_until_stopped(line: list[str]) -> int:
    """Run the app until it ends by itself or this process is asked to stop, by Ctrl-C or by SIGTERM.

    The app is then asked too and has GRACE_SECONDS to finish what it writes: service managers and containers signal
    this process alone.

    Returns:
        The app's exit status; 0 where it was asked to stop.
    """
    app = subprocess.Popen(line, cwd=PROJECT_ROOT, env=environment())
    try:
        return app.wait()
    except KeyboardInterrupt:
        app.terminate()
        try:
            app.wait(GRACE_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            app.kill()
            app.wait()
        return 0


def command(address: str, port: int, settings: Settings) -> list[str]:
    """Return the command line that runs the app; what it does not name is in .streamlit/config.toml."""
    options = {
        "server.address": address,
        "server.port": str(port),
        "server.maxUploadSize": str(settings.upload_mb),
        "server.headless": "true",
    }
    if not is_loopback(address):  # behind its own name, which only the proxy knows
        options["server.allowedHosts"] = "*"
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(PROJECT_ROOT / "app.py"), *flags]


def environment() -> dict[str, str]:
    """Return the environment of the app: nothing in it calls home, and threads that wait for others of a model sleep.

    OpenMP's threads spin while they wait, for the sake of one program alone on its cores. Where sessions, browsers
    and models share them, the spinning takes the core from the very thread that is waited for: explaining an image
    of 100 ms has been seen to burn 4 seconds of processor time, and half a minute to pass. Likewise jobs that run at
    once share the cores out: two jobs of one thread are done sooner than two of two threads that wait for each other.
    """
    threads = max(1, available_cores() // get_settings().queue_workers)
    ours = {"NO_ALBUMENTATIONS_UPDATE": "1", "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false"}
    return {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(threads), **os.environ, **ours}


def available_cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_taken_port(address: str, port: int) -> None:
    """Say so where something else listens on the port, or where the address is not ours."""
    if not 0 < port < 65536:
        raise InputError(f"cannot listen on port {port}", "give a port between 1 and 65535")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot listen on {address} port {port} ({reason})",
            "give a free port with --port or CHARTLIGHT_PORT, and an address of this machine",
        ) from error


def ensure_datasets(settings: Settings) -> None:
    """Make the demo cohort where it is what the app will show and it is not there yet."""
    for path in settings.dataset_paths:
        if not Path(path).is_dir() and path != settings.demo_path:
            raise InputError(
                f"there is no dataset folder {path}",
                "name MEDS folders in CHARTLIGHT_DATASETS (with make: DATA=), or none for the demo cohort",
            )
    if settings.demo_path in settings.dataset_paths and not settings.demo_path.is_dir():
        from core.ehr.demo import generate_demo
        from core.progress import terminal_bar

        print("Making the demo cohort of synthetic patients (about a minute, once) ...", file=sys.stderr, flush=True)
        with terminal_bar("demo cohort") as progress:
            generate_demo(settings.demo_path, progress=progress)


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address and not address.startswith("[") else address
