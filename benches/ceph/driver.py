#!/usr/bin/env python3
"""One call of glance_store's rbd driver, in Glance's environment: prints seconds, and the URL of what was written.

    driver.py CONF add BACKEND FILE NAME SIZE    SIZE 0: unknown
    driver.py CONF get BACKEND URL
    driver.py CONF delete BACKEND URL

The time is that of the call alone: a Glance has loaded its modules and read its configuration long before.
"""

import sys
import time

from glance_store import multi_backend
from oslo_config import cfg


def main(conf_file, what, backend, *words):
    conf = cfg.CONF  # the one that the library itself looks at
    # Glance itself registers this one, not its library.
    conf.register_opt(cfg.DictOpt("enabled_backends"))
    conf(["--config-file", conf_file], project="glance")
    multi_backend.register_store_opts(conf)
    multi_backend.create_multi_stores(conf)
    start, url = time.monotonic(), "-"
    if what == "add":
        path, name, size = words
        with open(path, "rb") as file:
            url = multi_backend.add_with_multihash(conf, name, file, int(size), backend, "sha512")[0]
    elif what == "get":
        pieces, size = multi_backend.get(words[0], backend)
        if sum(map(len, pieces)) != size:
            sys.exit("the data end early")
    else:
        multi_backend.delete(words[0], backend)
    print(time.monotonic() - start, url)


main(*sys.argv[1:])
