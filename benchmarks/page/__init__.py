"""The page's speed in a real browser, beside the same overlay stream through `gr.Image`.

    python -m benchmarks.page

One 1080p clip with five objects, one server, one browser, one run:

1. A propagation that the page follows, at several paces of the engine: frames that came, frames that were
   painted, and what watching costs the run.
2. Dragging the playhead over frames that were shown before: from the pointer's event to the painted frame.
3. Bytes a frame: the page's message with its masks beside a JPEG with the masks painted in.
4. The same frames with the same masks painted in, through a Gradio generator into `gr.Image`.

The engine is the stand-in, which moves the masks it is given; they are the sample's exact ones, so
that their codes are as long as real outlines make them.
"""
