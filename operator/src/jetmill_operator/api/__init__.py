"""The kinds of the group `jetmill.dev`, as they stand in manifests: one module each, documented field by field."""

GROUP = "jetmill.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
