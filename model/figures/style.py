"""One look for every picture, and files that come out the same each time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

# Okabe & Ito 2008: told apart with every kind of colour blindness. Never the only sign.
BLUE, VERMILION, BLACK = "#0072B2", "#D55E00", "#000000"
GREY = "#595959"  # 7:1 on white

WIDTH_IN = 8.3  # shown at about 800 pixels in a README
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so no machine draws another one
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,  # inches
    "figure.constrained_layout.w_pad": 0.08,
    "svg.hashsalt": "ecg-gateway",  # the ids in the file, else drawn anew each time
}
PNG_DPI = 120  # sharp where a README shows it at 100
PNG_COLOURS = 48


def styled() -> AbstractContextManager[None]:
    """Everything drawn and saved within has the report's look."""
    return rc_context(STYLE)


def save_svg(figure: Figure, path: Path, source: str) -> None:
    """`source` names the models that the picture is of, in the file's metadata."""
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None, "Source": source})


def save_png(figure: Figure, path: Path, source: str) -> None:
    """With few colours: signal on paper needs no more, and the file is a third of the size."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=PNG_DPI)
    few = Image.open(drawn).convert("RGB").quantize(PNG_COLOURS, Image.Quantize.MAXCOVERAGE)
    text = PngInfo()
    text.add_text("Source", source)
    few.save(path, "png", optimize=True, pnginfo=text)
