FROM chefwell-test/base:1
COPY backend.py /app/backend.py
ENV HOST=0.0.0.0 PORT=3000 NODE_ENV=production
HEALTHCHECK --interval=4s --timeout=5s --start-period=20s --retries=3 \
    CMD curl -fsS "http://127.0.0.1:$PORT/health" || exit 1
EXPOSE 3000
CMD ["python3", "-u", "/app/backend.py"]
