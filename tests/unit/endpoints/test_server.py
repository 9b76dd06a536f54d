"""The HTTP server, over real sockets."""

import asyncio
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from shmtel.endpoints.readiness import ALIVE, Check, Readiness
from shmtel.endpoints.resources import Query, Resource
from shmtel.endpoints.server import EndpointError, HttpServer
from shmtel.errors import ShmtelError
from support.http import ask, document, get, problem
from support.processes import wait_until

WAIT_S = 20.0


class Daemon:
    """A target that says what it is told to."""

    def __init__(self) -> None:
        self.alive = True
        self.ready = True
        self.broken: BaseException | None = None
        self.hangs = False
        self.hanging = 0
        self.told: list[Resource] = []

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        if self.hangs:
            self.hanging += 1
            await asyncio.sleep(WAIT_S)
        if self.broken:
            raise self.broken
        return f"accept {accept}\n".encode(), "text/plain; version=0"

    async def readiness(self) -> Readiness:
        return Readiness([Check("work", self.ready, "goes round")])

    def liveness(self) -> Readiness:
        return Readiness([Check("pass", self.alive, "a while ago")], ALIVE)

    def resources(self) -> list[Resource]:
        return self.told


@contextmanager
def _serving(daemon: Daemon) -> Iterator[str]:
    server = HttpServer(daemon, "127.0.0.1", 0)
    url = server.open()
    try:
        yield url
    finally:
        server.close()


def test_the_endpoints() -> None:
    """Each says in its status what machines ask, and in words why."""
    daemon = Daemon()
    with _serving(daemon) as url:
        answer = get(f"{url}/metrics", "text/x")
        assert answer == (200, "accept text/x\n", "text/plain; version=0")
        assert get(f"{url}/livez")[:2] == (200, "alive\n")
        assert get(f"{url}/readyz")[:2] == (200, "ready\n")
        daemon.alive = daemon.ready = False
        assert get(f"{url}/livez").status == 503
        answer = get(f"{url}/readyz?verbose")
        assert answer.status == 503
        assert "[-]work failed: goes round" in answer.text
        daemon.broken = ShmtelError("no answer")
        assert get(f"{url}/metrics")[:2] == (503, "no answer\n")
        assert get(f"{url}/livez?verbose")[:2] == (
            503,
            "[-]pass failed: a while ago\nstalled\n",
        )
        assert get(f"{url}/elsewhere").status == 404
        assert get(f"{url}/api/v1").status == 404


def _check_headers(url: str, method: str = "GET", **headers: str) -> int:
    """Return the status of an answer that no cache keeps and no browser guesses at."""
    (status, _), told = ask(url, method, **headers)
    assert told.get_all("cache-control") == ["no-store"], url
    assert told.get_all("x-content-type-options") == ["nosniff"], url
    return status


def test_no_answer_is_kept_in_a_cache(api: str) -> None:
    """Neither one that is well nor any other."""
    url = api.removesuffix("/api/v1")
    pages = ("/metrics", "/livez", "/readyz", "/api/v1", "/api/v1/things")
    assert {_check_headers(url + page) for page in pages} == {200}
    assert {_check_headers(url + page, "HEAD") for page in pages} == {200}
    assert _check_headers(f"{url}/elsewhere") == 404
    assert _check_headers(f"{api}/elsewhere") == 404
    assert _check_headers(f"{url}/metrics", "POST") == 405
    assert _check_headers(f"{api}/things?no=1") == 400
    assert _check_headers(f"{api}/things?name=broken") == 500
    _, told = ask(f"{api}/things")
    assert _check_headers(f"{api}/things", if_none_match=told["etag"]) == 304


def test_no_refusal_is_kept_in_a_cache() -> None:
    """Whether the daemon refuses, ends, has a defect, or has too many who ask."""
    daemon = Daemon()
    daemon.alive = daemon.ready = False
    with _serving(daemon) as url:
        for error in (ShmtelError("no answer"), asyncio.CancelledError()):
            daemon.broken = error
            assert _check_headers(f"{url}/metrics") == 503
        daemon.broken = ZeroDivisionError()
        assert _check_headers(f"{url}/metrics") == 500
        assert _check_headers(f"{url}/livez") == 503
        assert _check_headers(f"{url}/readyz") == 503
        daemon.hangs = True
        with ExitStack() as stack:
            for _ in range(15):
                asked = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
                _connect(stack, url).sendall(asked)
            wait_until(lambda: daemon.hanging == 15, WAIT_S)
            assert _check_headers(f"{url}/elsewhere") == 503


