BEGIN TRANSACTION;
CREATE TABLE answers (
    kid TEXT NOT NULL,
    jti TEXT NOT NULL,
    number INTEGER NOT NULL,        -- 1 = first answer
    jws TEXT NOT NULL,
    PRIMARY KEY (kid, jti, number),
    FOREIGN KEY (kid, jti) REFERENCES commands (kid, jti) ON DELETE CASCADE
) STRICT;
INSERT INTO "answers" VALUES('desk','c-1',1,'d.e.f');
CREATE TABLE baselines (
    point TEXT PRIMARY KEY,
    next_start INTEGER NOT NULL,    -- Unix seconds, on the grid
    register_wh INTEGER,            -- last known reg_end_wh, or the very first reading
    register_at INTEGER,            -- when it showed that; other than next_start: a run of gaps is open
    offset_wh INTEGER NOT NULL,     -- not 0 after a meter was changed since register_at
    prompt INTEGER NOT NULL CHECK (prompt IN (0, 1)),   -- read within 2 s of register_at
    meter_sn TEXT
) STRICT;
INSERT INTO "baselines" VALUES('poi',1780017300,5224900,1780017300,0,1,'SN-1');
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
INSERT INTO "commands" VALUES('desk','c-1','h',1780013700,'hold',1,'a.b.c');
CREATE TABLE deferred (
    number INTEGER PRIMARY KEY,     -- their order
    body TEXT NOT NULL              -- JSON
) STRICT;
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1))
) STRICT;
INSERT INTO "epochs" VALUES(1780012800,0);
CREATE TABLE kept (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
CREATE TABLE last_seqs (
    kid TEXT NOT NULL,
    typ TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (kid, typ)
) STRICT;
INSERT INTO "last_seqs" VALUES('desk','qw-cmd+jws',7);
CREATE TABLE receipts (
    epoch INTEGER NOT NULL,
    through_seq INTEGER NOT NULL,
    jws TEXT NOT NULL,
    PRIMARY KEY (epoch, through_seq)
) STRICT;
CREATE TABLE records (
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 1),
    kind TEXT NOT NULL,
    day TEXT,                       -- UTC day of an interval or gap, else NULL
    jws TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (epoch, seq)
) STRICT;
INSERT INTO "records" VALUES(1780012800,1,'epoch_open',NULL,'eyJhbGciOiJFZERTQSIsImtpZCI6InNpdGUta2V5IiwidHlwIjoicXctcmVjK2p3cyJ9.eyJhdCI6IjIwMjYtMDUtMjlUMDA6MDA6MDBaIiwiYmVmb3JlIjpudWxsLCJlcG9jaCI6MTc4MDAxMjgwMCwiZnciOiIwLjEuMCIsImludGVydmFsX3MiOjMwMCwia2luZCI6ImVwb2NoX29wZW4iLCJwb2ludHMiOlsicG9pIl0sInByZXYiOm51bGwsInJlYXNvbiI6Im5ldyIsInNlcSI6MSwic2l0ZSI6ImxoZS0wMSIsInYiOjF9.2miyynNEwvVZz79fjc_A79PCa5iQvQj0LH0hqVrzqVxzMYl7HO1aPVqh9Z7KO3ehjMCcK7JNNP9djA-Hj6v6CQ','2DEg-_4wAT-L1zJ-nXV80vfGS6VaFtauCz5Jxs6jUCA');
INSERT INTO "records" VALUES(1780012800,2,'interval','2026-05-29','eyJhbGciOiJFZERTQSIsImtpZCI6InNpdGUta2V5IiwidHlwIjoicXctcmVjK2p3cyJ9.eyJjb3ZlcmFnZV9zIjozMDAsImR1cl9zIjozMDAsImVwb2NoIjoxNzgwMDEyODAwLCJmbG9vcl93Ijo1MDAwMCwiZnciOiIwLjEuMCIsImtpbmQiOiJpbnRlcnZhbCIsImxpbWl0X3JlZiI6bnVsbCwibGltaXRfd2giOjgzMzMzLCJtYXhfdyI6OTAwMDAwLCJtZXRlcl9zbiI6IlNOLTEiLCJvdXRwdXQiOnsiZ3B1X3MiOm51bGwsImhhc2hlc190aCI6MzAwMDAwfSwib3Zlcl9zIjowLCJvdmVyX3doIjowLCJwb2ludCI6InBvaSIsInByZXYiOiIyREVnLV80d0FULUwxekotblhWODB2ZkdTNlZhRnRhdUN6NUp4czZqVUNBIiwicXVhbGl0eSI6MTcsInJlZ19lbmRfd2giOjUwNzQ5MDAsInJlZ19zdGFydF93aCI6NDk5OTkwMCwic2FtcGxlcyI6MzAwLCJzZXEiOjIsInNldHRsZV9zIjowLCJzaXRlIjoibGhlLTAxIiwic3RhcnQiOiIyMDI2LTA1LTI5VDAxOjAwOjAwWiIsInN0YXRlX3MiOnsiY29udHJvbGxlZCI6MCwiZmFpbHNhZmUiOjAsImluaXQiOjAsImxpbWl0ZWQiOjMwMH0sInRpbWVfc3RhdHVzIjoiUyIsInYiOjEsIndoIjo3NTAwMH0.ORLSamQfDQE-dr3kZG4J_UWr72V5imkTASi27L26kS1scyjbzTn5OWdbbzPiLboe8hVoK6sSdS-dG3rU-_bIBg','GFPev_lTqIJSEm4n3eBg1UES6Os3Ifj9tRjPjwTW6Oc');
INSERT INTO "records" VALUES(1780012800,3,'interval','2026-05-29','eyJhbGciOiJFZERTQSIsImtpZCI6InNpdGUta2V5IiwidHlwIjoicXctcmVjK2p3cyJ9.eyJjb3ZlcmFnZV9zIjozMDAsImR1cl9zIjozMDAsImVwb2NoIjoxNzgwMDEyODAwLCJmbG9vcl93Ijo1MDAwMCwiZnciOiIwLjEuMCIsImtpbmQiOiJpbnRlcnZhbCIsImxpbWl0X3JlZiI6bnVsbCwibGltaXRfd2giOjgzMzMzLCJtYXhfdyI6OTAwMDAwLCJtZXRlcl9zbiI6IlNOLTEiLCJvdXRwdXQiOnsiZ3B1X3MiOm51bGwsImhhc2hlc190aCI6MzAwMDAwfSwib3Zlcl9zIjowLCJvdmVyX3doIjowLCJwb2ludCI6InBvaSIsInByZXYiOiJHRlBldl9sVHFJSlNFbTRuM2VCZzFVRVM2T3MzSWZqOXRSalBqd1RXNk9jIiwicXVhbGl0eSI6MTcsInJlZ19lbmRfd2giOjUxNDk5MDAsInJlZ19zdGFydF93aCI6NTA3NDkwMCwic2FtcGxlcyI6MzAwLCJzZXEiOjMsInNldHRsZV9zIjowLCJzaXRlIjoibGhlLTAxIiwic3RhcnQiOiIyMDI2LTA1LTI5VDAxOjA1OjAwWiIsInN0YXRlX3MiOnsiY29udHJvbGxlZCI6MCwiZmFpbHNhZmUiOjAsImluaXQiOjAsImxpbWl0ZWQiOjMwMH0sInRpbWVfc3RhdHVzIjoiUyIsInYiOjEsIndoIjo3NTAwMH0.u6CunLAoVfwo2PfMFwn04kQicXi0ChKWMVXxZ-LGYZjxXukSa5snyGVABHlwfoj2xSnoaICOVT1VxvO3LJhkBA','349A8SPUjR8h90rakNxxPfVI467URYQOfnJFkUbmSlA');
INSERT INTO "records" VALUES(1780012800,4,'interval','2026-05-29','eyJhbGciOiJFZERTQSIsImtpZCI6InNpdGUta2V5IiwidHlwIjoicXctcmVjK2p3cyJ9.eyJjb3ZlcmFnZV9zIjozMDAsImR1cl9zIjozMDAsImVwb2NoIjoxNzgwMDEyODAwLCJmbG9vcl93Ijo1MDAwMCwiZnciOiIwLjEuMCIsImtpbmQiOiJpbnRlcnZhbCIsImxpbWl0X3JlZiI6bnVsbCwibGltaXRfd2giOjgzMzMzLCJtYXhfdyI6OTAwMDAwLCJtZXRlcl9zbiI6IlNOLTEiLCJvdXRwdXQiOnsiZ3B1X3MiOm51bGwsImhhc2hlc190aCI6MzAwMDAwfSwib3Zlcl9zIjowLCJvdmVyX3doIjowLCJwb2ludCI6InBvaSIsInByZXYiOiIzNDlBOFNQVWpSOGg5MHJha054eFBmVkk0NjdVUllRT2ZuSkZrVWJtU2xBIiwicXVhbGl0eSI6MTcsInJlZ19lbmRfd2giOjUyMjQ5MDAsInJlZ19zdGFydF93aCI6NTE0OTkwMCwic2FtcGxlcyI6MzAwLCJzZXEiOjQsInNldHRsZV9zIjowLCJzaXRlIjoibGhlLTAxIiwic3RhcnQiOiIyMDI2LTA1LTI5VDAxOjEwOjAwWiIsInN0YXRlX3MiOnsiY29udHJvbGxlZCI6MCwiZmFpbHNhZmUiOjAsImluaXQiOjAsImxpbWl0ZWQiOjMwMH0sInRpbWVfc3RhdHVzIjoiUyIsInYiOjEsIndoIjo3NTAwMH0.47RPJ61_E6fLWL0pB7tCFvmf7zd9ipT5BKsgaMw67Uc0QRBhI0IeKhCGxaqWMkbWozkUis7j8b_TrYW9FGZKBA','on5paDg_um7zucTIUrCbc9SlW5qr2K5qt_kn0VofX1U');
CREATE INDEX records_by_day ON records (day) WHERE day IS NOT NULL;
COMMIT;
