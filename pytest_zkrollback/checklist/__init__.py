"""One module per checklist item: observe(clients), judge(history, now) -> CheckResult | Pending."""
