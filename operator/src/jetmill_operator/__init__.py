"""What runs Jetmill's jobs from manifests: the laptop's `jetmill dev` and the cluster's operator."""
