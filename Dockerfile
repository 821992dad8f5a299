# tusd-py, to be run with a read-only root file system: docker-compose.yml shows how.

ARG PYTHON=python:3.13.7-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml setup.cfg constraints.txt README.md LICENSE ./
COPY tusd_py tusd_py
RUN pip wheel --no-cache-dir --constraint constraints.txt --wheel-dir /wheels '.[fast]' \
    && python -m venv /opt/tusd-py \
    && /opt/tusd-py/bin/pip install --no-cache-dir --no-index --find-links /wheels 'tusd-py[fast]'

FROM ${PYTHON}
RUN useradd --system --uid 10001 --user-group --no-create-home tusd-py \
    && install --directory --owner tusd-py --group tusd-py /srv/uploads
COPY --from=build /opt/tusd-py /opt/tusd-py
ENV PATH=/opt/tusd-py/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TUSD_PY_UPLOAD_DIR=/srv/uploads
USER 10001:10001
EXPOSE 8080
# What uploads are kept in without S3. Nothing else is written.
VOLUME /srv/uploads
# In exec form the server is process 1: it hears SIGTERM itself, and needs no other init.
ENTRYPOINT ["tusd-py"]
CMD ["serve"]
HEALTHCHECK --interval=15s --timeout=8s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/readyz', timeout=7)"]
