"""A GitHub with a repository in it: a good commit, two commits of undone work, a branch of its own."""

import shutil

import pytest

from support.fake_github import TOKEN, FakeGitHub, Repository
from support.github_operator import operate


def tell(folder):
    """first - good - bad - merge of feature (main); the undone work came by the branch feature."""
    repository = Repository(folder)
    commit = repository.commit
    commit({"app.txt": "zero\n", ".github/workflows/deploy.yml": "name: Deploy\n"}, "first")
    good = commit({"app.txt": "good\n"}, "good")
    repository.git("tag", "good", good)
    repository.git("update-ref", "refs/heads/feature", good)
    commit({"feature.txt": "undone work\n"}, "the undone work", "feature")
    commit({"app.txt": "bad\n"}, "bad")
    tree = repository.git("merge-tree", "--write-tree", "main", "feature")
    parents = ["-p", repository.tip(), "-p", repository.tip("feature")]
    merge = repository.git("commit-tree", tree, *parents, "-m", "Merge feature")
    repository.git("update-ref", "refs/heads/main", merge)


class Place:
    """A fake GitHub and an operator with a report folder of their own."""

    def __init__(self, folder, story):
        self.folder = folder
        shutil.copytree(story, folder / "origin.git")
        self.fake = FakeGitHub(folder)
        self.repository = self.fake.repository
        self.good, self.bad = self.repository.git("rev-parse", "good", "main").split()

    def run(self, environment="staging", token=TOKEN, **asked):
        if not asked.get("redeploy"):
            asked.setdefault("commit", self.good[:12])
        return operate(self.fake.url, self.folder, token, environment=environment, **asked)

    @property
    def changes(self):
        """What was changed at GitHub, numbers left out: ``POST pulls`` ..."""
        words = [line.split("/") for line in self.fake.changes]
        return ["/".join(part for part in line if not part.isdigit()) for line in words]

    def same_tree(self, commit):
        return self.repository.tree(commit) == self.repository.tree(self.good)


@pytest.fixture(scope="session")
def story(tmp_path_factory):
    folder = tmp_path_factory.mktemp("story") / "origin.git"
    tell(folder)
    return folder


@pytest.fixture
def place(tmp_path, story):
    made = Place(tmp_path, story)
    yield made
    made.fake.close()
