"""The demo chart, as helm renders it for each kind of place."""

import subprocess

import pytest
import yaml

from pytest_zkrollback.drill.scenarios import CHART


@pytest.fixture
def render(binaries):
    def run(*values):
        argv = [binaries["helm"], "template", "zkprova", CHART, "--set", "migrate=true"]
        argv += [argument for value in values for argument in ("--set", value)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
        objects = [
            one for one in yaml.safe_load_all(done.stdout) if one and "template" in one.get("spec", {})
        ]
        pods = {
            one["metadata"]["name"].rpartition("-")[2]: one["spec"]["template"]["spec"] for one in objects
        }
        assert pods.keys() == {"backend", "frontend", "migrate"}
        return pods

    return run


def test_the_database_is_in_a_folder_of_the_node_or_in_a_claim(render):
    folder = {"name": "data", "hostPath": {"path": "/srv/zkprova", "type": "DirectoryOrCreate"}}
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "zkprova-data"}}
    for values, volume in (((), folder), (("claim=zkprova-data",), claim)):
        pods = render(*values)
        assert [pods[name].get("volumes") for name in ("backend", "migrate", "frontend")] == [
            [volume],
            [volume],
            None,
        ]


@pytest.mark.parametrize("repository", ["zkprova", "drill.invalid/zkprova", "127.0.0.1:5000/demo"])
def test_all_images_are_of_one_repository(render, repository):
    pods = render(f"repository={repository}")
    for name, pod in pods.items():
        assert pod["containers"][0]["image"] == f"{repository}/{name}:0.0.0-0000000"
