# Six stages; what changes often comes last (docs/docker.md).
#
#   docker build -t holdcheck .                                            the bundled models
#   docker build -t holdcheck --build-arg PREPARE_CLIP=ViT-B/32 .          OpenAI's CLIP in the image as well
#
ARG PYTHON_VERSION=3.11
ARG NODE_VERSION=20

# --- base: the interpreter ---------------------------------------------------------------------------------------
FROM python:${PYTHON_VERSION}-slim-trixie AS base
ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN groupadd --gid 10001 holdcheck \
 && useradd --uid 10001 --gid holdcheck --home-dir /data --no-create-home --shell /sbin/nologin holdcheck
WORKDIR /app

# --- serve: what serving needs, again only when the versions change ------------------------------------------------
FROM base AS serve
RUN apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
# The project without its code, which is not installed but copied to /app.
COPY pyproject.toml constraints.txt LICENSE ./
RUN touch README.md \
 && python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --only-binary :all: --no-binary holdcheck --constraint constraints.txt .
ENV PATH=/opt/venv/bin:$PATH
COPY deploy/gather_runtime.sh /usr/local/bin/
RUN gather_runtime.sh /runtime && mkdir -p /owned/data /owned/models

# --- prepare: from weights to artefacts, the only stage with torch -------------------------------------------------
FROM serve AS prepare
# PyTorch's index of CPU builds. Empty: pip's own configuration decides, and a CUDA build is refused.
ARG TORCH_INDEX=
# What the image shall hold: ViT-B/32, or none.
ARG PREPARE_CLIP=none
# A file in weights/: an ultralytics segmentation model.
ARG YOLO_WEIGHTS=
# 1 installs torch where there is nothing to prepare yet: for an image that prepares when it is run.
ARG WITH_TORCH=
ENV MODELS_DIR=/models \
    HOME=/cache \
    HF_HOME=/cache/huggingface \
    MPLCONFIGDIR=/cache/matplotlib \
    YOLO_CONFIG_DIR=/cache \
    OMP_NUM_THREADS=1
RUN mkdir -p /prepared /models /cache && chown holdcheck:holdcheck /models /cache
RUN set -eu; [ "$PREPARE_CLIP" != none ] || [ "$YOLO_WEIGHTS$WITH_TORCH" ] || exit 0; \
    install="pip --python /opt/venv/bin/python install --constraint constraints.txt"; \
    torch="$install ${TORCH_INDEX:+--index-url $TORCH_INDEX} torch torchvision"; \
    if $torch --dry-run | grep -q ' nvidia-cu'; then \
      echo "pip would install gigabytes of CUDA: build with --build-arg TORCH_INDEX=..., the address of PyTorch's" \
        "CPU builds (its install page names it)" >&2; exit 1; \
    fi; \
    $torch; $install '.[models]'; \
    pip --python /opt/venv/bin/python uninstall --yes opencv-python; \
    $install --force-reinstall --no-deps opencv-python-headless
COPY deploy/prepare_for_image.sh /usr/local/bin/
COPY holdcheck/ holdcheck/
COPY weights/ weights/
# A file in weights/ that takes the place of the download of PREPARE_CLIP.
ARG CLIP_CHECKPOINT=
RUN prepare_for_image.sh
USER holdcheck
VOLUME /models /cache
ENTRYPOINT ["python", "-m", "holdcheck", "prepare"]

# --- frontend: the phone's app, the same on every processor ---------------------------------------------------------
FROM node:${NODE_VERSION}-bookworm-slim AS frontend
WORKDIR /app/frontend
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci
COPY frontend/ ./
RUN npm run build

# --- dev: the server again at each change of its source, which is mounted at /app (docker-compose.dev.yml) -----------
FROM serve AS dev
RUN pip --python /opt/venv/bin/python install --constraint constraints.txt watchfiles \
 && mkdir -p /data /models && chown holdcheck:holdcheck /data /models
COPY deploy/healthcheck.py ./
COPY holdcheck/ holdcheck/
COPY backend/ backend/
ENV HOST=0.0.0.0 PORT=8000 DATA_DIR=/data MODELS_DIR=/models
USER 10001:10001
VOLUME /data /models
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-I", "-S", "/app/healthcheck.py"]
CMD ["watchfiles", "--filter", "python", "--sigint-timeout", "12", "python -m backend", "backend", "holdcheck"]

# --- runtime: the server alone; last, so that it is what `docker build .` makes ----------------------------------------------------------------------------------------
FROM scratch AS runtime
ARG YOLO_WEIGHTS=
LABEL org.opencontainers.image.title=holdcheck \
      org.opencontainers.image.licenses=AGPL-3.0-only
COPY --from=serve /runtime/ /
COPY --from=serve --chown=10001:10001 /owned/ /
WORKDIR /app
COPY --from=frontend /app/frontend/dist/ frontend/dist/
COPY LICENSE ./
COPY deploy/healthcheck.py deploy/compile_imports.py ./
COPY holdcheck/ holdcheck/
# Below the packages' own models: a volume at MODELS_DIR neither hides nor keeps them.
COPY --from=prepare /prepared/ holdcheck/models/
COPY backend/ backend/
ENV PATH=/opt/venv/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data \
    MODELS_DIR=/models \
    YOLO_WEIGHTS=${YOLO_WEIGHTS}
RUN ["python", "-B", "compile_imports.py"]
USER 10001:10001
VOLUME /data /models
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-I", "-S", "/app/healthcheck.py"]
CMD ["python", "-m", "backend"]
