"""Objects: buckets of keys, each with a body of any size, its versions, and who is told of it.

    small body   one row, one group commit        large body   an immutable file, then a row

In reading order: `bucket` and `record` (the values), `store` (all that can be done), `schema` (the
tables), `versions` (what a write does to a key's rows), `listing` (pages by the index), `upload`
and `reader` (bodies in and out), `blobs` (the files), `multipart`, `buckets`, `carrier`.
"""
