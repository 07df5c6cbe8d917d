"""The PyPI client against a running server; `FRESHET_URL` says where, `tests/apps/basic` is pushed there."""

import json
import math
import os
import urllib.request

import pytest
from convex import ConvexClient, ConvexError, ConvexInt64
from convex.http_client import ConvexHttpClient

# Signed with the key of which `tests/apps/basic/convex/auth.config.ts` has the public half; good until the year 2100.
ADA = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImZpeHR1cmUifQ."
    "eyJpc3MiOiJodHRwczovL2ZpeHR1cmUuZXhhbXBsZS5jb20iLCJzdWIiOiJhZGEiLCJhdWQiOiJweXRob24iLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMH0."
    "_zN27I9RVJCHTFUDaBytV4ZaFjTJyuaoEPPkHCYrik0RHItRkKetIs49U6U7Z-4x3Nx5Hi09OjyH7PlV4ecnRQ"
)
BOB = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImZpeHR1cmUifQ."
    "eyJpc3MiOiJodHRwczovL2ZpeHR1cmUuZXhhbXBsZS5jb20iLCJzdWIiOiJib2IiLCJhdWQiOiJweXRob24iLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMH0."
    "Y3Sq46jU0DueLOCckFL9eWEVE8wd6iCXs44cvsZ06lbpaeEfZISMh_1YUBpn_Ilujeyzlsk6D5zm5Q_1CGCr6w"
)
# For somebody else than this app.
OTHER = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImZpeHR1cmUifQ."
    "eyJpc3MiOiJodHRwczovL2ZpeHR1cmUuZXhhbXBsZS5jb20iLCJzdWIiOiJhZGEiLCJhdWQiOiJzb21lYm9keSBlbHNlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQxMDI0NDQ4MDB9."
    "BqvhPG8ifhSJc3oMjW9PHTmispPk8mbBHnAFG7fH0nPTr2jldDJ5EIgP34LaDPtqd1z1CmUOhucIX8RkgaGvlg"
)


@pytest.fixture()
def client():
    return ConvexClient(os.environ["FRESHET_URL"])


def mutate(path, args):
    """Runs a mutation over HTTP, as somebody else would."""
    body = json.dumps({"path": path, "args": args}).encode()
    request = urllib.request.Request(
        os.environ["FRESHET_URL"] + "/api/mutation", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        assert json.load(response)["status"] == "success"


def test_queries_and_mutations_carry_every_type_of_value(client):
    values = [None, True, 1.5, math.inf, "grün", b"\x00\xff", [1.0, ["x"]], {"a": 1.0}, ConvexInt64(7)]
    for value in values:
        assert client.mutation("misc:store", {"value": value}) == value
        assert client.query("misc:echo", {"value": value}) == value


def test_a_subscription_sees_a_mutation(client):
    # The client holds Python's interpreter lock while it waits, so the mutation comes from between two results.
    updates = iter(client.subscribe("counters:get", {"name": "python"}))
    first = next(updates)
    mutate("counters:add", {"name": "python", "by": 1})
    assert next(updates) == first + 1


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


def test_a_user_is_known_until_the_token_is_cleared(client):
    assert client.query("misc:me", {}) is None
    client.set_auth(ADA)
    assert client.query("misc:me", {}) == "ada"
    client.set_auth(BOB)
    assert client.query("misc:me", {}) == "bob"
    client.clear_auth()
    assert client.query("misc:me", {}) is None


def test_the_http_client_is_known_by_its_token():
    client = ConvexHttpClient(os.environ["FRESHET_URL"])
    client.set_auth(ADA)
    assert client.query("misc:me", {}) == "ada"
    client.set_auth(OTHER)
    with pytest.raises(Exception, match="No auth provider found matching the given token"):
        client.query("misc:me", {})