def _connect(stack: ExitStack, url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return stack.enter_context(socket.create_connection((host, int(port))))


def test_idle_connections_take_no_probes_away() -> None:
    """The oldest make room for new ones, also in the middle of a request's head."""
    with _serving(Daemon()) as url, ExitStack() as stack:
        idle = [_connect(stack, url) for _ in range(40)]
        for one in idle[::2]:
            one.sendall(b"GET /livez HTTP/1.1\r\n")
        wait_until(lambda: get(f"{url}/livez").status == 200, WAIT_S)
        for path in ("livez", "readyz", "metrics"):
            assert get(f"{url}/{path}").status == 200
        idle[0].settimeout(WAIT_S)
        assert idle[0].recv(1) == b""


def test_a_path_with_a_slash_too_many() -> None:
    """Leads nowhere, and above all not to the host that somebody names."""
    with _serving(Daemon()) as url:
        assert get(f"{url}/metrics/").status == 404


def test_an_address_in_use() -> None:
    """Whoever opens it is told, before anything was started."""
    with _serving(Daemon()) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(EndpointError, match="in use"):
            HttpServer(Daemon(), "127.0.0.1", port).open()


def test_an_address_of_nobody() -> None:
    """A name that is not known is no defect of the server."""
    with pytest.raises(EndpointError):
        HttpServer(Daemon(), "no.such.host.invalid", 80).open()


def test_an_end_takes_no_time() -> None:
    """A scraper that keeps its connection, or says nothing, holds nobody up."""
    server = HttpServer(Daemon(), "127.0.0.1", 0)
    url = server.open()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as silent:
        silent.sendall(b"GET /met")
        assert get(f"{url}/livez").status == 200
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < WAIT_S / 10

    def is_over() -> bool:
        return not any(t.name == "shmtel-http" for t in threading.enumerate())

    wait_until(is_over, WAIT_S)


NASTY = "w\x1b[2J<script>\n"


def _read(query: Query) -> dict[str, object]:
    if query.globs.get("name") == "broken":
        raise ZeroDivisionError
    return {"schema": "s", "name": query.globs.get("name"), "limit": query.limit}


THINGS = Resource("things", "Things.", _read, {"name": "glob over names"}, True)


@pytest.fixture
def api() -> Iterator[str]:
    """Serve one resource."""
    daemon = Daemon()
    daemon.told = [THINGS]
    with _serving(daemon) as url:
        yield f"{url}/api/v1"


def test_the_index_tells_what_there_is(api: str) -> None:
    """Path, meaning and parameters of each resource."""
    (thing,) = document(api)["resources"]
    assert thing["path"] == "/api/v1/things"
    assert thing["text"] == "Things."
    assert list(thing["parameters"]) == ["name", "limit", "after"]


def test_a_document(api: str) -> None:
    """Whoever has it already gets none."""
    assert document(f"{api}/things?name=a*&limit=3") == {
        "schema": "s",
        "name": "a*",
        "limit": 3,
    }
    (status, text), headers = ask(f"{api}/things", "HEAD")
    assert (status, text) == (200, "")
    assert int(headers["content-length"]) > 0
    again, _ = ask(f"{api}/things", if_none_match=headers["etag"])
    assert again == (304, "")
    other, _ = ask(f"{api}/things?limit=1", if_none_match=headers["etag"])
    assert other[0] == 200


def test_an_end_amid_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever waits for a document learns that there will be none; it is no defect."""
    is_read, may_go = threading.Event(), threading.Event()

    def read(_query: Query) -> dict[str, object]:
        is_read.set()
        assert may_go.wait(WAIT_S)
        return {}

    daemon = Daemon()
    daemon.told = [Resource("slow", "Slow.", read)]
    with ThreadPoolExecutor(1) as askers:
        with _serving(daemon) as url:
            answer = askers.submit(problem, f"{url}/api/v1/slow")
            assert is_read.wait(WAIT_S)
        assert answer.result(WAIT_S)["status"] == 503
        may_go.set()
    assert "Traceback" not in caplog.text


def test_text_of_others_steers_nothing(api: str) -> None:
    """It comes back as it was sent, and on the way it is plain ASCII."""
    quoted = urllib.parse.quote(NASTY)
    (_, text), headers = ask(f"{api}/things?name={quoted}")
    assert headers["content-type"] == "application/json"
    assert text.rstrip("\n").isprintable()
    assert json.loads(text)["name"] == NASTY
    (_, text), _ = ask(f"{api}/things?{quoted}=1")
    assert text.rstrip("\n").isprintable()


def test_what_is_wrong_is_a_problem_document(api: str) -> None:
    """With the reason, and what there is instead."""
    found = problem(f"{api}/thing")
    assert (found["status"], found["title"]) == (404, "Not Found")
    assert "/api/v1" in found["detail"]
    found = problem(f"{api}/things?named=a")
    assert found["status"] == 400
    assert found["detail"] == "no parameter 'named' here; there are: name, limit, after"
    found = problem(f"{api}/things", "POST")
    assert found["status"] == 405
    _, headers = ask(f"{api}/things", "DELETE")
    assert set(headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_defect_is_told_and_logged(
    api: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asked learns no more than that, and the server goes on."""
    assert problem(f"{api}/things?name=broken")["status"] == 500
    assert document(f"{api}/things")
    wait_until(lambda: "ZeroDivisionError" in caplog.text, WAIT_S)
