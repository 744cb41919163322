"""Pushes images to a registry, as the OCI distribution specification says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from ..domain.errors import DrillProblem
from .images import MANIFEST_TYPE, Image, blobs_of, digest_of

_TIMEOUT_S: Final = 60.0
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def push_images(images: Sequence[Image]) -> None:
    """Push each image to the registry that its name begins with; what is there already is not sent again.

    A registry on loopback is spoken to in plain HTTP, every other one with TLS. It has to take them without
    a password. Raises DrillProblem.
    """
    with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client:
        for image in images:
            host, _, name = image.name.partition("/")
            _Repository(client, host, name).push(image)


class _Repository:
    def __init__(self, client: httpx.Client, host: str, name: str) -> None:
        scheme = "http" if urlsplit(f"//{host}").hostname in _LOOPBACK else "https"
        self._client = client
        self._host = host
        self._url = f"{scheme}://{host}/v2/{name}"

    def push(self, image: Image) -> None:
        *blobs, manifest = blobs_of(image)
        for blob in blobs:
            with self._asking(image):
                self._push_blob(blob)
        with self._asking(image):
            self._expect(
                self._client.put(
                    f"{self._url}/manifests/{image.tag}",
                    content=manifest,
                    headers={"Content-Type": MANIFEST_TYPE},
                ),
                201,
            )

    def _push_blob(self, blob: bytes) -> None:
        digest = digest_of(blob)
        if self._client.head(f"{self._url}/blobs/{digest}").status_code == 200:
            return
        begun = self._expect(self._client.post(f"{self._url}/blobs/uploads/"), 202)
        where = httpx.URL(urljoin(f"{self._url}/blobs/uploads/", begun.headers.get("Location", "")))
        self._expect(
            self._client.put(
                where.copy_merge_params({"digest": digest}),
                content=blob,
                headers={"Content-Type": "application/octet-stream"},
            ),
            201,
        )

    @staticmethod
    def _expect(answer: httpx.Response, status: int) -> httpx.Response:
        if answer.status_code != status:
            raise httpx.HTTPStatusError(
                f"it answered {answer.status_code} to {answer.request.method} {answer.request.url.path}:"
                f" {answer.text.strip()[:300] or 'it said nothing'}",
                request=answer.request,
                response=answer,
            )
        return answer

    @contextmanager
    def _asking(self, image: Image) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPStatusError as problem:
            hint = ""
            if problem.response.status_code in (401, 403):
                hint = " It has to take images without a password: name one on loopback or one of your own."
            raise DrillProblem(
                f"The registry {self._host} did not take {image.reference}: {problem}.{hint}"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as problem:
            raise DrillProblem(
                f"The registry {self._host} does not take {image.reference}:"
                f" {problem or type(problem).__name__}. Check its name and port, and that it runs."
            ) from None
