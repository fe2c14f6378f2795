-- A copy of an image on its way to another store: its place in the queue, how far it is, who works on it, and its
-- reservation in the ledger. While it is open its row is the note that the store may hold bytes of it.
CREATE TABLE copies (
    id VARCHAR(64) COLLATE "C" NOT NULL PRIMARY KEY,
    image_id VARCHAR(64) COLLATE "C" NOT NULL,
    source VARCHAR(255) COLLATE "C",
    store VARCHAR(255) COLLATE "C" NOT NULL,
    others TEXT COLLATE "C" NOT NULL,
    done BIGINT NOT NULL CHECK (done >= 0),
    total BIGINT NOT NULL CHECK (total >= 0),
    state VARCHAR(30) COLLATE "C" NOT NULL,
    error TEXT COLLATE "C",
    attempts BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    token VARCHAR(64) COLLATE "C" NOT NULL,
    node VARCHAR(255) COLLATE "C" NOT NULL,
    boot VARCHAR(64) COLLATE "C" NOT NULL,
    lease_us BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    scope VARCHAR(255) COLLATE "C",
    granted BIGINT NOT NULL CHECK (granted >= 0),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (image_id) REFERENCES images (id)
);
CREATE INDEX copies_by_image ON copies (image_id);
CREATE INDEX copies_by_state ON copies (state, created_at, id);
