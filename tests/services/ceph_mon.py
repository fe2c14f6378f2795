"""Runs commands of a Ceph mon, one a line in JSON, as client.admin; prints what they answer and stops at the first error."""

import json
import sys

import rados


def main(conf: str) -> int:
    with rados.Rados(conffile=conf, rados_id="admin") as cluster:
        for line in sys.stdin:
            code, answer, message = cluster.mon_command(json.dumps(json.loads(line)), b"", timeout=60)
            if code != 0:
                print(f"{line.strip()}: {message} ({code})", file=sys.stderr)
                return 1
            sys.stdout.write(answer.decode())
    return 0


sys.exit(main(sys.argv[1]))
