"""The finished record, told to people: Slack."""
