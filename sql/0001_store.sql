-- A row for each initialised token: one per TPM hierarchy.
CREATE TABLE token (
    slot           INTEGER PRIMARY KEY CHECK (slot BETWEEN 0 AND 3),
    -- Random, new at each initialisation: objects of an earlier token never show in a later one.
    id             BLOB    NOT NULL UNIQUE,
    label          BLOB    NOT NULL,
    serial         BLOB    NOT NULL,
    manufacturer   TEXT    NOT NULL,
    model          TEXT    NOT NULL,
    firmware       INTEGER NOT NULL,
    primary_public BLOB    NOT NULL,
    so_public      BLOB    NOT NULL,
    so_private     BLOB    NOT NULL,
    -- NULL until the user has a PIN.
    user_public    BLOB,
    user_private   BLOB,
    -- What releases the key of the public rows.
    key_public     BLOB    NOT NULL,
    key_private    BLOB    NOT NULL,
    pin_scheme     INTEGER NOT NULL,
    -- The TPM's resetCount, for a token that ends with the TPM's next reset.
    reset_count    INTEGER,
    abilities      BLOB    NOT NULL,
    -- Seconds since 1970.
    created        INTEGER NOT NULL,
    -- One more with each change.
    generation     INTEGER NOT NULL,
    -- Over all of the above, under the key of the public rows.
    mac            BLOB    NOT NULL
) STRICT;

-- A row for each token object.
CREATE TABLE object (
    -- Never used again after a deletion: a stale handle finds nothing.
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    token_id    BLOB    NOT NULL REFERENCES token (id) ON DELETE CASCADE,
    unique_id   BLOB    NOT NULL UNIQUE,
    private     INTEGER NOT NULL CHECK (private IN (0, 1)),
    class       INTEGER NOT NULL,
    -- Keyed digests of what a search asks for, NULL where the object has no such attribute.
    id_tag      BLOB,
    label_tag   BLOB,
    -- The attributes: as they are in a public row, encrypted in a private one.
    content     BLOB    NOT NULL,
    -- The TPM's key, NULL where the object has none.
    key_public  BLOB,
    key_private BLOB,
    auth_id     BLOB,
    -- Over all of the above, under the key of the public or of the private rows.
    mac         BLOB    NOT NULL
) STRICT;

CREATE INDEX object_by_class ON object (token_id, class);
CREATE INDEX object_by_id_tag ON object (token_id, id_tag);
CREATE INDEX object_by_label_tag ON object (token_id, label_tag);
