"""One module per checklist item: observe(clients), judge(history, now) -> Verdict | Pending."""
