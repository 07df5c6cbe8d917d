"""The PyPI client against a running server; `FRESHET_URL` says where, `tests/apps/basic` is pushed there."""

import math
import os
import threading

import pytest
from convex import ConvexClient, ConvexError, ConvexInt64


@pytest.fixture()
def client():
    return ConvexClient(os.environ["FRESHET_URL"])


def test_queries_and_mutations_carry_every_type_of_value(client):
    values = [None, True, 1.5, math.inf, "grün", b"\x00\xff", [1.0, ["x"]], {"a": 1.0}, ConvexInt64(7)]
    for value in values:
        assert client.mutation("misc:store", {"value": value}) == value
        assert client.query("misc:echo", {"value": value}) == value


def test_a_subscription_sees_a_mutation(client):
    seen = []
    done = threading.Event()

    def follow():
        for value in client.subscribe("counters:get", {"name": "python"}):
            seen.append(value)
            if value >= 2:
                done.set()
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    client.mutation("counters:add", {"name": "python", "by": 1.0})
    client.mutation("counters:add", {"name": "python", "by": 1.0})
    assert done.wait(15)
    assert seen[-1] == 2


def test_a_failing_mutation_raises_with_its_data(client):
    with pytest.raises(ConvexError) as raised:
        client.mutation("misc:failWithData", {})
    assert raised.value.data["code"] == "LIMIT"


def test_an_action_returns_its_result(client):
    result = client.action("misc:relay", {"name": "python action"})
    assert result["secret"] == "internal"


def test_an_unknown_function_is_named(client):
    with pytest.raises(Exception, match="Could not find public function for 'misc:nothing'"):
        client.query("misc:nothing", {})
