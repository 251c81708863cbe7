"""The service over HTTP: JSON under `/v1` for programs, pages for people, both over the use cases of `api.desk`."""
