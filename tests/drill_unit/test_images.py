"""The demo application's images: their archive as a runtime reads it, and a registry that checks what it is sent."""

import gzip
import hashlib
import io
import json
import random
import re
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_zkrollback.domain.errors import DrillProblem
from pytest_zkrollback.drill.images import Release, make_images, normalize, write_archive
from pytest_zkrollback.drill.registry import push_images

SQL = {"0008_x.up.sql": "SELECT 1;\n", "0008_x.down.sql": "SELECT 2;\n"}
RELEASES = (Release("1.8.0-3f9c2e1"), Release("1.9.0-a7d20c4", SQL))


@pytest.fixture
def binary(tmp_path):
    path = tmp_path / "zkprova"
    path.write_bytes(b"a program")
    return path


def read(archive):
    with tarfile.open(archive) as opened:
        names = opened.getnames()
        assert len(set(names)) == len(names)
        return {entry.name: opened.extractfile(entry).read() for entry in opened if entry.isfile()}


def blob(files, descriptor):
    content = files[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"]
    assert hashlib.sha256(content).hexdigest() == descriptor["digest"].removeprefix("sha256:")
    assert len(content) == descriptor["size"]
    return content


def root(files, manifest):
    """The container's file system: name -> (mode, content)."""
    found = {}
    for layer in manifest["layers"]:
        assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
        with tarfile.open(fileobj=io.BytesIO(blob(files, layer))) as opened:
            found |= {e.name: (e.mode, opened.extractfile(e).read()) for e in opened if e.isfile()}
            assert {entry.uid for entry in opened} == {0}
    return found


def test_the_layout_holds_an_image_for_every_component_and_release(tmp_path, binary):
    archive = write_archive(make_images(binary, RELEASES, pause="drill.invalid/pause:1"), tmp_path / "a.tar")
    files = read(archive)
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    manifests = json.loads(files["index.json"])["manifests"]
    names = [entry["annotations"]["io.containerd.image.name"] for entry in manifests]
    assert names == [
        *(f"docker.io/zkprova/{name}:1.8.0-3f9c2e1" for name in ("backend", "frontend", "migrate")),
        *(f"docker.io/zkprova/{name}:1.9.0-a7d20c4" for name in ("backend", "frontend", "migrate")),
        "drill.invalid/pause:1",
    ]
    assert len({entry["digest"] for entry in manifests}) == len(manifests)
    commands = []
    for entry in manifests:
        manifest = json.loads(blob(files, entry))
        config = json.loads(blob(files, manifest["config"]))
        raw = [gzip.decompress(blob(files, layer)) for layer in manifest["layers"]]
        assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in raw]
        assert config["os"] == "linux"
        assert config["config"]["Entrypoint"] == ["/bin/zkprova"]
        assert root(files, manifest)["bin/zkprova"] == (0o755, b"a program")
        tag = entry["annotations"]["org.opencontainers.image.ref.name"]
        assert f"ZKPROVA_VERSION={tag}" in config["config"]["Env"]
        commands.append(config["config"]["Cmd"])
    assert commands == [["backend"], ["frontend"], ["migrate", "up"]] * 2 + [["pause"]]


def test_only_the_migrating_image_of_a_release_brings_its_migrations(tmp_path, binary):
    files = read(write_archive(make_images(binary, RELEASES), tmp_path / "a.tar"))
    brought = {}
    for entry in json.loads(files["index.json"])["manifests"]:
        found = root(files, json.loads(blob(files, entry)))
        sql = {name: content for name, (_, content) in found.items() if name.startswith("migrations/")}
        if sql:
            brought[entry["annotations"]["io.containerd.image.name"]] = sql
    assert brought == {
        "docker.io/zkprova/migrate:1.9.0-a7d20c4": {
            "migrations/0008_x.up.sql": b"SELECT 1;\n",
            "migrations/0008_x.down.sql": b"SELECT 2;\n",
        }
    }


def test_docker_reads_the_same_images_of_its_own_manifest(tmp_path, binary):
    files = read(
        write_archive(make_images(binary, RELEASES, repository="drill.invalid/z"), tmp_path / "a.tar")
    )
    docker = json.loads(files["manifest.json"])
    assert [entry["RepoTags"] for entry in docker[:2]] == [
        ["drill.invalid/z/backend:1.8.0-3f9c2e1"],
        ["drill.invalid/z/frontend:1.8.0-3f9c2e1"],
    ]
    of_layout = [json.loads(blob(files, entry)) for entry in json.loads(files["index.json"])["manifests"]]
    for entry, manifest in zip(docker, of_layout, strict=True):
        assert entry["Config"].rpartition("/")[2] == manifest["config"]["digest"].removeprefix("sha256:")
        assert [layer.rpartition("/")[2] for layer in entry["Layers"]] == [
            layer["digest"].removeprefix("sha256:") for layer in manifest["layers"]
        ]
        assert {entry["Config"], *entry["Layers"]} <= files.keys()


