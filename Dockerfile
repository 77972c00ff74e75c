# The service on a slim image: what uv.lock says, nothing that only builds, tests or demonstrates.
FROM python:3.13-slim AS build
COPY pyproject.toml uv.lock README.md /source/
COPY service /source/service
COPY client /source/client
COPY deploy /source/deploy
RUN python -m pip install --no-cache-dir --target /uv uv && sh /source/deploy/install.sh /source /app /uv/bin/uv

FROM python:3.13-slim
LABEL org.opencontainers.image.title="gygo-server" \
      org.opencontainers.image.description="Serves video object segmentation data sets from S3"
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/gygo gygo
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GYGO_BIND=0.0.0.0:8000 \
    GYGO_CACHE_DIR=/var/lib/gygo/cache
USER gygo
VOLUME /var/lib/gygo
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["gygo-server", "serve"]
