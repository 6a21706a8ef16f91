"""The query names that make another operation of a request: PUT /a/b and PUT /a/b?tagging."""

from __future__ import annotations

SELECTORS = frozenset(
    (
        *("abac", "accelerate", "acl", "analytics", "annotation", "annotations", "append"),
        *("attributes", "cors", "delete", "encryption", "intelligent-tiering", "inventory"),
        *("legal-hold", "lifecycle", "list-type", "location", "logging", "metadataConfiguration"),
        *("metadataInventoryTable", "metadataJournalTable", "metadataTable", "metrics"),
        *("notification", "object-lock", "ownershipControls", "policy", "policyStatus"),
        *("publicAccessBlock", "renameObject", "replication", "requestPayment", "restore"),
        *("retention", "select", "session", "tagging", "torrent", "uploadId", "uploads"),
        *("versioning", "versions", "website"),
    )
)
"""All of S3's, whether Mayfly has the operation or not."""
