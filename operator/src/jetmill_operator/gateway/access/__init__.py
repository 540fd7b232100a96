"""Who asks, and what they may: Kubernetes' own accounts and RBAC, asked by TokenReview and SubjectAccessReview."""
