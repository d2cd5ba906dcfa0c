"""The leaderboard's files: fetched from a server on this machine or a folder, checked,
and read.
"""

import functools
import gc
import hashlib
import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import pickllm as pk
from pickllm.core.pool import declared_pools
from pickllm.publish import reproduce
from pickllm.traces import leaderboard

#: The downloader leaves an answer that it refused to the garbage collector, which
#: closes its socket.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

EVERY = leaderboard.EVERY
N_FILES = 7 * 12 * 2  # models, categories, a result and a score


class Handler(SimpleHTTPRequestHandler):
    """Serves the files, counts what is asked for, and fails as the server's `plan`
    says.
    """

    def do_GET(self):
        path = self.path.lstrip("/")
        with self.server.lock:
            self.server.asked.append(path)
            plan = self.server.plan(path, len(self.server.asked))
        if plan is None:
            return super().do_GET()
        if plan == "missing":
            return self.send_error(404)
        if plan == "no answer":
            return self.connection.close()
        content = (self.server.folder / path).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(
            content[:-10] if plan == "cut off" else content[:-10] + b"0123456789"
        )
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server(rows_folder, monkeypatch):
    """A server of the rows on this machine: `url`, `asked` (paths), `plan` (path, how
    manieth -> how to fail).
    """
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("PICKLLM_MIRROR", raising=False)
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(rows_folder))
    ) as running:
        running.folder, running.asked, running.lock = rows_folder, [], threading.Lock()
        running.plan = lambda path, nth: None
        running.url = f"http://127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(
            target=running.serve_forever, kwargs={"poll_interval": 0.02}
        )
        thread.start()
        yield running
        running.shutdown()
        thread.join()
    gc.collect()  # such sockets are closed here and not in another test


