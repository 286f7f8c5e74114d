-- Bodies of records that may not be signed yet: the chain is damaged, and nobody has opened a new epoch.
CREATE TABLE deferred (
    number INTEGER PRIMARY KEY,     -- their order
    body TEXT NOT NULL              -- JSON
) STRICT;
