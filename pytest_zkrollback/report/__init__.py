"""The record and its renderings: json, html, markdown, junit, terminal; redaction at the door."""
