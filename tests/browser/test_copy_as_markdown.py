"""The page's button that copies it as Markdown, pressed in a real browser, and the links to the files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_zkrollback.report.file_names import file_stem
from pytest_zkrollback.report.files import Store
from support.example_records import failed, verified

BUTTON = "button:text('Copy as Markdown')"


def finished(folder: Path, **changes: Any) -> Store:
    record = failed().model_copy(update=changes)
    store = Store(folder, file_stem(record))
    store.write(record)
    store.finish(record)
    return store


def test_it_copies_what_the_markdown_file_holds(look: Any, tmp_path: Path) -> None:
    store = finished(tmp_path)
    page = look.at(store.html_path, permissions=["clipboard-read", "clipboard-write"])
    page.click(BUTTON)
    page.wait_for_selector("button:text('Copied')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == store.path(".md").read_text(encoding="utf-8")
    assert look.complaints == []


def test_without_a_clipboard_the_text_stands_there_selected(look: Any, tmp_path: Path) -> None:
    store = finished(tmp_path)
    page = look.at(store.html_path)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden')); }")
    page.click(BUTTON)
    field = page.locator("textarea")
    assert field.input_value() == store.path(".md").read_text(encoding="utf-8")
    assert field.evaluate("node => node.selectionEnd - node.selectionStart === node.value.length")


def test_without_scripts_there_is_no_button(look: Any, tmp_path: Path) -> None:
    page = look.at(finished(tmp_path).html_path, java_script_enabled=False)
    assert page.locator(".files").is_visible()
    assert page.locator("button").count() == 0
    assert "| Verdict |" not in page.locator("body").inner_text()


def test_the_files_beside_the_page_are_there(look: Any, tmp_path: Path) -> None:
    store = finished(tmp_path, bundle=True)
    store.write_bundle(failed())
    for page in (look.at(store.html_path), look.at(tmp_path / "latest.html")):
        links = page.eval_on_selector_all(".files a", "nodes => nodes.map(node => node.href)")
        assert [Path(each.removeprefix("file://")).name for each in links] == [
            f"{store.stem}{suffix}" for suffix in (".md", ".json", ".zip")
        ]
        assert all(Path(each.removeprefix("file://")).is_file() for each in links)
    alone = finished(tmp_path / "alone", run_id=verified().run_id)
    assert look.at(alone.html_path).locator(".files a").count() == 2
