-- Findings live from when they were first true until they no longer are. Those stored before had no life and are found
-- again where they still hold.

DROP TABLE findings;
CREATE TABLE findings (
    id uuid PRIMARY KEY,
    route text COLLATE "C" NOT NULL REFERENCES routes ON DELETE CASCADE,
    analyzer text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    -- Kind and name, for example `model openai/gpt-4o`.
    subject text COLLATE "C" NOT NULL,
    severity text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    opened_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    closed_at bigint,
    document jsonb NOT NULL
);
CREATE UNIQUE INDEX findings_one_open ON findings (route, code, subject) WHERE status = 'open';
CREATE INDEX findings_by_route ON findings (route, id DESC);
CREATE INDEX findings_closed ON findings (closed_at) WHERE status = 'closed';

-- What the analyzers know of each route, to go on from after a restart.
CREATE TABLE analyses (
    route text COLLATE "C" PRIMARY KEY REFERENCES routes ON DELETE CASCADE,
    -- End of the last minute in it.
    through bigint NOT NULL,
    state bytea NOT NULL
);
