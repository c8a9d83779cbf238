"""The label of a sensor: the right text, in a file that only its owner reads."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import segno

from gateway.__main__ import main
from gateway.commands.label import LabelError, label_text
from gateway.messages import DeviceId
from gateway.radio.sensor_label import SensorLabel, parse_label

SECRET = "0a" * 32


def test_the_text_names_the_sensor_and_its_secret() -> None:
    assert label_text("ECG-0000002A", SECRET) == f"ECG1:ECG-0000002A:{SECRET.upper()}"


@pytest.mark.parametrize("secret", ["", SECRET[:-1], SECRET + "0", "zz" * 32])
def test_anything_but_64_hex_digits_is_refused(secret: str) -> None:
    with pytest.raises(LabelError, match="64 hex digits"):
        label_text("ECG-0000002A", secret)


def test_the_text_is_read_back_as_it_was_scanned_or_typed() -> None:
    label = parse_label(f" ECG1:ECG-0000002A:{SECRET[:32]}\n {SECRET[32:].upper()} \n")
    assert label == SensorLabel(DeviceId(0x2A), bytes.fromhex(SECRET))
    assert SECRET not in repr(label)
    assert parse_label(label.text) == label


@pytest.mark.parametrize(
    "text",
    ["", f"ECG2:ECG-0000002A:{SECRET}", f"ECG1:ECG-2A:{SECRET}", f"ECG1:ECG-0000002A:{SECRET}0"],
)
def test_what_is_no_label_is_refused_without_its_secret(text: str) -> None:
    with pytest.raises(LabelError, match="not a label's text") as refused:
        parse_label(text)
    assert SECRET not in str(refused.value)


def test_the_code_is_written_for_its_owner_alone(tmp_path: Path, capsys) -> None:
    secret, out = tmp_path / "secret", tmp_path / "label.svg"
    secret.write_text(SECRET + "\n")
    arguments = ["label", "ECG-0000002A", "--secret-file", str(secret), "--out", str(out)]
    assert main(arguments) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    text = label_text("ECG-0000002A", SECRET)
    width = int(ElementTree.parse(out).getroot().attrib["width"])
    assert width == segno.make(text, error="m", micro=False).symbol_size(scale=4)[0]
    assert SECRET.upper() not in out.read_text()
    assert SECRET.upper() not in capsys.readouterr().out


def test_a_wrong_name_is_an_error(tmp_path: Path, capsys) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    arguments = ["label", "bed 1", "--secret-file", str(secret), "--out", str(tmp_path / "x.svg")]
    assert main(arguments) == 1
    assert "ECG-0000002A" in capsys.readouterr().err
