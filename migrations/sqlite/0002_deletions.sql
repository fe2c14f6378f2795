-- A deletion waits until it is due; whoever takes it puts it off first, so that nobody else tries it meanwhile.
ALTER TABLE deletions ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deletions ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
CREATE INDEX deletions_by_due ON deletions (due_at, id);
CREATE INDEX deletions_by_image ON deletions (image_id);

-- An upload that writes nothing: it reads an object that is there already and is not ours until it is published.
ALTER TABLE uploads ADD COLUMN claims VARCHAR(255);
CREATE UNIQUE INDEX uploads_by_claim ON uploads (claims);
-- Whether any image holds an object that is to be claimed.
CREATE INDEX image_locations_by_url ON image_locations (url);
