-- Text is compared by code point (BINARY, the default of SQLite). Times are microseconds since the epoch.
CREATE TABLE images (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    name VARCHAR(255),
    status VARCHAR(30) NOT NULL,
    visibility VARCHAR(30) NOT NULL,
    owner VARCHAR(255),
    protected BIGINT NOT NULL,
    os_hidden BIGINT NOT NULL,
    checksum VARCHAR(32),
    os_hash_algo VARCHAR(64),
    os_hash_value VARCHAR(128),
    size BIGINT,
    virtual_size BIGINT,
    container_format VARCHAR(64),
    disk_format VARCHAR(64),
    min_disk BIGINT NOT NULL,
    min_ram BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    deleted_at BIGINT
);
-- Lists always fix `deleted` and `os_hidden`; each index below is one walk that a list can be.
CREATE INDEX images_by_time ON images (deleted, os_hidden, created_at, id);
CREATE INDEX images_by_visibility ON images (deleted, os_hidden, visibility, created_at, id);
CREATE INDEX images_by_owner ON images (deleted, os_hidden, owner, created_at, id);
CREATE INDEX images_by_name ON images (deleted, os_hidden, name, created_at, id);
CREATE INDEX images_by_change ON images (deleted, os_hidden, updated_at, created_at, id);
CREATE INDEX images_of_owner ON images (owner, deleted);

CREATE TABLE image_tags (
    image_id VARCHAR(64) NOT NULL,
    tag VARCHAR(255) NOT NULL,
    PRIMARY KEY (image_id, tag),
    FOREIGN KEY (image_id) REFERENCES images (id)
) WITHOUT ROWID;

CREATE TABLE image_properties (
    image_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (image_id, name),
    FOREIGN KEY (image_id) REFERENCES images (id)
) WITHOUT ROWID;

CREATE TABLE image_members (
    image_id VARCHAR(64) NOT NULL,
    member VARCHAR(255) NOT NULL,
    status VARCHAR(30) NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (image_id, member),
    FOREIGN KEY (image_id) REFERENCES images (id)
) WITHOUT ROWID;
CREATE INDEX image_members_by_member ON image_members (member, status, image_id);

CREATE TABLE image_locations (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    image_id VARCHAR(64) NOT NULL,
    store VARCHAR(255) NOT NULL,
    url TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    FOREIGN KEY (image_id) REFERENCES images (id)
);
CREATE INDEX image_locations_by_image ON image_locations (image_id, id);

-- Data that no image has any more and that a store still holds.
CREATE TABLE deletions (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    image_id VARCHAR(64) NOT NULL,
    store VARCHAR(255) NOT NULL,
    url TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX deletions_by_time ON deletions (created_at, id);

-- A running upload: a lease on the image and a reservation in the ledger.
CREATE TABLE uploads (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    image_id VARCHAR(64) NOT NULL,
    token VARCHAR(64) NOT NULL,
    scope VARCHAR(255),
    store VARCHAR(255) NOT NULL,
    node VARCHAR(255) NOT NULL,
    boot VARCHAR(64) NOT NULL,
    granted BIGINT NOT NULL CHECK (granted >= 0),
    lease_us BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    FOREIGN KEY (image_id) REFERENCES images (id)
);
CREATE INDEX uploads_by_image ON uploads (image_id);
CREATE INDEX uploads_by_lease ON uploads (lease_until);

CREATE TABLE quota_usage (
    scope VARCHAR(255) NOT NULL,
    resource VARCHAR(64) NOT NULL,
    in_use BIGINT NOT NULL CHECK (in_use >= 0),
    reserved BIGINT NOT NULL CHECK (reserved >= 0),
    PRIMARY KEY (scope, resource)
) WITHOUT ROWID;

CREATE TABLE outbox (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    event_type VARCHAR(64) NOT NULL,
    priority VARCHAR(16) NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    claim VARCHAR(64),
    claimed_until BIGINT NOT NULL
);
CREATE INDEX outbox_by_claim ON outbox (claim);
