# Chartlight in a container: not root, a read-only root file system, a health check. See docs/how-to/container.md.
FROM python:3.11-slim AS build
WORKDIR /opt/chartlight
COPY requirements.txt .
RUN python -m venv .venv && .venv/bin/pip install --no-cache-dir -r requirements.txt

FROM python:3.11-slim
# The OpenMP library that lightgbm loads is not in a slim image.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home chartlight
WORKDIR /opt/chartlight
COPY --from=build /opt/chartlight/.venv .venv
COPY . .
RUN install -d -o chartlight -g chartlight /var/lib/chartlight
ENV CHARTLIGHT_HOME=/var/lib/chartlight \
    CHARTLIGHT_ADDRESS=0.0.0.0 \
    CHARTLIGHT_SIGN_IN=true \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib
USER chartlight
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD [".venv/bin/python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('CHARTLIGHT_PORT', '8501') + '/_stcore/health', timeout=4)"]
ENTRYPOINT [".venv/bin/python", "-m", "core", "serve"]
