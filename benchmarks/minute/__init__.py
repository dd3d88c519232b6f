"""What a minute of video costs a person: actions and seconds, in the real page, with the embedded engine.

    python -m benchmarks.minute [--seconds 60] [--objects 3] [--shots DIR]

The sample, forth and back, makes a clip of a minute whose masks are known exactly. An annotator who
follows plain rules labels it: clicks each object until its mask is good, propagates, goes through
the frames that the page says are to be checked, repairs what is wrong there, propagates what went
out of date, and takes the COCO file. Every click and key is counted, and the time that
the machine made them wait; so is what the result is worth (mean IoU over all frames and objects),
and what the page did not point out: frames whose mask is bad and which were never to be checked.
"""
