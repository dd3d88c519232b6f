# docker build -t sam3-ui . && docker run -p 7860:7860 -v sam3-data:/data sam3-ui
# With a GPU: docker build --build-arg EXTRAS=[sam3] -t sam3-ui . and docker run --gpus all ...
FROM python:3.11-slim

ARG EXTRAS=""
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    SERVER_HOST=0.0.0.0 \
    SERVER_PORT=7860 \
    DATA_DIR=/data

WORKDIR /app
# The dependencies first, as a layer that a change of the code does not throw away.
COPY pyproject.toml constraints.txt README.md ./
RUN PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt pip install ".${EXTRAS}" && rm -rf build *.egg-info
COPY app.py ./
COPY backend backend
COPY sam3_ui sam3_ui
COPY assets assets

RUN useradd --uid 1000 --create-home sam3 && mkdir /data && chown sam3 /data
USER sam3
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"SERVER_PORT\"]}/health', timeout=5)"]
CMD ["python", "app.py"]
