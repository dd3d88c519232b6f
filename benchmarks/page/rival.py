"""What a Gradio app does that streams painted frames: a generator into `gr.Image`.

Run as a process: `python -m benchmarks.page.rival VIDEO MASKS PORT`, MASKS a file of stored results.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import gradio as gr
import numpy as np

from backend.domain import Image, Rle
from backend.masks import decode
from backend.masks.overlay import Layer, color_of, draw


def app(video: Path, results: Path) -> gr.Blocks:
    """A page with a button and a picture; the button plays all frames with their masks painted in."""
    told = json.loads(results.read_text())
    height, width = told["size"]

    def play() -> Iterator[Image]:
        capture = cv2.VideoCapture(str(video))
        for index in range(len(told["results"])):
            _, frame = capture.read()
            objects = told["results"][str(index)]["objects"]
            layers = [Layer(decode(Rle(o["mask"], height, width)), color_of(o["id"])) for o in objects]
            yield draw(np.ascontiguousarray(frame[..., ::-1]), layers)
        capture.release()

    page: gr.Blocks
    with gr.Blocks() as page:
        button = gr.Button("Play", elem_id="play")
        picture = gr.Image(format="jpeg", elem_id="picture")
        button.click(play, None, picture)
    return page


def main() -> None:
    video, results, port = sys.argv[1:]
    app(Path(video), Path(results)).queue().launch(
        server_name="127.0.0.1", server_port=int(port), quiet=True, footer_links=[]
    )


if __name__ == "__main__":
    main()
