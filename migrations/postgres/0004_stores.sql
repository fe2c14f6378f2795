-- States that the operator gave to stores while the service runs; a store without a row is in its configured state.
CREATE TABLE store_states (
    store VARCHAR(64) COLLATE "C" NOT NULL PRIMARY KEY,
    state VARCHAR(30) COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL
);
-- What a store holds, page by page: before it is removed, and for the scrubber.
CREATE INDEX image_locations_by_store ON image_locations (store, id);
CREATE INDEX deletions_by_store ON deletions (store, id);
