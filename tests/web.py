"""httpx with the patience that a machine under load needs. No call keeps cookies; a `Client` does."""

from __future__ import annotations

from functools import partial

import httpx

get = partial(httpx.get, timeout=60)
post = partial(httpx.post, timeout=60)
put = partial(httpx.put, timeout=60)
patch = partial(httpx.patch, timeout=60)
delete = partial(httpx.delete, timeout=60)
options = partial(httpx.options, timeout=60)
stream = partial(httpx.stream, timeout=60)
Client = partial(httpx.Client, timeout=60)
