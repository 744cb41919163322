"""deploy/: the Containerfile's steps, run in empty folders, and the manifests, tried by the real API server."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SUBJECT = "{kind: User, name: REPLACE-ME, apiGroup: rbac.authorization.k8s.io}"
MANIFESTS = sorted(path.name for path in DEPLOY.glob("*.yaml"))


def steps():
    """Instruction and argument of each step; a line that ends with a backslash goes on."""
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")]


class Stages:
    """Each stage is a folder; a path of the image is a path below it. What is not known fails."""

    def __init__(self, folder):
        self.folder, self.names, self.stage, self.work = folder, {}, None, None

    def play(self, instruction, argument):
        getattr(self, f"_{instruction.lower()}")(argument)

    def _from(self, argument):
        name = argument.rpartition(" AS ")[2] if " AS " in argument else "last"
        self.stage = self.names[name] = self.folder / name
        self.stage.mkdir()

    def _workdir(self, argument):
        self.work = self.stage / argument.lstrip("/")
        self.work.mkdir(parents=True, exist_ok=True)

    def _copy(self, argument):
        *sources, target = argument.split()
        base = ROOT
        if sources[0].startswith("--from="):
            base = self.names[sources.pop(0).removeprefix("--from=")]
        for source in sources:
            found, into = base / source.lstrip("/"), self.work / target
            if found.is_dir():
                shutil.copytree(found, into, dirs_exist_ok=True)
            else:
                into = into / found.name if target.endswith("/") else into
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, into)

    def _run(self, argument):
        # The images bring `go` and `python3`; here it is this machine's, and the Python that runs the tests.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            ["sh", "-ec", argument],
            cwd=self.work,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _env(self, argument):
        assert argument.startswith("PATH=/opt/zkrollback/venv/bin:")

    def _user(self, argument):
        assert argument == "65532:65532"

    def _entrypoint(self, argument):
        assert argument == '["pytest", "--pyargs", "pytest_zkrollback.items", "-p", "no:cacheprovider"]'


@pytest.mark.campaign
def test_the_steps_of_the_containerfile(tmp_path):
    stages = Stages(tmp_path)
    for instruction, argument in steps():
        stages.play(instruction, argument)
    programs = tmp_path / "last" / "opt" / "zkrollback" / "venv" / "bin"
    assert not (programs.parents[1] / "source").exists()
    told = subprocess.run(
        [programs / "helm", "version", "--template", "{{.Version}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.startswith("v4.")
    work = tmp_path / "last" / "work"
    asked = subprocess.run(
        [programs / "pytest", "--pyargs", "pytest_zkrollback.items", "--zkrollback-env=nowhere"],
        capture_output=True,
        text=True,
        check=False,
        cwd=work,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert asked.returncode == 4
    assert "nowhere" in asked.stderr, asked.stdout + asked.stderr


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_api_server_takes_every_manifest(incident, name):
    """``kubectl create``, as the first line of each says of the Jobs; nothing is made."""
    text = (DEPLOY / name).read_text()
    stated = "namespace: shop" in text
    argv = [str(incident.cluster.binaries["kubectl"]), "create", "--dry-run=server", "--validate=strict"]
    argv += ["--filename", "-", "--context", incident.cluster.context]
    argv += ["--kubeconfig", str(incident.cluster.kubeconfig)]
    argv += [] if stated else ["--namespace", incident.namespace]
    text = re.sub(r'(namespace: "?)shop\b', rf"\g<1>{incident.namespace}", text)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    documents = [each for each in yaml.safe_load_all(text) if each]
    assert done.stdout.count(" created (server dry run)") == len(documents), done.stdout
    assert incident.kubectl("get", "jobs", "--output", "name") == ""


def test_the_jobs_name_what_the_settings_make():
    made = {
        (each["kind"], each["metadata"]["name"])
        for each in yaml.safe_load_all((DEPLOY / "settings.yaml").read_text())
    }
    for name in ("verify", "roll-back"):
        job = yaml.safe_load((DEPLOY / f"{name}.yaml").read_text())
        pod = job["spec"]["template"]["spec"]
        used = {("ServiceAccount", pod["serviceAccountName"])}
        for volume in pod["volumes"]:
            used |= {("ConfigMap", volume["configMap"]["name"])} if "configMap" in volume else set()
            if "persistentVolumeClaim" in volume:
                used |= {("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])}
        assert used <= made
        # Nothing starts the command a second time.
        assert (job["spec"]["backoffLimit"], pod["restartPolicy"]) == (0, "Never")


def with_account(document):
    """The printed document, for the service account of settings.yaml."""
    found = re.search(r"zkrollback/purpose: ([\w-]+)}", document)
    if found is None:
        return document
    account = f"{{kind: ServiceAccount, name: zkrollback-{found[1]}, namespace: shop}}"
    return document.replace(SUBJECT, account)


def test_the_rights_are_those_that_the_command_prints(incident):
    """For the drill's release; ZKROLLBACK_WRITE=1 writes the file anew."""
    code, out, err = incident.typed("--zkrollback-check=rbac")
    assert code == 0, err
    told = "---\n".join(map(with_account, out.split("---\n")))
    told = told.replace(incident.namespace, "shop").replace("environment test", "environment staging")
    path = DEPLOY / "rights.yaml"
    if os.environ.get("ZKROLLBACK_WRITE"):
        path.write_text(told)
    assert path.read_text() == told


def test_the_configuration_is_one(tmp_path):
    """The tool reads it, and asks for nothing else."""
    from pytest_zkrollback.config.loader import load_environment

    [settings, *_] = yaml.safe_load_all((DEPLOY / "settings.yaml").read_text())
    path = tmp_path / "zkrollback.toml"
    path.write_text(settings["data"]["zkrollback.toml"])
    found = load_environment(path, "staging")
    assert (found.in_cluster, found.namespace, found.release) == (True, "shop", "zkprova")
