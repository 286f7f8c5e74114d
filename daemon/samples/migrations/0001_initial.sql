-- A key is (start / width) << 20 | series: rows go in at the end, the oldest are the first, and one
-- series' row of one minute is found without a further index.

CREATE TABLE series (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 1048575),
    name TEXT NOT NULL UNIQUE       -- a device's id; @power, @limit, @expected: the site's own
) STRICT;

CREATE TABLE minutes (
    key INTEGER PRIMARY KEY,
    power_w REAL,                   -- mean while it was known; NULL = never in this minute
    power_low_w REAL,
    power_high_w REAL,
    energy_wh REAL,                 -- the register at the end
    hash_ths REAL,                  -- mean
    gpus REAL,                      -- mean
    samples INTEGER NOT NULL,       -- good polls
    coverage_s REAL NOT NULL        -- how long anything was known
) STRICT;

CREATE TABLE quarters (
    key INTEGER PRIMARY KEY,
    power_w REAL,
    power_low_w REAL,
    power_high_w REAL,
    energy_wh REAL,
    hash_ths REAL,
    gpus REAL,
    samples INTEGER NOT NULL,
    coverage_s REAL NOT NULL
) STRICT;

-- The site's own series as the cycles saw them.
CREATE TABLE cycles (
    at_s INTEGER PRIMARY KEY,       -- Unix seconds
    limit_w INTEGER NOT NULL,
    power_w REAL,
    expected_w REAL,                -- once all orders have taken effect
    state TEXT NOT NULL
) STRICT;

CREATE VIEW by_minute AS
    SELECT name, (key >> 20) * 60 AS start_s, power_w, power_low_w, power_high_w, energy_wh, hash_ths, gpus,
        samples, coverage_s
    FROM minutes JOIN series ON number = key & 1048575;

CREATE VIEW by_quarter AS
    SELECT name, (key >> 20) * 900 AS start_s, power_w, power_low_w, power_high_w, energy_wh, hash_ths, gpus,
        samples, coverage_s
    FROM quarters JOIN series ON number = key & 1048575;
