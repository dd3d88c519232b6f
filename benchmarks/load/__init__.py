"""Many sessions at once on a real server with the stand-in engine: nothing lost, nobody held up.

    python -m benchmarks.load --sessions 50 --workers 4 --step-ms 33 --seconds 60

Four things happen, one after the other, to one server:

1. The contract's limits, exactly: all places taken, the longest idle session parked and brought
   back; with the workers stopped (SIGSTOP), every run's place in the queue, and the 429 for who comes
   when all are busy. Then the workers go on and every run has all its frames.
2. Clicks while nothing else goes on, for comparison.
3. The load: most sessions propagate and are followed, each by several followers, over REST and
   WebSockets; some are cancelled. Meanwhile other sessions are clicked, from a process of its own.
4. Clicks alone once more.

A frame that is lost, doubled, out of order, or different for two followers is a mistake and is
counted as one. Times depend on the machine, so they are given beside what the same measurement gives
while nothing goes on, and as multiples of the engine's step.
"""
