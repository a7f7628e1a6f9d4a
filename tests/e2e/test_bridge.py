"""The whole path: a wire, the unmodified firmware, the bridge as a process of its own, clients over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from tests.ports import free_port

from openkline.gateway.greeting import ask_for_port

from .daemon import COMMAND, bridge, command, free_ports, read_log
from .fixtures import VECTOR
from .rig import E39, PING, PlainClient, needs_captures, until


async def replay_to_eight(capture: Path, tmp_path: Path) -> None:
    expected, _ = read_log(capture)
    go, log = tmp_path / "go", tmp_path / "ibus.log"
    words = ("--replay", str(capture), "--sim", f"--start-file {go}", "-l", "4", "-f", str(log))
    async with bridge(*words) as running:
        clients = [await PlainClient(running.port).connect() for _ in range(8)]
        await until(lambda: b"firmware" in running.err, "the board has answered")
        go.touch()
        await until(lambda: all(len(client.frames) >= len(expected) for client in clients), timeout_s=60)
        assert await running.end() == 0
        await until(lambda: all(client.ended for client in clients))
        for client in clients:
            assert client.frames == [frame.data for frame in expected]
    logged, problems = read_log(log)
    assert not problems
    assert [frame.data for frame in logged] == [frame.data for frame in expected]
    assert all(line.endswith(b" \n") for line in log.read_bytes().splitlines(True))
    for n in range(1, len(logged)):
        gap_s = (logged[n].time or 0) - (logged[n - 1].time or 0)
        wanted_s = (expected[n].time or 0) - (expected[n - 1].time or 0)
        assert abs(gap_s - wanted_s) <= 0.005, n


async def test_a_drive_reaches_eight_clients_and_the_log(tmp_path: Path) -> None:
    capture = tmp_path / "drive.log"
    capture.write_bytes(VECTOR)
    await replay_to_eight(capture, tmp_path)


@needs_captures
async def test_a_key_is_turned_in_a_car_and_every_client_sees_every_frame(tmp_path: Path) -> None:
    await replay_to_eight(E39, tmp_path)


async def test_what_a_client_sends_comes_to_everyone_once() -> None:
    async with bridge("--car", "none") as running:
        clients = [await PlainClient(running.port).connect() for _ in range(3)]
        await until(lambda: b"firmware" in running.err)
        clients[1].send(0x68, 0x18, bytes.fromhex("38 00 00"))
        clients[1].send(0x68, 0x18, bytes.fromhex("38 01 00"))
        frames = [bytes.fromhex("68 05 18 38 00 00 4D"), bytes.fromhex("68 05 18 38 01 00 4C")]
        await until(lambda: all(len(client.frames) >= 2 for client in clients))
        assert [client.frames for client in clients] == [frames] * 3


async def test_sigterm_lets_out_what_was_sent_and_says_disconnect(tmp_path: Path) -> None:
    log = tmp_path / "ibus.log"
    async with bridge("--car", "none", "-l", "4", "-f", str(log), "--direction") as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", await ask_for_port("127.0.0.1", running.port))
        await until(lambda: b"firmware" in running.err)
        message = bytes.fromhex("68 18 01 00 64 00 00 00 01")
        writer.write(message * 3 + PING)
        heard = await reader.readuntil(PING)  # it has the messages, too
        assert await running.end() == 0
        heard += await reader.read()
        writer.close()
    assert heard.replace(PING, b"") == message * 3 + bytes(8)
    lines = log.read_text().splitlines()
    assert [line.partition(": ")[2] for line in lines] == ["68 03 18 01 72 > "] * 3


@pytest.mark.parametrize("level", ["0", "3"])
async def test_raw_frames_appear_at_level_4_only(level: str, tmp_path: Path) -> None:
    """Below that the log file has the messages of the level, each behind its time, and stderr has them, too."""
    log = tmp_path / "messages.log"
    async with bridge("-l", level, "-f", str(log)) as running:
        client = await PlainClient(running.port).connect()
        await until(lambda: len(client.frames) >= 3)
        assert [one["name"] for one in (await running.status())["logs"]] == [str(log)]
        assert await running.end() == 0
    assert running.out == b""
    assert (b"firmware" in running.err) is (level == "0")
    lines = log.read_text().splitlines()
    assert any("firmware" in line for line in lines) is (level == "0")
    assert all(re.match(r"\d{4}-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d(\.\d{6})?: .", line) for line in lines)
    assert not read_log(log)[0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_full_disk_harms_no_client() -> None:
    async with bridge("-l", "4", "-f", "/dev/full") as running:
        client = await PlainClient(running.port).connect()
        await until(lambda: len(client.frames) >= 10)
        status = await running.status()
        assert status["logs"][0]["failed"] > 0
        assert any("/dev/full" in problem for problem in status["problems"])
        assert await running.end() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_messages_that_nobody_can_have_harm_nothing(tmp_path: Path) -> None:
    """stderr on a full disk, from the first line on."""
    log, port = tmp_path / "ibus.log", free_ports()
    words = (*COMMAND, "bridge", "-d", "sim", "-p", str(port), "-l", "4", "-f", str(log))
    with Path("/dev/full").open("w") as full:
        process = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.DEVNULL, stderr=full)
    try:
        await until(lambda: log.exists() and log.stat().st_size > 200)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def test_it_introduces_itself_and_shows_frames_of_the_virtual_car() -> None:
    async with bridge() as running:
        await until(lambda: running.out.count(b"\n") >= 5, "frames on stdout")
        text = running.err.decode()
        assert "virtual board, with a virtual car" in text
        assert f"openkline monitor -i 127.0.0.1 -p {running.port}" in text
        assert b" -> " in running.out
        assert await running.end(signal.SIGINT) == 0


async def test_messages_and_frames_as_json_lines(tmp_path: Path) -> None:
    log = tmp_path / "ibus.jsonl"
    async with bridge("--log-json", "--format", "json", "-f", str(log)) as running:
        await until(lambda: running.out.count(b"\n") >= 3, "frames on stdout")
        status, out, err = await command("status", "-p", str(running.port), "--json")
        assert status == 0, err
        assert json.loads(out)["device"]["state"] == "ready"
        status, _, err = await command("bridge", "-d", "sim", "-p", str(running.port), "--log-json")
        assert status == 1
        assert "cannot listen" in json.loads(err.splitlines()[-1])["message"]
        assert await running.end() == 0
    messages = [json.loads(line) for line in running.err.splitlines()]
    assert all(set(message) == {"time", "level", "logger", "message"} for message in messages)
    assert messages[-1]["message"] == "stopping"
    status, out, err = await command("log", "--stats", "--json", str(log))
    assert status == 0, err
    statistics = json.loads(out)
    assert statistics["frames"] >= 3
    assert statistics["unreadable"] == 0


async def test_a_frame_starts_a_command(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    rules = tmp_path / "events"
    rules.write_text(f'"68 05 18 38 00 ?? ??" = touch {seen}\n')
    async with bridge("--car", "none", "-e", str(rules)) as running:
        client = await PlainClient(running.port).connect()
        client.send(0x68, 0x18, bytes.fromhex("38 00 00"))
        await until(seen.exists)
    async with bridge("--car", "none", "-e", str(tmp_path / "none")) as running:
        assert await running.end() == 2


async def test_hangup_reopens_the_log(tmp_path: Path) -> None:
    log = tmp_path / "ibus.log"
    async with bridge("-l", "4", "-f", str(log)) as running:
        await until(lambda: log.stat().st_size > 200)
        log.rename(tmp_path / "old.log")
        running.process.send_signal(signal.SIGHUP)
        await until(lambda: log.exists() and log.stat().st_size > 200)
        assert await running.end() == 0
    for path in (log, tmp_path / "old.log"):
        assert read_log(path)[1] == []


async def test_a_reader_of_stdout_that_sleeps_harms_no_client() -> None:
    async with bridge("--json") as running:
        for task in running._tasks[:1]:
            task.cancel()
        client = await PlainClient(running.port).connect()
        await until(lambda: len(client.frames) >= 10, timeout_s=60)


async def test_a_second_bridge_on_the_same_port_says_so() -> None:
    async with bridge("--car", "none") as running:
        status, _, err = await command("bridge", "-d", "sim", "-p", str(running.port))
        assert status == 1
        assert b"cannot listen" in err
        assert b"already" in err and b"-p chooses another port" in err
        free = str(free_port())
        status, _, err = await command("bridge", "-d", "sim", "-p", free, "--elm327", str(running.port))
        assert status == 1 and b"-p and --elm327 choose other ports" in err


async def test_an_address_of_another_computer() -> None:
    status, _, err = await command("bridge", "-d", "sim", "-i", "192.0.2.1", "--allow", "192.0.2.0/24")
    assert status == 1
    assert b"cannot listen on 192.0.2.1:4287" in err and b"-i must be an address of this computer" in err
    assert b"already" not in err
    status, _, err = await command("elm327", "-d", "sim", "--listen", "192.0.2.1:35000", "--allow", "192.0.2.0/24")
    assert status == 1 and b"cannot listen on 192.0.2.1:35000" in err and b"an address of this computer" in err


async def test_monitor_and_send_join_the_bridge() -> None:
    async with bridge("--car", "none") as running:
        await until(lambda: b"firmware" in running.err)
        listening = asyncio.create_task(command("monitor", "-p", str(running.port), "--json", "-n", "1"))
        client = await PlainClient(running.port).connect()
        sent = 0
        while not listening.done():
            status, out, err = await command("send", "-p", str(running.port), "--json", "68 18 38 00 00")
            assert status == 0, err
            assert json.loads(out) == {"frame": "68 05 18 38 00 00 4D", "outcome": "sent"}
            sent += 1
        status, out, err = await listening
        assert status == 0, err
        assert b"joined the bridge" in err
        assert json.loads(out)["frame"] == "68 05 18 38 00 00 4D"
        await until(lambda: len(client.frames) == sent)


@pytest.mark.parametrize("words", [("send", "68 18 01"), ("monitor",)])
async def test_a_bridge_that_is_named_is_not_replaced_by_a_board(words: tuple[str, ...]) -> None:
    port = str(free_port())
    status, out, err = await command(*words, "-p", port)
    assert (status, out) == (6, b"")
    assert f"no gateway at 127.0.0.1:{port}".encode() in err and b"opening" not in err and b"joined" not in err


async def test_without_a_bridge_they_open_the_board_themselves() -> None:
    status, out, err = await command("send", "-d", "sim", "--json", "68 18 38 00 00")
    assert status == 0, err
    result = json.loads(out)
    assert (result["outcome"], result["tries"]) == ("sent", 1)
    status, out, err = await command("monitor", "-d", "sim", "--json", "-n", "3")
    assert status == 0, err
    assert len(out.splitlines()) == 3


def test_a_bridge_whose_reader_has_gone_says_so() -> None:
    program = subprocess.Popen(
        [*COMMAND, "bridge", "-d", "sim", "-p", str(free_ports())],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None and program.stderr is not None
    program.stdout.readline()
    program.stdout.close()
    said = program.stderr.read().decode()
    assert program.wait(60) == 0
    assert "the program that read stdout has ended" in said and "Traceback" not in said
