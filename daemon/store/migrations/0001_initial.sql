-- The interval ledger: the JWS text is what was hashed, signed and sent; the other columns index it.
CREATE TABLE records (
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 1),
    kind TEXT NOT NULL,
    day TEXT,                       -- UTC day of an interval or gap, else NULL
    jws TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (epoch, seq)
) STRICT;
CREATE INDEX records_by_day ON records (day) WHERE day IS NOT NULL;

-- The ledger's epochs. Of a retired one only receipted records count; the rest is kept for audit.
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1))
) STRICT;

-- Verified receipts, as received.
CREATE TABLE receipts (
    epoch INTEGER NOT NULL,
    through_seq INTEGER NOT NULL,
    jws TEXT NOT NULL,
    PRIMARY KEY (epoch, through_seq)
) STRICT;

-- Where a metered point's next interval begins.
CREATE TABLE baselines (
    point TEXT PRIMARY KEY,
    next_start INTEGER NOT NULL,    -- Unix seconds, on the grid
    register_wh INTEGER,            -- last known reg_end_wh, or the very first reading
    register_at INTEGER,            -- when it showed that; other than next_start: a run of gaps is open
    offset_wh INTEGER NOT NULL,     -- not 0 after a meter was changed since register_at
    prompt INTEGER NOT NULL CHECK (prompt IN (0, 1)),   -- read within 2 s of register_at
    meter_sn TEXT
) STRICT;

-- Small state that must survive a restart: authority, device exclusions, the open day. JSON by name.
CREATE TABLE kept (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Highest seq taken from each key and message type.
CREATE TABLE last_seqs (
    kid TEXT NOT NULL,
    typ TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (kid, typ)
) STRICT;

-- Commands and quotas taken or refused with an answer, until exp + 10 min.
CREATE TABLE commands (
    kid TEXT NOT NULL,
    jti TEXT NOT NULL,
    hash TEXT NOT NULL,             -- of the JWS bytes
    keep_until INTEGER NOT NULL,    -- Unix seconds
    op TEXT NOT NULL,
    finished INTEGER NOT NULL CHECK (finished IN (0, 1)),
    jws TEXT NOT NULL,
    PRIMARY KEY (kid, jti)
) STRICT;

CREATE TABLE answers (
    kid TEXT NOT NULL,
    jti TEXT NOT NULL,
    number INTEGER NOT NULL,        -- 1 = first answer
    jws TEXT NOT NULL,
    PRIMARY KEY (kid, jti, number),
    FOREIGN KEY (kid, jti) REFERENCES commands (kid, jti) ON DELETE CASCADE
) STRICT;
