# The server in a container: an account of its own, nothing writable but /data, a password from a secret.
#   docker build --build-arg TORCH_INDEX_URL=<PyTorch's CPU index> --tag videollm .
# Without the argument torch brings gigabytes of CUDA, which a machine with such a card wants.
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX_URL
ENV PATH=/opt/videollm/bin:$PATH
WORKDIR /build
COPY requirements.lock requirements-torch.lock ./
RUN python -m venv /opt/videollm \
    && pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock \
    && pip install --no-cache-dir ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} -r requirements-torch.lock

COPY pyproject.toml README.md LICENSE ./
COPY videollm videollm
COPY train train
COPY serve serve
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

RUN useradd --system --uid 10001 --no-create-home videollm \
    && install --directory --owner=videollm --mode=700 /data
USER 10001
WORKDIR /data
ENV VIDEOLLM_CACHE=/data/cache
ENV VIDEOLLM_DATA=/data/serve
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=180s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
ENTRYPOINT ["videollm"]
CMD ["serve", "--host", "0.0.0.0", "--data", "/data/serve", "--password-file", "/run/secrets/password"]
