"""Our stand-in for Slack and our messages against Slack's own SDK: its client, its signature check, its Block Kit models.

Usage: check.py STAND_IN MESSAGES, the program of the stand-in and a file with messages as JSON. Ends with 0 when all of it agrees.
"""

import json
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import Block
from slack_sdk.signature import SignatureVerifier

TOKEN, SECRET, CHANNEL = "xoxb-token-of-the-check", "secret-of-the-check-0123456789", "C0GENERAL"
REFRESH_TOKEN = "xoxe-1-of-the-check"
heard = []


class Receiver(BaseHTTPRequestHandler):
    """Answers as an app that checks signatures by the SDK, and refuses the first delivery, so that it is repeated."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        is_valid = SignatureVerifier(SECRET).is_valid_request(body, dict(self.headers.items()))
        heard.append((is_valid, self.headers.get("x-slack-retry-num"), json.loads(body)))
        self.send_response(200 if len(heard) > 1 else 500)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def refused(call, code, **arguments):
    """The SDK must read our refusal as Slack's."""
    try:
        call(**arguments)
    except SlackApiError as error:
        assert error.response["error"] == code, f"{error.response['error']}, not {code}"
        return error.response
    raise AssertionError(f"{code} did not come")


def check_client(api, tell):
    client = WebClient(token=TOKEN, base_url=api + "/")
    assert client.auth_test()["user_id"] == "U0BOT"
    root = client.chat_postMessage(channel=CHANNEL, text="hello", metadata={"event_type": "x", "event_payload": {"key": "k"}})
    reply = client.chat_postMessage(channel=CHANNEL, thread_ts=root["ts"], text="a reply")
    client.chat_update(channel=CHANNEL, ts=reply["ts"], text="changed", blocks=[{"type": "divider"}])
    client.chat_postEphemeral(channel=CHANNEL, user="U0ADA", text="only you")
    replies = client.conversations_replies(channel=CHANNEL, ts=root["ts"], include_all_metadata="true")["messages"]
    assert [message["text"] for message in replies] == ["hello", "changed"], replies
    assert replies[0]["metadata"]["event_payload"]["key"] == "k"
    assert client.conversations_info(channel=CHANNEL)["channel"]["name"] == "general"
    assert client.users_info(user="U0ADA")["user"]["name"] == "ada"
    refused(client.chat_postMessage, "channel_not_found", channel="C0NONE", text="x")
    refused(client.chat_update, "message_not_found", channel=CHANNEL, ts="1.1", text="x")
    tell({"do": "script", "method": "chat.postMessage", "error": "missing_scope", "needed": "chat:write.public"})
    assert refused(client.chat_postMessage, "missing_scope", channel=CHANNEL, text="x")["needed"] == "chat:write.public"
    tell({"do": "script", "method": "chat.postMessage", "status": 429, "retryAfter": 7})
    try:
        client.chat_postMessage(channel=CHANNEL, text="x")
        raise AssertionError("429 did not come")
    except SlackApiError as error:
        assert error.response.status_code == 429 and error.response.headers["retry-after"] == "7", error.response.headers
    tell({"do": "archive", "channel": CHANNEL})
    refused(client.chat_postMessage, "is_archived", channel=CHANNEL, text="x")
    refused(WebClient(token="xoxb-wrong", base_url=api + "/").auth_test, "invalid_auth")
    tell({"do": "upload", "id": "F1", "name": "a.txt", "mimetype": "text/plain", "data": "aGVsbG8="})
    file = client.files_info(file="F1")["file"]
    assert (file["name"], file["size"]) == ("a.txt", 5), file
    refused(client.files_info, "file_not_found", file="F0")
    tell({"do": "revoke"})
    refused(client.auth_test, "token_revoked")


def check_rotation(api):
    """The SDK's own exchange must be taken by the stand-in, and be read by it, as Slack's."""
    ended = WebClient(token=TOKEN, base_url=api + "/")
    refused(ended.auth_test, "token_expired")
    application = {"client_id": "0001.0002", "client_secret": "client-secret-of-the-stand-in"}
    exchange = lambda refresh: ended.oauth_v2_access(**application, grant_type="refresh_token", refresh_token=refresh)
    first = exchange(REFRESH_TOKEN)
    assert first["expires_in"] == 43200 and first["token_type"] == "bot", first
    assert WebClient(token=first["access_token"], base_url=api + "/").auth_test()["user_id"] == "U0BOT"
    refused(exchange, "invalid_refresh_token", refresh=REFRESH_TOKEN)
    assert exchange(first["refresh_token"])["refresh_token"] != first["refresh_token"]


def check_sender(tell):
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tell({"do": "send_to", "target": f"http://127.0.0.1:{server.server_port}"})
    told = tell({"do": "write", "user": "U0ADA", "channel": "C0SHOPDEV", "text": "hello é"})
    assert [one["status"] for one in told["deliveries"]] == [500, 200], told
    assert [(is_valid, retry) for is_valid, retry, _ in heard] == [(True, None), (True, "1")], heard
    assert heard[0][2] == heard[1][2], "a repeat is the same event"
    server.shutdown()


def check_messages(path):
    with open(path, encoding="utf-8") as file:
        # Above the last line is what the build had to say.
        messages = json.loads(file.read().splitlines()[-1])
    for message in messages:
        for block in message["blocks"]:
            parsed = Block.parse(block)
            assert parsed is not None and parsed.type == block["type"], block
            parsed.validate_json()
            for element in getattr(parsed, "elements", None) or []:
                element.validate_json()
    return len(messages)


@contextmanager
def workspace(stand_in, **more):
    """A running stand-in: the address of its Web API, and what gives it orders."""
    process = subprocess.Popen([stand_in], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        process.stdin.write(json.dumps({"token": TOKEN, "signingSecret": SECRET, "target": "", **more}) + "\n")
        process.stdin.flush()
        listening = json.loads(process.stdout.readline())

        def tell(order):
            request = urllib.request.Request(
                listening["listening"] + "/control", json.dumps(order).encode(), {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)

        yield listening["api"], tell
    finally:
        process.stdin.close()
        process.wait(timeout=60)


def main():
    stand_in, messages = sys.argv[1:]
    with workspace(stand_in) as (api, tell):
        check_sender(tell)
        check_client(api, tell)
    with workspace(stand_in, refreshToken=REFRESH_TOKEN) as (api, _):
        check_rotation(api)
    print(f"the SDK agrees: client, signatures, token rotation, {check_messages(messages)} messages")


if __name__ == "__main__":
    main()
