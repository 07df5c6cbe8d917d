"""The PyPI package's HTTP client against a running server; `FRESHET_URL` says where, `tests/apps/basic` is pushed there."""

import math
import os

import pytest
from convex import ConvexError, ConvexInt64
from convex.http_client import ConvexHttpClient


@pytest.fixture()
def client():
    return ConvexHttpClient(os.environ["FRESHET_URL"])


def test_every_type_of_value_goes_there_and_back(client):
    values = [None, True, 1.0, 1.5, -0.0, math.inf, "grün", b"\x00\xff", [1.0, ["x"]], {"a": 1.0}, ConvexInt64(7)]
    for value in values:
        assert client.mutation("misc:store", {"value": value}) == value
        assert client.query("misc:echo", {"value": value}) == value


def test_a_query_sees_the_mutation_before_it(client):
    before = client.query("counters:get", {"name": "python http"})
    for step in range(1, 4):
        client.mutation("counters:add", {"name": "python http", "by": 1})
        assert client.query("counters:get", {"name": "python http"}) == before + step


def test_an_error_carries_its_data(client):
    with pytest.raises(ConvexError) as raised:
        client.mutation("misc:failWithData", {})
    assert raised.value.data["code"] == "LIMIT"
    with pytest.raises(Exception, match="Could not find public function for 'misc:nothing'"):
        client.query("misc:nothing", {})


def test_an_action_returns_its_result(client):
    assert client.action("misc:relay", {"name": "python http action"})["secret"] == "internal"
