"""Secrets in webhooks: removed at any depth, however their names are spelled; everything else stays."""

from __future__ import annotations

import pytest

from queue_core.channels.secrets import is_secret_name, without_secrets


@pytest.mark.parametrize(
    "name",
    [
        *(
            "apikey",
            "apiKey",
            "api_key",
            "API-KEY",
            "X-Api-Key",
            "globalApikey",
            "accessToken",
            "access_token",
        ),
        *(
            "token",
            "hub.verify_token",
            "Authorization",
            "Proxy-Authorization",
            "password",
            "passwd",
            "client_secret",
        ),
        *(
            "appSecret",
            "privateKey",
            "Cookie",
            "Set-Cookie",
            "credentials",
            "bearer",
            "apiKey2",
            "token_1",
            "pwd",
            "jwt",
        ),
    ],
)
def test_the_name_of_a_secret_is_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "key",
            "mediaKey",
            "fileEncSha256",
            "text",
            "author",
            "tokens",
            "secretary",
            "authorName",
            "messageSecrets",
        ),
        *("id", "", "keyId", "passwordHint", "participant", "thumbnailDirectPath", "مفتاح"),
    ],
)
def test_the_name_of_another_thing_is_not_taken_for_a_secret(name: str) -> None:
    assert not is_secret_name(name)


def test_secrets_are_removed_at_any_depth_and_the_rest_stays() -> None:
    value = {"a": [{"apikey": "s", "b": 1}, ["token", {"token": {"c": 2}}]], "text": "my password: 1234"}
    assert without_secrets(value) == {"a": [{"b": 1}, ["token", {}]], "text": "my password: 1234"}
    assert value["a"][0] == {"apikey": "s", "b": 1}, "what was given is left as it is"


def test_the_value_beside_the_name_of_a_secret_is_removed() -> None:
    headers = [
        {"name": "X-Api-Key", "value": "s"},
        {"key": "lang", "value": "ar"},
        {"name": "Secret", "id": 1},
    ]
    assert without_secrets(headers) == [{"name": "X-Api-Key"}, {"key": "lang", "value": "ar"}, headers[2]]


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("Https://w.example/1.jpg?token=s", "Https://w.example/1.jpg"),
        ("HTTPS://user:s@w.example/?a=1", "HTTPS://w.example/?a=1"),
        ("https://w.example/1.jpg?x-api-key=s", "https://w.example/1.jpg"),
        (
            "https://w.example/1.jpg?size=2&access_token=s&lang=ar#top",
            "https://w.example/1.jpg?size=2&lang=ar#top",
        ),
        ("https://w.example/1.jpg?X%2DApi%2DKey=s&a", "https://w.example/1.jpg?a"),
        ("https://user:s@w.example/1.jpg", "https://w.example/1.jpg"),
        ("http://user:s@w.example/?token=s", "http://w.example/"),
        (
            "https://w.example/1?X-Amz-Credential=k&X-Amz-Security-Token=t&X-Amz-Signature=a",
            "https://w.example/1?X-Amz-Credential=k&X-Amz-Security-Token=t&X-Amz-Signature=a",
        ),
        ("https://w.example/1?X-Goog-Credential=k&apikey=s", "https://w.example/1?X-Goog-Credential=k"),
        ("https://w.example/1?x-goog-api-key=s&x-amz-secret-key=s", "https://w.example/1"),
        ("https://w.example/a@b?c=d", "https://w.example/a@b?c=d"),
        ("https://w.example/?token=s is my link", "https://w.example/?token=s is my link"),
    ],
)
def test_secrets_in_an_address_are_removed(url: str, kept: str) -> None:
    """A signature with its parameters stays: the file cannot be read without them, and they open nothing else."""
    assert without_secrets({"media": {"url": url}}) == {"media": {"url": kept}}


DEEP = '{"a":' * 900 + "1" + "}" * 900


@pytest.mark.parametrize("name", ["response_json", "paramsJson", "paramsJSON"])
@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ('{"flow_token": "s", "day": "الاثنين"}', '{"day": "الاثنين"}'),
        ('{"a": {"apikey": "s"}}', '{"a": {}}'),
        ('{"day":"Monday"}', '{"day":"Monday"}'),
        ('{"token": ', '{"token": '),
        ('["token"]', '["token"]'),
        (DEEP, DEEP),
        ({"token": "s", "a": 1}, {"a": 1}),
        (7, 7),
    ],
)
def test_secrets_in_json_in_a_text_are_removed(name: str, value: object, kept: object) -> None:
    assert without_secrets({name: value}) == {name: kept}
