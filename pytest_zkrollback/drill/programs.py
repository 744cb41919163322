"""The drill's programs: names, versions that serve, and what each is built from."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

MODULES = Path(__file__).with_name("go")


@dataclass(frozen=True)
class Tool:
    """One program.

    ``names``: what it may be called on PATH; the first is ours. ``serves`` matches what it says of its
    version if that one serves; ``wanted`` is the same in words. ``folder`` is its Go module's in
    :data:`MODULES`, ``module`` the required module whose version it has, ``stamp`` the variable that holds
    it (programs built from modules do not know their own version); no ``module``: its sources lie in
    ``folder``, and their digest is its version. Without ``version_args`` it is never taken from PATH.
    ``tags`` are go's build tags; ``cgo``: it has C code, is linked statically, and needs gcc. ``system`` is
    go's name of the system that it is for; empty: this one.
    """

    names: tuple[str, ...]
    version_args: tuple[str, ...]
    serves: str
    wanted: str
    folder: str
    module: str
    package: str
    stamp: str = ""
    tags: str = ""
    cgo: bool = False
    system: str = ""

    @property
    def name(self) -> str:
        """What the drill calls it, and the name of its file."""
        return self.names[0]

    @property
    def version(self) -> str:
        """The version that is built, from the committed go.mod."""
        if not self.module:
            return _digest_folder(MODULES / self.folder)
        text = (MODULES / self.folder / "go.mod").read_text()
        match = re.search(rf"^(?:require)?\s+{re.escape(self.module)} (v\S+)", text, re.MULTILINE)
        if match is None:
            raise LookupError(f"{self.folder}/go.mod does not require {self.module}")
        return match[1]

    @property
    def build_flags(self) -> tuple[str, ...]:
        """Flags for ``go build``: no paths of this machine, no debug tables, the version stamped."""
        link = "-s -w"
        if self.stamp:
            link += f" -X {self.stamp}={self.version}"
        if self.stamp.endswith(".gitVersion"):
            major, minor, _ = self.version[1:].split(".")
            package = self.stamp.removesuffix(".gitVersion")
            link += f" -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        if self.cgo:
            link += ' -linkmode external -extldflags "-static"'
        tags = ("-tags", self.tags) if self.tags else ()
        return ("-trimpath", *tags, "-ldflags", link)

    @property
    def digest(self) -> str:
        """16 hex digits over all that goes into the program, but for the go command's own version."""
        digest = hashlib.sha256(
            f"{self.system or sys.platform} {platform.machine()} {self.package}\n".encode()
        )
        digest.update(" ".join(self.build_flags).encode())
        digest.update(_digest_folder(MODULES / self.folder).encode())
        return digest.hexdigest()[:16]


def _digest_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _kubernetes(name: str, *version_args: str) -> Tool:
    return Tool(
        names=(name,),
        version_args=version_args or ("--version",),
        serves=r"\bv1\.37\.\d+",
        wanted="1.37",
        folder="cluster",
        module="k8s.io/kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        stamp="k8s.io/component-base/version.gitVersion",
    )


def _helm(names: tuple[str, ...], major: int) -> Tool:
    path = f"helm.sh/helm/v{major}"
    return Tool(
        names=names,
        version_args=("version", "--template", "{{.Version}}"),
        serves=rf"^v{major}\.",
        wanted=f"{major}.x",
        folder=f"helm{major}",
        module=path,
        package=f"{path}/cmd/helm",
        stamp=f"{path}/internal/version.version",
    )


# The demo application.
ZKPROVA = Tool(
    names=("zkprova",),
    version_args=("version",),
    serves=rf"^zkprova {_digest_folder(MODULES / 'zkprova')}$",
    wanted="of the same sources",
    folder="zkprova",
    module="",
    package=".",
    stamp="main.source",
)
# The same for images: containers run on Linux.
ZKPROVA_IMAGE = ZKPROVA if sys.platform == "linux" else replace(ZKPROVA, version_args=(), system="linux")

TOOLS = (
    Tool(
        names=("etcd",),
        version_args=("--version",),
        serves=r"etcd Version: 3\.([5-9]|\d\d)\.",
        wanted="3.5 or newer",
        folder="cluster",
        module="go.etcd.io/etcd/server/v3",
        package="go.etcd.io/etcd/server/v3",
    ),
    Tool(
        names=("kwok",),
        version_args=("--version",),
        serves=r"\bv0\.8\.",
        wanted="0.8",
        folder="cluster",
        module="sigs.k8s.io/kwok",
        package="sigs.k8s.io/kwok/cmd/kwok",
    ),
    _kubernetes("kubectl", "version", "--client"),
    _kubernetes("kube-scheduler"),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _helm(("helm", "helm4"), 4),
    ZKPROVA,
)
HELM3 = _helm(("helm3", "helm"), 3)
# Its releases 3.N have the Go module versions v0.3NN. Built in are two service discoveries: files and HTTP.
PROMETHEUS = Tool(
    names=("prometheus",),
    version_args=("--version",),
    serves=r"^prometheus, version (v0\.3|3\.)\d+\.",
    wanted="3.x",
    folder="prometheus",
    module="github.com/prometheus/prometheus",
    package="github.com/prometheus/prometheus/cmd/prometheus",
    stamp="github.com/prometheus/common/version.Version",
    tags="remove_all_sd",
)


KUBELET = _kubernetes("kubelet")
_CONTAINERD = "github.com/containerd/containerd/v2"
_CNI = "github.com/containernetworking/plugins"
_RUNC = "github.com/opencontainers/runc"


def _node(name: str, module: str, package: str, tags: str = "") -> Tool:
    return Tool(
        names=(name,),
        version_args=(),
        serves="",
        wanted="of its own build",
        folder="node",
        module=module,
        package=f"{module}/{package}",
        tags=tags,
    )


# What runs containers on a node of our own, with three CNI plugins. But for kubelet none is taken
# from PATH: the configuration of the node is written for one version.
NODE_TOOLS = (
    KUBELET,
    *(
        _node(name, _CONTAINERD, f"cmd/{name}", "no_btrfs no_devmapper no_zfs no_aufs")
        for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    ),
    *(
        _node(name, _CNI, f"plugins/{kind}/{name}")
        for kind, name in (("main", "bridge"), ("ipam", "host-local"), ("main", "loopback"))
    ),
    # Without seccomp, which would need a C library that many machines do not have: see without_seccomp.py.
    Tool(
        names=("runc",),
        version_args=(),
        serves="",
        wanted="of its own build",
        folder="node",
        module=_RUNC,
        package=_RUNC,
        tags="netgo osusergo",
        cgo=True,
    ),
)
