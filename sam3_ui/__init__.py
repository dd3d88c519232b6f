"""The page: a Gradio Blocks whose workspace is a canvas that talks to `/api/v1`."""