def test_the_program_is_stored_once_and_the_same_input_makes_the_same_bytes(tmp_path, binary):
    binary.write_bytes(random.Random(7).randbytes(1_000_000))
    one, other = (
        write_archive(make_images(binary, RELEASES), tmp_path / name).read_bytes()
        for name in ("1.tar", "2.tar")
    )
    assert one == other
    assert len(one) < 1_100_000
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("machine", "architecture"), [("x86_64", "amd64"), ("arm64", "arm64"), ("aarch64", "arm64")]
)
def test_an_image_says_what_machine_it_is_for(binary, machine, architecture):
    image = make_images(binary, RELEASES[:1], machine=machine)[0]
    assert json.loads(image.config)["architecture"] == architecture


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("zkprova/backend:1", "docker.io/zkprova/backend:1"),
        ("pause:1", "docker.io/library/pause:1"),
        ("localhost/z:1", "localhost/z:1"),
        ("127.0.0.1:5000/z:1", "127.0.0.1:5000/z:1"),
        ("drill.invalid/zkprova/backend:1", "drill.invalid/zkprova/backend:1"),
    ],
)
def test_names_are_full_as_containerd_keeps_them(reference, full):
    assert normalize(reference) == full


def test_what_cannot_be_read_or_written_is_named(tmp_path, binary):
    with pytest.raises(DrillProblem, match=r"cannot be made of .*none: No such file"):
        make_images(tmp_path / "none", RELEASES)
    with pytest.raises(DrillProblem, match=r"cannot be written to .*/none/a\.tar: No such file"):
        write_archive(make_images(binary, RELEASES), tmp_path / "none" / "a.tar")


class Registry(ThreadingHTTPServer):
    """Takes what the distribution specification lets it take: whole blobs of the right digest, known parts only."""

    def __init__(self, refuse=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs, self.manifests, self.sent, self.refuse = {}, {}, [], refuse


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        name, digest = re.fullmatch(r"/v2/(.+)/blobs/(sha256:\w+)", self.path).groups()
        self.answer(200 if (name, digest) in self.server.blobs else 404)

    def do_POST(self):
        if self.server.refuse:
            self.answer(self.server.refuse, b'{"errors": [{"code": "DENIED"}]}')
            return
        name = re.fullmatch(r"/v2/(.+)/blobs/uploads/", self.path)[1]
        self.answer(202, Location=f"/v2/{name}/blobs/uploads/7?state=x")

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if upload := re.fullmatch(r"/v2/(.+)/blobs/uploads/7", parts.path):
            good = parse_qs(parts.query) == {"state": ["x"], "digest": [digest]}
            if good:
                self.server.blobs[upload[1], digest] = body
                self.server.sent.append(digest)
        else:
            name, tag = re.fullmatch(r"/v2/(.+)/manifests/(.+)", parts.path).groups()
            manifest = json.loads(body)
            parts = [manifest["config"], *manifest["layers"]]
            good = self.headers["Content-Type"] == manifest["mediaType"]
            good = good and all((name, part["digest"]) in self.server.blobs for part in parts)
            self.server.manifests[f"{name}:{tag}"] = digest
        self.answer(201 if good else 400)

    def log_message(self, *_):
        pass


@pytest.fixture
def registry(request):
    server = Registry(getattr(request, "param", None))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_registry_gets_every_image_and_every_blob_once(binary, registry):
    host = f"127.0.0.1:{registry.server_address[1]}"
    images = make_images(binary, RELEASES, repository=f"{host}/drill")
    push_images(images)
    push_images(images)
    assert registry.manifests == {image.reference.removeprefix(f"{host}/"): image.digest for image in images}
    assert len(registry.manifests) == 6
    per_repository = [digest for _, digest in registry.blobs]
    assert sorted(registry.sent) == sorted(per_repository)


@pytest.mark.parametrize("registry", [401], indirect=True)
def test_a_registry_that_wants_a_password_is_told_in_a_sentence(binary, registry):
    host = f"127.0.0.1:{registry.server_address[1]}"
    with pytest.raises(DrillProblem) as caught:
        push_images(make_images(binary, RELEASES, repository=f"{host}/drill"))
    assert str(caught.value) == (
        f"The registry {host} did not take {host}/drill/backend:1.8.0-3f9c2e1: it answered 401 to POST"
        ' /v2/drill/backend/blobs/uploads/: {"errors": [{"code": "DENIED"}]}. It has to take images without a'
        " password: name one on loopback or one of your own."
    )


def test_a_registry_that_is_not_there_is_named(binary):
    with pytest.raises(
        DrillProblem, match=r"The registry 127.0.0.1:9 does not take .*Check its name and port"
    ):
        push_images(make_images(binary, RELEASES, repository="127.0.0.1:9/drill"))
