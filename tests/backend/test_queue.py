"""One analysis at a time: waiting, leaving, refusing, and a loop that always answers."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest

from tests.backend.conftest import StartServer
from tests.backend.server import Arrival, Server, problem


def _wait_until_idle(server: Server, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if server.get("/api/health").json()["queue"] == {"running": 0, "waiting": 0}:
            return
        time.sleep(0.02)
    raise AssertionError("the queue did not empty")


def _queue(server: Server) -> dict[str, int]:
    queue: dict[str, int] = server.get("/api/health").json()["queue"]
    return queue


@pytest.fixture
def idle_server(slow_server: Server) -> Server:
    _wait_until_idle(slow_server)
    return slow_server


def test_two_photos_are_analysed_one_after_the_other(idle_server: Server, wall: bytes) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(idle_server.events, wall) for _ in range(2)]
        first, second = sorted((each.result() for each in both), key=lambda events: events[-1].at)
    positions = [event.data["position"] for event in second if event.step == "queued"]
    assert positions == [1, 0]
    assert [event.data["position"] for event in first if event.step == "queued"] == [0]
    assert _came(second, "upload") >= _came(first, "result_problems") - 0.1


def _came(events: list[Arrival], step: str) -> float:
    return next(event.at for event in events if event.step == step)


def test_a_full_queue_refuses_with_a_time_to_come_back(idle_server: Server, wall: bytes) -> None:
    with ThreadPoolExecutor(3) as pool:
        taken = [pool.submit(idle_server.events, wall) for _ in range(3)]
        while _queue(idle_server) != {"running": 1, "waiting": 2}:
            assert not any(each.done() for each in taken)
            time.sleep(0.01)
        answer = idle_server.post(wall)
        assert (answer.status_code, problem(answer)["code"]) == (503, "queue_full")
        assert int(answer.headers["retry-after"]) >= 1
        assert all(each.result()[-1].step == "complete" for each in taken)


def test_a_client_that_leaves_comes_back_and_has_missed_nothing(idle_server: Server, wall: bytes) -> None:
    with httpx.Client(timeout=30) as client, closing(idle_server.stream(client, wall)) as events:  # type: ignore[type-var]
        seen: list[Arrival] = []
        while not seen or seen[-1].step != "detection_complete":
            seen.append(next(events))
    url = f"/api/jobs/{seen[0].data['job_id']}"
    rest = idle_server.follow(seen[0].data["job_id"], seen[-1].id)
    assert [event.id for event in (*seen, *rest)] == [str(n) for n in range(1, len(seen) + len(rest) + 1)]
    assert rest[-1].step == "complete"
    assert idle_server.get(url).json()["result"] == rest[-1].data["result"]
    idle_server.wait_until_photos_are_gone()


def test_a_client_that_leaves_while_waiting_is_answered_all_the_same(
    idle_server: Server, wall: bytes
) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(idle_server.events, wall)
        while _queue(idle_server)["running"] == 0:
            time.sleep(0.01)
        with httpx.Client(timeout=30) as client, closing(idle_server.stream(client, wall)) as events:  # type: ignore[type-var]
            first = next(events)
            assert first.data["position"] == 1
        assert running.result()[-1].step == "complete"
    assert idle_server.follow(first.data["job_id"], first.id)[-1].step == "complete"


def test_a_client_that_leaves_the_plain_answer_finds_it_under_its_key(
    idle_server: Server, wall: bytes
) -> None:
    photo = {"image": ("photo", wall)}
    key = {"Idempotency-Key": "a-phone-in-a-tunnel"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{idle_server.url}/api/analyze", files=photo, headers=key, timeout=httpx.Timeout(30, read=0.3)
        )
    answer = httpx.post(f"{idle_server.url}/api/analyze", files=photo, headers=key, timeout=60)
    assert answer.json()["hold_data"]


def test_a_client_that_leaves_during_the_upload_leaves_no_file(idle_server: Server) -> None:
    def broken() -> object:
        yield b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + b"x" * 100_000
        while not idle_server.photos():
            time.sleep(0.01)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        httpx.post(
            f"{idle_server.url}/api/analyze-stream",
            content=broken(),  # type: ignore[arg-type]
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
    deadline = time.monotonic() + 2
    while idle_server.photos():
        assert time.monotonic() < deadline


def test_livez_answers_within_50_ms_while_an_analysis_runs(idle_server: Server, wall: bytes) -> None:
    took_s: list[float] = []
    running = threading.Event()
    running.set()

    def ask() -> None:
        with httpx.Client(timeout=10) as client:
            while running.is_set():
                start = time.perf_counter()
                assert client.get(f"{idle_server.url}/livez").status_code == 200
                took_s.append(time.perf_counter() - start)
                time.sleep(0.005)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        for _ in range(2):
            assert idle_server.events(wall)[-1].step == "complete"
        running.clear()
        asking.result()
    assert len(took_s) > 100
    assert sorted(took_s)[int(0.99 * len(took_s))] < 0.050


def test_a_stop_lets_the_running_one_finish_and_tells_those_who_wait(
    start_server: StartServer, wall: bytes
) -> None:
    server = start_server(YOLO_IMG_SIZE="960", JOB_TTL_S="61")
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(server.events, wall) for _ in range(2)]
        while _queue(server) != {"running": 1, "waiting": 1}:
            assert not any(each.done() for each in both)
        assert server.stop() == 0
        ends = sorted(str(each.result()[-1].data.get("code")) for each in both)
    assert ends == ["None", "shutting_down"]
    assert len(server.photos()) == 1  # of the one that goes on after the next start
    assert "Traceback" not in server.log()


def test_a_waiting_photo_lies_on_disk_for_its_owner_only(idle_server: Server, wall: bytes) -> None:
    with httpx.Client(timeout=30) as client, closing(idle_server.stream(client, wall)) as events:  # type: ignore[type-var]
        next(events)
        (photo,) = idle_server.photos()
        assert photo.stat().st_mode & 0o777 == 0o600
        assert photo.parent.stat().st_mode & 0o777 == 0o700
        assert photo.read_bytes() == wall
