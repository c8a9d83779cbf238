"""`ecg-gateway model` as people call it: what it prints, its exit code, what serves afterwards."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.commands import model as model_commands
from gateway.commands import model_self_test
from gateway.control import socket as control
from gateway.control.model import RELOAD
from gateway.control.socket import SOCKET_NAME, ControlRefused, ControlServer
from gateway.radio.keyring import create_sealing_key
from gateway.served_model.bundle import ModelBundle
from gateway.served_model.store import ModelStore
from tests.ward.bench import ChannelBench, heart

OTHER_MODEL = Path(__file__).parents[2] / "model/artefacts/specified_ds2.tflite"


class Clinic:
    """A configuration, a state directory, and the command line."""

    def __init__(self, folder: Path, trusted: tuple[str, ...], capsys) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir()
        self.store = ModelStore(self.state, trusted)
        self.key_file = folder / "keyring.key"
        self._capsys = capsys
        self._config = folder / "gateway.toml"
        self._config.write_text(
            f'state_directory = "{self.state}"\n'
            f"[model]\npublic_keys = {json.dumps(trusted)}\n"
            f'[keyring]\nkey_file = "{self.key_file}"\n'
        )

    def model(self, action: str, *arguments: object) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        asked = ["model", "--config", str(self._config), action, *map(str, arguments)]
        code = main(asked)
        out, err = self._capsys.readouterr()
        return code, out, err

    def install(self, bundle: ModelBundle | bytes, *options: str) -> tuple[int, str, str]:
        path = self.folder / "next.bundle"
        path.write_bytes(bundle if isinstance(bundle, bytes) else bundle.encode())
        return self.model("install", path, *options)

    @property
    def serving(self) -> str:
        return self.store.load_in_service().classifier.card.name


@pytest.fixture
def clinic(tmp_path, trusted, capsys) -> Clinic:
    return Clinic(tmp_path, trusted, capsys)


def test_show_tells_of_the_packaged_model_and_its_scores(clinic):
    code, out, err = clinic.model("show")
    assert (code, err) == (0, "")
    first, second, head, *scores = out.splitlines()
    assert first.startswith("beat_cnn ")
    assert first.endswith(", packaged")
    assert second == "before it: none"
    assert head.split()[-1] == "n"
    assert scores


def test_show_as_json_has_all_scores(clinic, bundle_of):
    clinic.install(bundle_of("beat_next"))
    shown = json.loads(clinic.model("show", "--json")[1])
    assert (shown["name"], shown["from"], shown["refused"]) == ("beat_next", "installed", None)
    assert shown["before_it"].startswith("beat_cnn ")
    assert "f1" in shown["scores"][0]["percent"]


def test_an_installed_model_serves_from_the_next_start_on(clinic, bundle_of):
    code, out, err = clinic.install(bundle_of("beat_next"))
    tested, taken = out.splitlines()
    assert (code, err) == (0, "")
    assert tested.startswith("self-test: 100.0 % of ")
    assert "drawn beats" in tested
    assert taken.endswith("serves from the next start on: no gateway is running")
    assert clinic.serving == "beat_next"
    assert clinic.model("verify")[:2] == (
        0,
        f"ok: beat_next {clinic.store.current[:8]}, installed\n",
    )


def test_stored_beats_are_tested_where_there_are_some(clinic, bundle_of):
    create_sealing_key(clinic.key_file)
    clinic.key_file.write_text("00" * 32)
    bench = ChannelBench(clinic.state, heart(60.0))
    bench.send(range(1, 75))
    bench.commit()
    bench.close()
    _, out, err = clinic.install(bundle_of("beat_next"))
    assert "stored beats are N or not N as" in out
    assert err == ""


def test_stored_beats_that_cannot_be_opened_are_left_out(clinic, bundle_of):
    ChannelBench(clinic.state, heart(1.0)).close()
    code, out, err = clinic.install(bundle_of("beat_next"))
    assert code == 0
    assert "drawn beats" in out
    assert err.startswith(
        "stored beats are left out of the self-test: can't read the keyring's key"
    )


def test_a_damaged_database_does_not_hinder(clinic, bundle_of):
    create_sealing_key(clinic.key_file)
    (clinic.state / "gateway.sqlite3").write_bytes(b"not a database, " * 100)
    code, _, err = clinic.install(bundle_of("beat_next"))
    assert code == 0
    assert "file is not a database" in err


def test_rollback_goes_back_to_the_packaged_model_and_no_further(clinic, bundle_of):
    clinic.install(bundle_of("beat_one"))
    clinic.install(bundle_of("beat_two"))
    for name in ("beat_one", "beat_cnn"):
        assert clinic.model("rollback")[0] == 0
        assert clinic.serving == name
    code, out, err = clinic.model("rollback")
    assert (code, out) == (1, "")
    assert err == (
        "ecg-gateway model rollback: the packaged model serves; there is none before it\n"
    )


def test_rollback_passes_over_a_damaged_model(clinic, bundle_of):
    clinic.install(bundle_of("beat_one"))
    clinic.install(bundle_of("beat_two"))
    (clinic.state / "models" / clinic.store.previous / "model.json").write_text("{")
    assert clinic.model("rollback")[0] == 0
    assert clinic.serving == "beat_cnn"


def test_installing_over_a_damaged_model_keeps_the_last_good_one(clinic, bundle_of):
    clinic.install(bundle_of("beat_one"))
    clinic.install(bundle_of("beat_two"))
    (clinic.state / "models" / clinic.store.current / "model.json").write_text("{")
    clinic.install(bundle_of("beat_three"))
    clinic.model("rollback")
    assert clinic.serving == "beat_one"


def test_installing_the_same_again_keeps_the_way_back(clinic, bundle_of):
    clinic.install(bundle_of("beat_one"))
    clinic.install(bundle_of("beat_two"))
    clinic.install(bundle_of("beat_two"))
    clinic.model("rollback")
    assert clinic.serving == "beat_one"


def wrong_shape(bundle_of: Callable[..., ModelBundle]) -> ModelBundle:
    return bundle_of("beat_next", model=OTHER_MODEL.read_bytes())


REFUSED = {
    "corrupt": (lambda of, _: flipped(of("beat_next").encode()), "the signature is by none"),
    "truncated": (lambda of, _: of("beat_next").encode()[:-1000], "its header says"),
    "empty": (lambda of, _: b"", "the file is not a model bundle"),
    "unsigned": (lambda of, _: of("beat_next").encode()[:-64], "its header says"),
    "by a stranger": (lambda of, stranger: of("beat_next", stranger), "the signature is by none"),
    "wrong shape": (lambda of, _: wrong_shape(of), "shapes are"),
    "no model": (lambda of, _: of("beat_next", model=b"junk"), "TFLite can't load the model"),
    "wrong hash": (lambda of, _: of("beat_next", sha256="0" * 64), "the card says 000000"),
    "wrong rate": (lambda of, _: of("beat_next", sample_rate_hz=250), "sample_rate_hz is 250"),
}


def flipped(content: bytes) -> bytes:
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_refused_changes_nothing(clinic, bundle_of, stranger, fault):
    make, reason = REFUSED[fault]
    clinic.install(bundle_of("beat_old"))
    before = sorted(clinic.state.rglob("*"))
    code, out, err = clinic.install(make(bundle_of, stranger))
    assert (code, out) == (1, "")
    (line,) = [line for line in err.splitlines() if not line.startswith("INFO: ")]
    assert line.startswith("ecg-gateway model install: ")
    assert reason in line
    assert clinic.serving == "beat_old"
    assert sorted(clinic.state.rglob("*")) == before


def test_labels_that_say_nothing_are_refused_by_install_and_verify(clinic, bundle_of, monkeypatch):
    clinic.install(bundle_of("beat_old"))
    monkeypatch.setattr(model_self_test, "LEAST_SPREAD", 1.1)  # more than any model has
    for code, out, err in (
        clinic.install(bundle_of("beat_next"), "--force"),
        clinic.model("verify"),
    ):
        assert (code, out) == (1, "")
        assert "self-test: p_abnormal spans" in err
    assert clinic.serving == "beat_old"


def test_unlike_labels_are_refused_unless_forced(clinic, bundle_of, monkeypatch):
    monkeypatch.setattr(model_commands, "LEAST_AGREEMENT", 0.99)  # a sixth of the beats is wide
    all_normal = bundle_of("beat_next", abnormal_threshold=0.999)
    code, out, err = clinic.install(all_normal)
    assert (code, out) == (1, "")
    assert "99 % is the least without --force" in err
    assert clinic.serving == "beat_cnn"
    assert clinic.install(all_normal, "--force")[0] == 0
    assert clinic.serving == "beat_next"


def test_without_a_trusted_key_the_refusal_says_which_to_set(tmp_path, bundle_of, capsys):
    clinic = Clinic(tmp_path, (), capsys)
    code, _, err = clinic.install(bundle_of("beat_next"))
    assert code == 1
    assert "set public_keys in [model] of gateway.toml" in err


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("model.json", "{}", "/model.json is damaged"),
        ("model.signature", "", "the signature is by none"),
        ("model.tflite", None, "can't be read"),
    ],
)
def test_verify_says_what_is_wrong(clinic, bundle_of, file, content, reason):
    clinic.install(bundle_of("beat_next"))
    path = clinic.state / "models" / clinic.store.current / file
    path.unlink() if content is None else path.write_text(content)
    code, out, err = clinic.model("verify")
    assert (code, out) == (1, "")
    assert reason in err
    shown = clinic.model("show")[1].splitlines()
    assert shown[0].startswith("beat_cnn ")
    assert reason in shown[1]


def with_gateway(clinic: Clinic, answer: Callable[[], object], talk: Callable[[], object]):
    """What `talk` gives while a gateway runs that answers so when it is told to reload."""

    async def reload(_):
        return answer()

    async def run():
        server = ControlServer(clinic.state / SOCKET_NAME, {RELOAD: reload})
        await server.start()
        try:
            return await asyncio.to_thread(talk)
        finally:
            await server.stop()

    return asyncio.run(run())


def test_the_running_gateway_is_told_when_the_switch_is_made(clinic, bundle_of):
    served = []

    def note() -> None:
        served.append(clinic.serving)

    code, out, _ = with_gateway(clinic, note, lambda: clinic.install(bundle_of("beat_next")))
    assert code == 0
    assert out.splitlines()[1].endswith("serves now: the running gateway has taken it")
    with_gateway(clinic, note, lambda: clinic.model("rollback"))
    assert served == ["beat_next", "beat_cnn"]


def test_what_the_running_gateway_refuses_is_undone(clinic, bundle_of):
    def refuse() -> None:
        raise ControlRefused("not with me")

    clinic.install(bundle_of("beat_old"))
    code, out, err = with_gateway(clinic, refuse, lambda: clinic.install(bundle_of("beat_next")))
    assert (code, out) == (1, "")
    assert "the running gateway says: not with me" in err
    assert clinic.serving == "beat_old"
    assert clinic.model("rollback")[0] == 0
    assert clinic.serving == "beat_cnn"


def test_a_gateway_that_does_not_answer_may_have_changed_over(clinic, bundle_of, monkeypatch):
    monkeypatch.setattr(control, "TIMEOUT_S", 0.2)
    given_up = threading.Event()

    def install() -> tuple[int, str, str]:
        try:
            return clinic.install(bundle_of("beat_next"))
        finally:
            given_up.set()

    clinic.install(bundle_of("beat_old"))
    code, out, err = with_gateway(clinic, given_up.wait, install)
    assert (code, out) == (1, "")
    assert "the gateway did not answer within 0.2 s; the files are back to beat_old " in err
    assert "/healthz says which model serves until then" in err
    assert "nothing was changed" not in err
    assert clinic.serving == "beat_old"
