"""Runs one flow of Modal's own client against the server that MODAL_SERVER_URL names, and asserts what it gets.

Called by tests/conformance/official_client.rs as `flows.py NAME`; fails with a traceback.
"""

import sys
import warnings

import modal
from modal.exception import AlreadyExistsError, ConflictError, NotFoundError, RemoteError

warnings.simplefilter("ignore")

APP = "farhand"


def app():
    return modal.App.lookup(APP, create_if_missing=True)


def image():
    return modal.Image.from_registry("debian:bookworm-slim").dockerfile_commands("WORKDIR /workspace")


def sandbox(*arguments, **options):
    options.setdefault("timeout", 600)
    options.setdefault("image", image())
    return modal.Sandbox.create(*(arguments or ("sleep", "infinity")), app=app(), **options)


def image_build():
    base = modal.Image.from_registry("node:20-bookworm")
    built = base.dockerfile_commands("RUN npm install --global tool", "WORKDIR /workspace").build(app())
    assert built.object_id.startswith("im-"), built.object_id


def image_build_fails():
    wrong = modal.Image.from_registry("node:20-bookworm").dockerfile_commands("RUN npm ci")
    try:
        wrong.build(app())
    except RemoteError as error:
        assert "returned a non-zero code: 1" in str(error), error
    else:
        raise AssertionError("the build should have failed")


def create_and_terminate():
    modal.Secret.objects.create("stored", {"STORED": "kept"}, allow_existing=True)
    created = sandbox(
        name="session-1",
        tags={"repository": "org/x", "pool": "warm"},
        secrets=[modal.Secret.from_name("stored"), modal.Secret.from_dict({"TOKEN": "t"})],
        env={"MODE": "test"},
        workdir="/workspace",
        cpu=(1, 4),
        memory=(2048, 8192),
        region="us-east",
        idle_timeout=600,
        timeout=3600,
        outbound_cidr_allowlist=["140.82.112.0/20"],
        outbound_domain_allowlist=["github.com", "*.githubusercontent.com"],
    )
    assert created.object_id.startswith("sb-"), created.object_id
    assert created.poll() is None
    created.terminate(wait=True)
    assert created.returncode == 137, created.returncode


def create_only():
    assert sandbox().object_id


def exec():
    created = sandbox(env={"GIVEN": "outside"})
    line = "pwd; echo $GIVEN $INSIDE; echo err >&2; exit 3"
    process = created.exec("sh", "-c", line, env={"INSIDE": "inside"}, timeout=60)
    assert process.stdout.read() == "/workspace\noutside inside\n"
    assert process.stderr.read() == "err\n"
    assert process.wait() == 3
    assert created.exec("sh", "-c", "kill -9 $$").wait() == 128 + 9


def exec_lines():
    created = sandbox()
    process = created.exec("sh", "-c", "echo line1; sleep 0.3; echo line2; echo line3")
    assert process.stdout.read() == "line1\nline2\nline3\n"
    assert process.wait() == 0


def exec_stdin():
    process = sandbox().exec("cat")
    process.stdin.write("hello")
    process.stdin.drain()
    process.stdin.write(" world")
    process.stdin.write_eof()
    process.stdin.drain()
    assert process.stdout.read() == "hello world"
    assert process.wait() == 0


def snapshot_and_restore():
    first = sandbox()
    assert first.exec("sh", "-c", "echo kept > /workspace/file").wait() == 0
    saved = first.snapshot_filesystem()
    first.terminate()
    again = sandbox(image=modal.Image.from_id(saved.object_id))
    assert again.exec("cat", "/workspace/file").stdout.read() == "kept\n"


def image_missing():
    try:
        sandbox(image=modal.Image.from_id("im-missing"))
    except NotFoundError as error:
        assert "im-missing" in str(error), error
    else:
        raise AssertionError("the image should be missing")


def names():
    first = sandbox(name="session-1")
    try:
        sandbox(name="session-1")
    except AlreadyExistsError:
        pass
    else:
        raise AssertionError("the name should be taken")
    assert modal.Sandbox.from_name(APP, "session-1").object_id == first.object_id

    pooled = sandbox()
    pooled._experimental_set_name("session-2")
    pooled._experimental_set_name("session-2")
    assert modal.Sandbox.from_name(APP, "session-2").object_id == pooled.object_id
    try:
        pooled._experimental_set_name("session-3")
    except ConflictError:
        pass
    else:
        raise AssertionError("a name should be given once")
    try:
        sandbox()._experimental_set_name("session-1")
    except AlreadyExistsError:
        pass
    else:
        raise AssertionError("the name should be taken")

    first.terminate()
    try:
        # The plain lookup would go on among sandboxes of the older kind, which the stand-in does not have.
        modal.Sandbox._experimental_from_name(APP, "session-1")
    except NotFoundError:
        pass
    else:
        raise AssertionError("no running sandbox should have the name")


def tags_and_lists():
    warm = [sandbox(tags={"pool": "warm", "repository": "org/x"}) for _ in range(3)]
    found = [listed.object_id for listed in modal.Sandbox.list(app_id=app().app_id, tags={"pool": "warm"})]
    assert found == [created.object_id for created in reversed(warm)], found
    warm[1].set_tags({"pool": "claimed"})
    assert warm[1].get_tags() == {"pool": "claimed"}
    warm[0].terminate()
    found = [listed.object_id for listed in modal.Sandbox.list(app_id=app().app_id, tags={"pool": "warm"})]
    assert found == [warm[2].object_id], found


def reattach():
    created = sandbox()
    again = modal.Sandbox.from_id(created.object_id)
    assert again.exec("echo", "hi").stdout.read() == "hi\n"


def entrypoint_output():
    created = sandbox("sh", "-c", "echo out; echo err >&2; read line; exit 4")
    assert next(iter(created.stdout)) == "out\n"
    created.terminate(wait=True)
    ended = sandbox("sh", "-c", "exit 4")
    ended.wait(raise_on_termination=False)
    assert ended.returncode == 4, ended.returncode


def network_update():
    created = sandbox(outbound_domain_allowlist=["*"])
    created._experimental_set_outbound_network_policy(outbound_domain_allowlist=["example.org"])


flow = globals()[sys.argv[1]]
flow()
