"""A client behind a bad network: writes numbers one after the other, or reads until all of them are there.

`through_faults.py write|read SESSION COUNT`; `FRESHET_URL` says where. Prints a line for each number that is written.
"""

import os
import sys
import time

from convex import ConvexClient


def once_more(call):
    """Repeats what changes nothing: when a connection breaks at the moment of a call, the client forgets to answer it."""
    while True:
        try:
            return call()
        except Exception as error:
            if str(error) != "channel closed":
                raise


def write(client, session, n):
    try:
        client.mutation("counters:append", {"session": session, "n": float(n)})
    except Exception as error:
        if str(error) != "channel closed":
            raise
        # It is sent again all the same, only nobody is told.
        while n not in once_more(lambda: client.query("counters:entries", {"session": session})):
            time.sleep(0.02)


def main():
    role, session, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    client = ConvexClient(os.environ["FRESHET_URL"])
    if role == "write":
        for n in range(count):
            write(client, session, n)
            print("done", n, flush=True)
        return
    for entries in once_more(lambda: client.subscribe("counters:entries", {"session": session})):
        if len(set(entries)) == count:
            return


main()
