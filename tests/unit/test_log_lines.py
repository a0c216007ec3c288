"""Which lines of a log are errors: by their level where they state one, else by their words."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.checkpoint import log_lines

ERRORS = (
    # JSON: pino, winston, zap, bunyan behind a container's name, GELF, Elastic
    '{"level":50,"time":1732114800000,"msg":"request failed"}',
    '{"level":60,"msg":"going down"}',
    '{"level":"error","message":"cannot reach the printer"}',
    '{"severity":"CRITICAL","message":"no room"}',
    'backend_1  | {"name":"shop","level":50,"msg":"x"}',
    '{"version":"1.1","host":"a","short_message":"x","level":3}',
    '{"log.level":"fatal","message":"x"}',
    '{"level":{"name":"ERROR"},"msg":"x"}',
    # JSON without a level
    '{"status":500,"error":"connection refused"}',
    '{"err":{"message":"boom","stack":"at x"}}',
    '{"msg":"Unhandled promise rejection"}',
    # logfmt
    'ts=2025-11-20T03:00:00Z level=error msg="write failed"',
    'level="fatal" msg=x',
    "t=1 lvl=eror msg=bad",
    # brackets and capitals
    "[Nest] 27  - 11/20/2025, 3:00:00 AM   ERROR [ExceptionsHandler] relation does not exist",
    "2025-11-20 03:00:00.123 UTC [77] FATAL:  the database system is starting up",
    '2025-11-20 03:00:00 UTC [77] ERROR:  relation "x" does not exist',
    "2025/11/20 03:00:00 [crit] 12#12: *1 connect() failed",
    "2025/11/20 03:00:00 [emerg] 1#1: host not found",
    "2025-11-20T03:00:00.000-03:00 ERROR 1 --- [nio-8080-exec-1] c.c.Shop : boom",
    "\x1b[31merror\x1b[39m: the printer is gone",
    "<3> x [ERR] write failed",
    "SEVERE: servlet x threw",
    "E1120 03:00:00.000000       1 main.go:5] x",
    "[2025-11-20T03:00:00.000000-03:00] production.ERROR: the payment was refused {}",
    "[2025-11-20 03:00:00] local.EMERGENCY: the queue is gone",
    "fail: Shop.Orders[0]",
    "crit: Microsoft.AspNetCore.Server.Kestrel[0]",
    "ERROR:shop.orders:the printer is gone",
    # words
    "panic: runtime error: invalid memory address",
    "thread 'main' panicked at src/main.rs:2:5",
    "fatal: cannot open the queue",
    "Traceback (most recent call last):",
    "TypeError: Cannot read properties of undefined (reading 'id')",
    "QueryFailedError: duplicate key value",
    "java.lang.NullPointerException: Cannot invoke",
    "Error: connect ECONNREFUSED 10.0.0.2:5432",
    "UnhandledPromiseRejectionWarning: Unhandled promise rejection",
    "an error occurred while the order was saved",
    "3 errors while the menu was read",
    "errors: 2",
    "erro ao conectar ao banco",
    "Segmentation fault (core dumped)",
    "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
)
NONE = (
    '{"level":30,"time":1732114800000,"msg":"request completed","error":null}',
    '{"level":"info","msg":"no error so far","errors":[]}',
    '{"level":"warn","error":"slow","msg":"retrying"}',
    '{"status":200,"error":null}',
    '{"status":200,"error":""}',
    '{"status":200,"error":false,"errors":0}',
    '{"version":"1.1","short_message":"x error","level":6}',
    'ts=1 level=info msg="error rate is low"',
    'level=warn err="none"',
    "[Nest] 27  - 11/20/2025, 3:00:00 AM     LOG [RouterExplorer] Mapped {/api/errors, GET} route",
    "2025-11-20 03:00:00 UTC [77] LOG:  connection received: host=error.example",
    "2025/11/20 03:00:00 [warn] 12#12: an upstream error was retried",
    "2025-11-20T03:00:00 INFO 1 --- [main] o.s.b.ErrorPageRegistrar : registered errorHandler",
    "I1120 03:00:00.000000       1 main.go:5] error page registered",
    "[2025-11-20 03:00:00] production.INFO: errors of yesterday were sent {}",
    "info: Shop.ErrorPages[0]",
    "INFO:shop.orders:an error page was sent",
    "0 errors",
    "Found 0 errors. Watching for file changes.",
    "compiled without errors",
    "synchronized: 120 sent, errors: 0",
    "error_count=0 failed=0",
    "errorHandler registered",
    "loading /usr/share/nginx/html/error.html",
    "GET /api/errors 200 12 ms",
    "GET /api/error-reports 200 12 ms",
    "using error_log /var/log/nginx/error.log",
    "middleware: ErrorBoundary mounted",
    '"error": null',
    'response {"error":null,"data":[]}',
    "error rate: 0.00%",
    "sem erros desde a meia-noite",
    "0 erros, 12 pedidos",
    "nenhum erro encontrado",
    "no errors found",
    "listening on 3000",
    "",
)


@pytest.mark.parametrize("line", ERRORS)
def test_an_error(line: str) -> None:
    assert log_lines.is_error(line)


@pytest.mark.parametrize("line", NONE)
def test_no_error(line: str) -> None:
    assert not log_lines.is_error(line)
