-- What those outside may want to hear of, written with the change itself, and how far each webhook has been told.

CREATE TABLE events (
    -- In the order of writing: of one route also the order of its changes.
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- In the order of reading, given to what is committed: a transaction that ends late comes after what was read
    -- before, and is not passed over as it would be by `seq`.
    number bigint UNIQUE,
    id uuid NOT NULL,
    -- Milliseconds since the epoch, by the database's clock.
    at bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    -- No reference: what happened stays when its route goes.
    route text COLLATE "C" NOT NULL,
    severity text COLLATE "C",
    document jsonb NOT NULL
);
CREATE SEQUENCE event_numbers OWNED BY events.number;
CREATE INDEX events_unnumbered ON events (seq) WHERE number IS NULL;
CREATE INDEX events_by_age ON events (at);

CREATE TABLE webhooks (
    name text COLLATE "C" PRIMARY KEY,
    -- Number of the last event that is done with.
    position bigint NOT NULL,
    -- In a row, with no delivery in between.
    failures bigint NOT NULL DEFAULT 0,
    -- No attempt before, milliseconds since the epoch.
    next_at bigint NOT NULL DEFAULT 0,
    last_error text
);
