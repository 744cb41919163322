"""What is read and judged before helm starts."""