def files(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def refused(call, kind=pk.InputError):
    with pytest.raises(kind) as error:
        call()
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


def test_the_registry_names_each_result_and_score_of_seven_models_once():
    pools = declared_pools()
    models = {m for n in pools if n != EVERY for m in pools[n]["models"]}
    assert len(models) == 7
    assert len(leaderboard.checksums()) == N_FILES
    every = leaderboard.checksums(EVERY)
    assert len(every) == 23 * 12 * 2
    assert leaderboard.checksums().items() <= every.items()
    assert {path.split("/")[2] for path in every} == set(pools[EVERY]["models"])
    for path, sha in leaderboard.checksums().items():
        day, kind, model, name = path.split("/")
        assert day == "2024-08-11"
        assert kind in ("result", "score")
        assert model in models
        assert name.endswith(f"_{kind}.json")
        assert len(sha) == 64
        assert int(sha, 16)


def test_fetching_brings_every_file_once_and_a_second_time_nothing(server, tmp_path):
    assert leaderboard.fetch(server.url, tmp_path, progress=False) == tmp_path
    assert files(tmp_path) == leaderboard.checksums()
    assert sorted(server.asked) == sorted(leaderboard.checksums())
    server.asked.clear()
    leaderboard.fetch(server.url + "/", tmp_path, progress=False)
    assert server.asked == []


def test_fetching_uses_the_mirror_and_the_cache_of_the_environment(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("PICKLLM_MIRROR", server.url)
    monkeypatch.setenv("PICKLLM_CACHE", str(tmp_path))
    assert not leaderboard.fetched()
    folder = leaderboard.fetch(progress=False)
    assert folder.is_relative_to(tmp_path)
    assert files(folder) == leaderboard.checksums()
    assert leaderboard.fetched()
    assert pk.load_trace("bfcl-2024-08-11-rows").n_queries == 1700


@pytest.mark.parametrize("pool", ["bfcl-2024-08-11", "bfcl-2024-08-11-second", EVERY])
def test_a_study_on_rows_fetches_what_that_pool_needs_and_no_sample_does(
    rows_folder, tmp_path, monkeypatch, pool
):
    monkeypatch.setenv("PICKLLM_MIRROR", str(rows_folder))
    monkeypatch.setenv("PICKLLM_CACHE", str(tmp_path))
    reproduce._fetch_rows(pool)
    assert not files(tmp_path)
    reproduce._fetch_rows(f"{pool}-rows")
    assert files(tmp_path / leaderboard.NAME) == leaderboard.checksums(pool)
    monkeypatch.setattr(leaderboard, "fetch", lambda **_: pytest.fail("fetched again"))
    reproduce._fetch_rows(f"{pool}-rows")


def test_every_row_is_fetched_though_those_of_four_are_here(
    rows_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("PICKLLM_MIRROR", str(rows_folder))
    monkeypatch.setenv("PICKLLM_CACHE", str(tmp_path))
    leaderboard.fetch(progress=False)
    reproduce._fetch_rows(f"{EVERY}-rows")
    assert leaderboard.fetched(EVERY)


@pytest.mark.parametrize("failure", ["missing", "cut off", "no answer"])
def test_an_interrupted_fetch_goes_on_from_where_it_stood(server, tmp_path, failure):
    server.plan = lambda path, nth: failure if nth > 100 else None
    message = refused(lambda: leaderboard.fetch(server.url, tmp_path, progress=False))
    assert f"cannot download {server.url}" in message
    assert "PICKLLM_MIRROR" in message
    assert f"kept in {tmp_path}" in message
    assert "goes on from there" in message
    arrived = files(tmp_path)
    assert 90 <= len(arrived) < N_FILES
    assert arrived.items() <= leaderboard.checksums().items()
    server.plan = lambda path, nth: None
    server.asked.clear()
    leaderboard.fetch(server.url, tmp_path, progress=False)
    assert files(tmp_path) == leaderboard.checksums()
    assert len(server.asked) == N_FILES - len(arrived)
    assert not set(server.asked) & arrived.keys()


def test_a_file_that_differs_from_its_checksum_is_refused_and_not_kept(
    server, tmp_path
):
    bad = sorted(leaderboard.checksums())[17]
    server.plan = lambda path, nth: "corrupted" if path == bad else None
    message = refused(lambda: leaderboard.fetch(server.url, tmp_path, progress=False))
    assert "checksum" in message
    assert bad in message
    assert leaderboard.checksums()[bad][:12] in message
    assert bad not in files(tmp_path)
    assert files(tmp_path).items() <= leaderboard.checksums().items()
    server.plan = lambda path, nth: None
    leaderboard.fetch(server.url, tmp_path, progress=False)
    assert files(tmp_path) == leaderboard.checksums()


@pytest.mark.parametrize("kind", ["server", "folder"])
def test_a_file_damaged_in_the_cache_is_fetched_again(
    server, rows_folder, tmp_path, kind
):
    source = server.url if kind == "server" else str(rows_folder)
    leaderboard.fetch(source, tmp_path, progress=False)
    (tmp_path / sorted(leaderboard.checksums())[3]).write_text("damaged")
    leaderboard.fetch(source, tmp_path, progress=False)
    assert files(tmp_path) == leaderboard.checksums()
    assert len(server.asked) == (N_FILES + 1 if kind == "server" else 0)


def test_no_server_is_one_line_with_the_next_move(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        url = f"http://127.0.0.1:{closed.server_address[1]}"
    message = refused(lambda: leaderboard.fetch(url, tmp_path, progress=False))
    assert url in message
    assert "check the network" in message
    assert "PICKLLM_MIRROR" in message
    assert files(tmp_path) == {}


def test_an_address_that_is_none_is_one_line(tmp_path):
    message = refused(
        lambda: leaderboard.fetch("gopher://127.0.0.1", tmp_path, progress=False)
    )
    assert "gopher://127.0.0.1" in message


def test_a_folder_is_a_mirror_too(rows_folder, tmp_path):
    source, target = tmp_path / "mirror", tmp_path / "cache"
    shutil.copytree(rows_folder / leaderboard.DAY, source / leaderboard.DAY)
    leaderboard.fetch(str(source), target, progress=False)
    assert files(target) == leaderboard.checksums()
    bad, gone = sorted(leaderboard.checksums())[:2]
    shutil.rmtree(target)
    (source / bad).write_text("damaged")
    assert "checksum" in refused(
        lambda: leaderboard.fetch(str(source), target, progress=False)
    )
    assert bad not in files(target)
    assert files(target).items() <= leaderboard.checksums().items()
    shutil.copy(rows_folder / bad, source / bad)
    (source / gone).unlink()
    shutil.rmtree(target)
    assert gone in refused(
        lambda: leaderboard.fetch(str(source), target, progress=False),
        FileNotFoundError,
    )


@pytest.mark.parametrize("name", ["with spaces", "é", "100%"])
def test_a_folder_of_any_name_is_a_mirror(rows_folder, tmp_path, name):
    shutil.copytree(rows_folder / leaderboard.DAY, tmp_path / name / leaderboard.DAY)
    leaderboard.fetch(str(tmp_path / name), tmp_path / "cache", progress=False)
    assert files(tmp_path / "cache") == leaderboard.checksums()


def test_a_cache_that_cannot_be_written_is_one_line(server, rows_folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for source in (server.url, str(rows_folder)):
        fetch = partial(leaderboard.fetch, source, tmp_path / "file", progress=False)
        assert "cannot write" in refused(fetch)


# Reading


def test_the_rows_have_the_leaderboards_means_and_size(rows):
    trace = rows["bfcl-2024-08-11"]
    assert trace.models == (
        "claude-3-haiku-20240307",
        "open-mixtral-8x7b",
        "command-r-plus",
        "gpt-4-1106-preview",
    )
    assert trace.accuracy.mean(axis=0) == pytest.approx(
        [0.751, 0.716, 0.808, 0.885], abs=5e-4
    )
    assert 100 * trace.cost_usd.mean(axis=0) == pytest.approx(
        [0.018, 0.038, 0.191, 0.534], abs=5e-4
    )
    assert trace.latency_ms.mean(axis=0) / 1000 == pytest.approx(
        [0.82, 1.23, 0.95, 1.50], abs=6e-3
    )
    sizes = {
        "simple": 400,
        "multiple": 200,
        "parallel": 200,
        "parallel_multiple": 200,
        "relevance": 240,
        "java_js": 150,
        "executable": 240,
        "rest": 70,
    }
    assert {c: trace.select(context=c).n_queries for c in trace.contexts} == sizes


def test_each_row_is_the_line_of_its_files(rows, rows_folder):
    for trace in rows.values():
        for j, model in enumerate(trace.models):
            seen = 0
            for category, context in leaderboard.CONTEXTS.items():
                day = rows_folder / "2024-08-11"
                lines = (
                    (
                        day
                        / "result"
                        / model
                        / f"gorilla_openfunctions_v1_test_{category}_result.json"
                    )
                    .read_text("utf-8")
                    .split("\n")
                )
                head, *wrong = (
                    json.loads(x)
                    for x in (
                        (day / "score" / model / f"{category}_score.json")
                        .read_text("utf-8")
                        .split("\n")
                    )
                    if x
                )
                wrong = {w["id"] - 1 for w in wrong}
                answers = [json.loads(line) for line in lines if line]
                block = slice(seen, seen + len(answers))
                assert set(trace.context[block]) == {context}
                assert trace.latency_ms[block, j] == pytest.approx(
                    [1000 * a["latency"] for a in answers]
                )
                assert trace.input_tokens[block, j].tolist() == [
                    a["input_token_count"] for a in answers
                ]
                assert trace.output_tokens[block, j].tolist() == [
                    a["output_token_count"] for a in answers
                ]
                assert trace.accuracy[block, j].tolist() == [
                    float(i not in wrong) for i in range(len(answers))
                ]
                assert trace.accuracy[block, j].mean() == pytest.approx(
                    head["accuracy"]
                )
                seen += len(answers)
            assert seen == trace.n_queries == 1700


def drop_last_failure(lines):
    return lines[:-1]


def change_stated_count(lines):
    head = json.loads(lines[0])
    return [json.dumps(head | {"correct_count": head["correct_count"] + 1}), *lines[1:]]


def change_stated_accuracy(lines):
    return [json.dumps(json.loads(lines[0]) | {"accuracy": 0.99}), *lines[1:]]


def name_no_query(lines):
    return [*lines[:-1], json.dumps(json.loads(lines[-1]) | {"id": 401})]


def cut_off(lines):
    return [*lines[:-1], lines[-1][:20]]


@pytest.mark.parametrize(
    "change",
    [
        drop_last_failure,
        change_stated_count,
        change_stated_accuracy,
        name_no_query,
        cut_off,
    ],
)
def test_a_tampered_score_file_is_refused_by_name(rows_folder, tmp_path, change):
    model, category = "open-mixtral-8x7b", "simple"
    for path in leaderboard._paths(model, category):
        (tmp_path / path).parent.mkdir(parents=True)
        shutil.copy(rows_folder / path, tmp_path / path)
    assert len(leaderboard.read_category(tmp_path, model, category)) == 400
    score = tmp_path / leaderboard._paths(model, category)[1]
    score.write_text("\n".join(change(score.read_text("utf-8").splitlines())), "utf-8")
    assert str(score) in refused(
        lambda: leaderboard.read_category(tmp_path, model, category)
    )


def test_rows_that_were_not_fetched_are_named_with_the_next_move(tmp_path, monkeypatch):
    monkeypatch.setenv("PICKLLM_CACHE", str(tmp_path))
    for call in (
        lambda: leaderboard.read(tmp_path),
        lambda: pk.load_trace("bfcl-2024-08-11-rows"),
    ):
        message = refused(call, FileNotFoundError)
        assert str(tmp_path) in message
        assert "pickllm fetch bfcl-2024-08-11" in message
