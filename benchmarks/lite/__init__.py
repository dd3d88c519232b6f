"""How good and how fast the embedded engine is, beside what people use without a model.

    python -m benchmarks.lite                 # follows objects, by sequence, with the rivals and a contact sheet
    python -m benchmarks.lite.clicks          # clicks and boxes
    python -m benchmarks.lite.ablation        # what each cue is worth

The pictures are taken from `SAM3_EVAL_DATA` (default `../shared/data` beside the repository); without them each says so
and ends well. One thread; milliseconds are of CPU time and leave out the reading of files.
"""
