# docker build -t page . && docker run --rm -p 7860:7860 page
FROM python:3.12-slim

# Where wheels of torch without CUDA are kept elsewhere: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL=

RUN useradd --create-home --uid 1000 visitor
WORKDIR /home/visitor/page

# Before the code, so that a change of it installs nothing again.
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

COPY app.py .
COPY affinevae affinevae
COPY benchmarks benchmarks
COPY classifiers classifiers
COPY demo demo
COPY textclf textclf
COPY training training
COPY weights weights

USER visitor
ENV GRADIO_ANALYTICS_ENABLED=False HF_HUB_DISABLE_TELEMETRY=1 PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=6s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=5)"]
CMD ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]
