-- A store of format 1 as the first version wrote it: frozen, whatever serve/store/schema.py becomes.
CREATE TABLE uploads (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    mime TEXT NOT NULL,
    kind TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    created_s REAL NOT NULL,
    expires_s REAL NOT NULL
);
CREATE INDEX uploads_by_owner ON uploads (owner, number);
CREATE INDEX uploads_by_expiry ON uploads (expires_s);
CREATE TABLE conversations (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    renamed INTEGER NOT NULL DEFAULT 0,
    created_s REAL NOT NULL,
    updated_s REAL NOT NULL
);
CREATE INDEX conversations_by_owner ON conversations (owner, updated_s, number);
CREATE TABLE media (
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    upload INTEGER REFERENCES uploads (number) ON DELETE SET NULL,
    name TEXT NOT NULL,
    options TEXT NOT NULL,     -- a JSON object
    PRIMARY KEY (conversation, position)
);
CREATE INDEX media_by_upload ON media (upload);
CREATE TABLE turns (
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    question TEXT,
    text TEXT NOT NULL,
    failed INTEGER NOT NULL,
    remembered INTEGER NOT NULL,
    stopped INTEGER NOT NULL,
    evidence TEXT NOT NULL,    -- JSON: [[start_s, end_s, score, video], ...]
    usage TEXT,                -- a JSON object
    created_s REAL NOT NULL,
    PRIMARY KEY (conversation, position)
);
INSERT INTO uploads VALUES
    (1, 'AAAAAAAAAAAAAAAAAAAAAA', 'ann', 'clip.mp4', 'video/mp4', 'video', 5,
     '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', 1000.0, 5000.0);
INSERT INTO conversations VALUES
    (1, 'BBBBBBBBBBBBBBBBBBBBBB', 'ann', 'pocket', 'What happens?', 0, 1001.0, 1004.5),
    (2, 'CCCCCCCCCCCCCCCCCCCCCC', 'ben', 'pocket', 'Birds', 1, 1002.0, 1003.0);
INSERT INTO media VALUES
    (1, 0, 1, 'clip.mp4', '{"fps": 2.0, "end_s": 9.5}'),
    (1, 1, NULL, 'old.mov', '{}');
INSERT INTO turns VALUES
    (1, 0, NULL, 'old.mov cannot be read.', 1, 0, 0, '[]', NULL, 1003.5),
    (1, 1, 'What happens?', 'A star moves — left.', 0, 1, 1, '[[1.0, 2.5, 0.75, 0]]', '{"frames": 8}', 1004.0);
PRAGMA application_id = 1449741389;
PRAGMA user_version = 1;
